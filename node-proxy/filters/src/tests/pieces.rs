//! The parts that need no upstream.

use std::time::Duration;

use heddle_routing::{RetryOn, RetryPolicy};
use heddle_telemetry::Direction;
use heddle_upstream::Progress;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version, request::Parts};

use crate::spread::Sequence;
use crate::{
    answer, authority, forwarded, hop,
    retry::{Outcome, is_retriable, pause},
};

fn parts(version: Version, uri: &str, headers: &[(&'static str, &str)]) -> Parts {
    let mut request = Request::builder().version(version).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn settled(
    version: Version,
    uri: &str,
    headers: &[(&'static str, &str)],
) -> Result<String, String> {
    let mut parts = parts(version, uri, headers);
    authority::settle(&mut parts, "10.96.0.7:80".parse().unwrap())
        .map_err(|error| error.to_string())?;
    assert_eq!(
        parts.headers["host"].to_str().unwrap(),
        parts.uri.authority().unwrap().as_str()
    );
    Ok(parts.uri.to_string())
}

#[test]
fn the_host_is_settled_as_the_standards_say() {
    let ok = |version, uri, headers, want: &str| {
        assert_eq!(settled(version, uri, headers).as_deref(), Ok(want));
    };
    let v11 = Version::HTTP_11;
    ok(v11, "/a?b", &[("host", "cart:80")], "http://cart:80/a?b");
    ok(v11, "http://x/a", &[("host", "other")], "http://x/a");
    ok(v11, "/", &[("host", "[::1]:80")], "http://[::1]:80/");
    ok(Version::HTTP_10, "/a", &[], "http://10.96.0.7:80/a");
    ok(Version::HTTP_2, "http://cart/a", &[], "http://cart/a");
    ok(Version::HTTP_2, "/a", &[("host", "cart")], "http://cart/a");
}

#[test]
fn a_request_whose_host_is_missing_double_or_invalid_is_refused() {
    let v11 = Version::HTTP_11;
    for (version, uri, headers) in [
        (v11, "/", &[][..]),
        (v11, "http://x/", &[]),
        (v11, "/", &[("host", "a"), ("host", "a")]),
        (v11, "/", &[("host", "")]),
        (v11, "/", &[("host", "a b")]),
        (v11, "/", &[("host", "user@a")]),
        (v11, "/", &[("host", "a:http")]),
        (v11, "/", &[("host", "a/b")]),
        (Version::HTTP_10, "/", &[("host", "a"), ("host", "b")]),
        (Version::HTTP_2, "http://a/", &[("host", "b")]),
        (Version::HTTP_2, "/", &[]),
    ] {
        assert!(settled(version, uri, headers).is_err(), "{uri} {headers:?}");
    }
}

#[test]
fn headers_of_one_connection_are_removed_and_those_it_names() {
    let mut headers = parts(
        Version::HTTP_11,
        "/",
        &[
            ("connection", "close, X-Private, host, te"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("x-private", "1"),
            ("host", "cart"),
            ("trailer", "x-sum"),
        ],
    )
    .headers;
    hop::remove(&mut headers);
    let mut left: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["host", "te", "trailer"]);
}

#[test]
fn an_upgrade_is_wanted_only_by_name_and_never_to_h2c() {
    let wanted = |version, headers| hop::wanted_upgrade(&parts(version, "/", headers));
    let websocket = &[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
    ];
    assert!(wanted(Version::HTTP_11, websocket).is_some());
    assert!(wanted(Version::HTTP_10, websocket).is_none());
    assert!(wanted(Version::HTTP_11, &[("upgrade", "websocket")]).is_none());
    let h2c = &[("connection", "upgrade"), ("upgrade", "websocket, H2C")];
    assert!(wanted(Version::HTTP_11, h2c).is_none());
}

#[test]
fn what_a_pod_says_about_forwarding_stays_and_a_gateway_adds_the_client() {
    let address = "10.1.0.5".parse().unwrap();
    let set = |direction, given: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        if let Some(given) = given {
            headers.insert("x-forwarded-for", HeaderValue::from_static(given));
        }
        forwarded::set(
            &mut headers,
            &http::uri::Scheme::HTTP,
            direction,
            address,
            7,
        );
        headers["x-forwarded-for"].to_str().unwrap().to_owned()
    };
    assert_eq!(set(Direction::Outbound, None), "10.1.0.5");
    assert_eq!(set(Direction::Outbound, Some("1.1.1.1")), "1.1.1.1");
    assert_eq!(
        set(Direction::Gateway, Some("1.1.1.1")),
        "1.1.1.1, 10.1.0.5"
    );
}

#[test]
fn a_request_id_is_a_uuid_and_one_that_is_there_stays() {
    let mut headers = HeaderMap::new();
    let address = "10.1.0.5".parse().unwrap();
    forwarded::set(
        &mut headers,
        &http::uri::Scheme::HTTP,
        Direction::Outbound,
        address,
        u128::MAX,
    );
    assert_eq!(
        headers["x-request-id"],
        "ffffffff-ffff-4fff-bfff-ffffffffffff"
    );
    forwarded::set(
        &mut headers,
        &http::uri::Scheme::HTTP,
        Direction::Outbound,
        address,
        0,
    );
    assert_eq!(
        headers["x-request-id"],
        "ffffffff-ffff-4fff-bfff-ffffffffffff"
    );
    assert_eq!(headers["x-forwarded-proto"], "http");
}

fn policy() -> RetryPolicy {
    RetryPolicy {
        retries: 3,
        on: RetryOn::default(),
        per_try_timeout: None,
        base_backoff: Duration::from_millis(25),
        max_backoff: Duration::from_millis(60),
    }
}

/// Which of these ends are tried again: no connection, nothing sent, REFUSED_STREAM, sent and broken, refused by a policy.
fn retried(on: &RetryOn) -> [bool; 5] {
    use Progress as P;
    let broken = [P::Connecting, P::Unsent, P::Refused, P::Sent].map(Outcome::Broken);
    let [connecting, unsent, refused, sent] = broken;
    [connecting, unsent, refused, sent, Outcome::Refused].map(|end| is_retriable(on, end))
}

#[test]
fn each_condition_is_for_its_own_ends_and_none_for_a_refusal() {
    let none = RetryOn::default();
    assert_eq!(retried(&none), [false; 5]);
    let reset = RetryOn {
        reset: true,
        ..none.clone()
    };
    assert_eq!(retried(&reset), [true, true, true, true, false]);
    let connect_failure = RetryOn {
        connect_failure: true,
        ..none.clone()
    };
    assert_eq!(
        retried(&connect_failure),
        [true, false, false, false, false]
    );
    let refused_stream = RetryOn {
        refused_stream: true,
        ..none.clone()
    };
    assert_eq!(retried(&refused_stream), [false, false, true, false, false]);
    let before = RetryOn {
        reset_before_request: true,
        ..none
    };
    assert_eq!(retried(&before), [true, true, false, false, false]);
}

#[test]
fn responses_are_judged_by_status_and_by_the_grpc_status_in_their_headers() {
    let on = RetryOn {
        statuses: vec![500, 503],
        grpc_codes: vec![1, 14],
        ..RetryOn::default()
    };
    let judged = |status, grpc: Option<&str>| {
        let mut response = http::Response::new(());
        *response.status_mut() = status;
        if let Some(code) = grpc {
            let code = code.parse().expect("a value");
            response.headers_mut().insert("grpc-status", code);
        }
        is_retriable(&on, Outcome::of(&Ok(&response)))
    };
    assert!(judged(StatusCode::SERVICE_UNAVAILABLE, None));
    assert!(!judged(StatusCode::BAD_GATEWAY, None));
    assert!(judged(StatusCode::OK, Some("14")));
    assert!(!judged(StatusCode::OK, Some("13")));
    assert!(!judged(StatusCode::OK, Some("many")));
}

#[test]
fn pauses_double_up_to_the_maximum_and_are_random() {
    let at = |retry, random| pause(&policy(), retry, random).as_micros();
    assert_eq!(
        (at(0, 1.0), at(1, 1.0), at(2, 1.0)),
        (25_000, 50_000, 60_000)
    );
    assert_eq!((at(1, 0.5), at(40, 0.0)), (25_000, 0));
}

/// Random numbers that are the same in each run.
fn chance(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
    }
}

const TENTH: u64 = u64::MAX / 10;

#[test]
fn every_hundred_requests_are_split_by_weight_give_or_take_three() {
    let (mut sequence, mut chance) = (Sequence::default(), chance(1));
    let numbers: Vec<u64> = (0..5_000).map(|_| sequence.next(&mut chance)).collect();
    let among = |numbers: &[u64]| numbers.iter().filter(|number| **number < TENTH).count();
    for hundred in numbers.windows(100) {
        assert!(among(hundred).abs_diff(10) <= 3, "{}", among(hundred));
    }
    assert!(among(&numbers).abs_diff(500) <= 15, "{}", among(&numbers));
    // What every second or every tenth request does is split as well.
    for step in [2, 3, 4, 10] {
        let some: Vec<u64> = numbers.iter().copied().step_by(step).collect();
        let share = among(&some) as f64 / some.len() as f64;
        assert!((0.08..0.12).contains(&share), "{step}: {share}");
    }
}

#[test]
fn a_second_split_does_not_follow_the_first() {
    let (mut first, mut second) = (Sequence::default(), Sequence::default());
    let (mut one, mut other) = (chance(1), chance(2));
    let both = (0..100_000).filter(|_| {
        let (a, b) = (first.next(&mut one), second.next(&mut other));
        a < TENTH && b < TENTH
    });
    // A hundredth of the requests, if the splits have nothing to do with each other.
    let both = both.count();
    assert!((800..1200).contains(&both), "{both}");
}

#[test]
fn a_grpc_client_gets_its_errors_as_grpc_statuses() {
    let is_grpc = |value| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(value));
        answer::is_grpc(&headers)
    };
    assert!(is_grpc("application/grpc") && is_grpc("application/grpc+proto"));
    assert!(!is_grpc("application/grpc-web") && !is_grpc("text/plain"));
    let mut twice = HeaderMap::new();
    twice.append("content-type", HeaderValue::from_static("application/grpc"));
    twice.append("content-type", HeaderValue::from_static("application/grpc"));
    assert!(!answer::is_grpc(&twice));
    let response = answer::answer(StatusCode::SERVICE_UNAVAILABLE, "100 % ä", true);
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "14");
    assert_eq!(response.headers()["grpc-message"], "100 %25 %C3%A4");
}
