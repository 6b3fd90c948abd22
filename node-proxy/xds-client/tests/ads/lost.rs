//! What happens when a stream is lost, or none comes about.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use heddle_proto::type_url;
use heddle_xds_client::{Keepalive, Settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tonic::Status;

use crate::{
    handler::Recorder,
    plain,
    server::{ControlPlane, response},
    settings, soon, start,
    stream::{FIRST_REQUESTS, opened},
    until,
};

#[tokio::test]
async fn it_comes_back_and_says_what_it_has_but_not_what_it_refused() {
    let mut server = ControlPlane::start().await;
    let recorder = Recorder::default();
    let client = start(settings(plain(&server.uri())), &recorder);
    let mut stream = opened(&mut server).await;
    stream.send(response(type_url::LISTENER, &["a", "bad"]));
    stream.requests(2).await;
    stream.send(response(type_url::ROUTE_CONFIGURATION, &["a"]));
    stream.request().await;
    stream.fail(Status::unavailable("going away"));
    let mut again = server.stream().await;
    let requests = again.requests(FIRST_REQUESTS + 1).await;
    assert!(
        requests[0].node.is_some(),
        "a new stream must be told who asks"
    );
    for request in &requests {
        let versions: Vec<(&str, &str)> = request
            .initial_resource_versions
            .iter()
            .map(|(name, version)| (name.as_str(), version.as_str()))
            .collect();
        match request.type_url.as_str() {
            type_url::LISTENER | type_url::ROUTE_CONFIGURATION => {
                assert_eq!(versions, [("a", "version of a")], "{}", request.type_url);
            }
            other => assert!(versions.is_empty(), "{other}"),
        }
        assert!(
            request.response_nonce.is_empty(),
            "nonces die with their stream"
        );
    }
    assert!(
        recorder.names(type_url::LISTENER).contains("a"),
        "nothing is forgotten"
    );
    let error = client.status.get().last_error.expect("an error");
    assert!(error.contains("going away"), "{error}");
}

#[tokio::test]
async fn a_closed_stream_is_an_end_like_any_other() {
    let mut server = ControlPlane::start().await;
    let client = start(settings(plain(&server.uri())), &Recorder::default());
    drop(opened(&mut server).await);
    let _again = opened(&mut server).await;
    until(&client.status, "two streams", |status| {
        status.streams == 2 && status.connected
    })
    .await;
    let error = client.status.get().last_error.expect("an error");
    assert!(error.contains("closed the stream"), "{error}");
}

#[tokio::test]
async fn it_tries_until_a_control_plane_is_there() {
    // Bound, but nobody listens: the port stays ours, and connecting is refused.
    let deaf = TcpSocket::new_v4().expect("a socket");
    deaf.bind("127.0.0.1:0".parse().expect("valid"))
        .expect("a port");
    let address = deaf.local_addr().expect("an address");
    let mut second = ControlPlane::start().await;
    let servers = [plain(&format!("http://{address}")), plain(&second.uri())].concat();
    let client = start(settings(servers), &Recorder::default());
    opened(&mut second).await;
    let error = client
        .status
        .get()
        .last_error
        .expect("the first server failed");
    assert!(error.contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn a_control_plane_that_was_down_for_long_is_found_when_it_is_back() {
    let down = TcpSocket::new_v4().expect("a socket");
    down.bind("127.0.0.1:0".parse().expect("valid"))
        .expect("a port");
    let address = down.local_addr().expect("an address");
    let recorder = Recorder::default();
    let client = start(settings(plain(&format!("http://{address}"))), &recorder);
    until(&client.status, "many tries in vain", |status| {
        status.failures >= 8
    })
    .await;
    let mut server = ControlPlane::on(down.listen(16).expect("the port is ours"));
    let stream = opened(&mut server).await;
    stream.send(response(type_url::LISTENER, &["a"]));
    until(&client.status, "a change that applies", |status| {
        status.acks == 1 && status.failures == 0
    })
    .await;
    assert!(recorder.names(type_url::LISTENER).contains("a"));
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let server = ControlPlane::refusing(Status::unauthenticated("who are you?")).await;
    let client = start(settings(plain(&server.uri())), &Recorder::default());
    until(&client.status, "a refusal", |status| {
        status
            .last_error
            .as_deref()
            .is_some_and(|error| error.contains("who are you?"))
    })
    .await;
    assert!(!client.status.get().connected);
}

#[tokio::test]
async fn a_server_that_speaks_garbage_is_an_error_and_no_panic() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("http://{}", listener.local_addr().expect("an address"));
    let mut good = ControlPlane::start().await;
    let _client = start(
        settings([plain(&uri), plain(&good.uri())].concat()),
        &Recorder::default(),
    );
    let (mut connection, _) = soon("a connection", listener.accept())
        .await
        .expect("accepted");
    connection
        .write_all(b"HTTP/1.1 200 OK\r\n\r\n\0\xff\xfe")
        .await
        .expect("written");
    // The client must give this one up and go to the other.
    opened(&mut good).await;
    let mut rest = Vec::new();
    let _ = soon("the end", connection.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn a_control_plane_that_falls_silent_is_noticed() {
    let mut server = ControlPlane::start().await;
    let frozen = Arc::new(AtomicBool::new(false));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("http://{}", listener.local_addr().expect("an address"));
    let (target, freeze) = (server.address, Arc::clone(&frozen));
    // Between the two: passes on what comes, until it is frozen; then it holds the connection and says nothing.
    let between = tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.expect("accepted");
            let freeze = Arc::clone(&freeze);
            tokio::spawn(async move {
                let mut upstream = TcpStream::connect(target).await.expect("connected");
                let silence = async {
                    while !freeze.swap(false, Ordering::SeqCst) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                };
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut upstream) => {}
                    () = silence => std::future::pending().await,
                }
            });
        }
    });
    let quick = Settings {
        keepalive: Keepalive {
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(2),
        },
        ..settings(plain(&uri))
    };
    let _client = start(quick, &Recorder::default());
    let _held = opened(&mut server).await;
    frozen.store(true, Ordering::SeqCst);
    opened(&mut server).await;
    between.abort();
}
