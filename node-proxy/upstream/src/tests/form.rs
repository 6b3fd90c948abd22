//! Requests in the form of either protocol.

use bytes::Bytes;
use heddle_config::UpstreamHttp;
use http::{Method, Request, Version, header};
use http_body::Frame;
use http_body_util::StreamBody;

use crate::{
    Body, empty_body,
    http::form::{Protocol, protocol, shape},
};

fn request(version: Version, uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().version(version).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(empty_body()).expect("a request")
}

fn shaped(
    protocol: Protocol,
    version: Version,
    uri: &str,
    headers: &[(&str, &str)],
) -> Request<Body> {
    let mut request = request(version, uri, headers);
    shape(&mut request, protocol).expect("sendable");
    request
}

fn names(request: &Request<Body>) -> Vec<&str> {
    let mut names: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_request_goes_on_in_the_protocol_it_came_in_unless_told_otherwise() {
    use UpstreamHttp::{AsClient, Http1, Http2};
    for (wanted, version, expected) in [
        (AsClient, Version::HTTP_11, Protocol::Http1),
        (AsClient, Version::HTTP_10, Protocol::Http1),
        (AsClient, Version::HTTP_2, Protocol::Http2),
        (Http1, Version::HTTP_2, Protocol::Http1),
        (Http2, Version::HTTP_11, Protocol::Http2),
    ] {
        let request = request(version, "/", &[]);
        assert_eq!(protocol(wanted, &request).expect("sendable"), expected);
    }
}

#[test]
fn what_a_protocol_cannot_carry_is_refused() {
    let upgrade = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
    ];
    let websocket = request(Version::HTTP_11, "/", &upgrade);
    assert!(protocol(UpstreamHttp::Http2, &websocket).is_err());
    assert!(protocol(UpstreamHttp::AsClient, &websocket).is_ok());
    let mut connect = request(Version::HTTP_11, "192.0.2.1:80", &[]);
    *connect.method_mut() = Method::CONNECT;
    assert!(protocol(UpstreamHttp::AsClient, &connect).is_err());
}

#[test]
fn http2_becomes_http1_with_a_host_and_a_path() {
    let uri = "http://shop.example:8080/cart?id=1";
    let request = shaped(Protocol::Http1, Version::HTTP_2, uri, &[("te", "trailers")]);
    assert_eq!(request.uri(), "/cart?id=1");
    assert_eq!(request.headers()[header::HOST], "shop.example:8080");
    assert_eq!(request.version(), Version::HTTP_11);
    assert_eq!(names(&request), ["host"]);
}

#[test]
fn http1_becomes_http2_with_an_authority() {
    let headers = [("host", "shop.example"), ("te", "trailers"), ("x-a", "1")];
    let request = shaped(Protocol::Http2, Version::HTTP_11, "/cart", &headers);
    assert_eq!(request.uri(), "http://shop.example/cart");
    assert_eq!(names(&request), ["te", "x-a"]);
}

#[test]
fn the_targets_authority_counts_more_than_the_host() {
    let headers = [("host", "other.example")];
    let request = shaped(
        Protocol::Http1,
        Version::HTTP_11,
        "http://shop.example",
        &headers,
    );
    assert_eq!(request.headers()[header::HOST], "shop.example");
    assert_eq!(request.uri(), "/");
}

#[test]
fn http2_without_any_host_is_refused() {
    let mut request = request(Version::HTTP_11, "/", &[]);
    assert!(shape(&mut request, Protocol::Http2).is_err());
}

#[test]
fn what_speaks_about_one_connection_stays_behind() {
    let headers = [
        ("host", "shop"),
        ("connection", "close, x-secret"),
        ("x-secret", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("x-kept", "1"),
    ];
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let request = shaped(protocol, Version::HTTP_11, "/", &headers);
        let names = names(&request);
        assert!(
            names.iter().all(|n| ["host", "x-kept"].contains(n)),
            "{names:?}"
        );
        assert!(names.contains(&"x-kept"));
    }
}

#[test]
fn an_upgrade_is_kept() {
    let headers = [
        ("host", "shop"),
        ("connection", "x-hop, Upgrade"),
        ("x-hop", "1"),
        ("upgrade", "websocket"),
    ];
    let request = shaped(Protocol::Upgrade, Version::HTTP_11, "/", &headers);
    assert_eq!(request.headers()[header::CONNECTION], "upgrade");
    assert_eq!(request.headers()[header::UPGRADE], "websocket");
    assert!(!request.headers().contains_key("x-hop"));
}

#[test]
fn a_body_of_unknown_length_is_sent_in_chunks_whatever_the_method() {
    let body = |streamed: bool| {
        let frames = [Ok(Frame::data(Bytes::from_static(b"x")))];
        match streamed {
            true => Body::streamed(StreamBody::new(futures::stream::iter(frames))),
            false => empty_body(),
        }
    };
    for (method, streamed, length, expected) in [
        (Method::GET, true, false, true),
        (Method::POST, true, false, true),
        (Method::GET, true, true, false),
        (Method::GET, false, false, false),
    ] {
        let mut request = Request::builder().method(method).uri("http://a/");
        if length {
            request = request.header(header::CONTENT_LENGTH, "1");
        }
        let mut request = request.body(body(streamed)).expect("a request");
        shape(&mut request, Protocol::Http1).expect("sendable");
        let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        assert_eq!(chunked, expected, "{request:?}");
    }
}
