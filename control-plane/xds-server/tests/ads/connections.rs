//! Connections on which nobody says who he is.

use std::{cell::Cell, net::SocketAddr, time::Duration};

use heddle_proto::type_url::CLUSTER;
use heddle_xds_server::{ConnectionLimits, Settings};
use tokio::{
    io::AsyncReadExt,
    net::{TcpSocket, TcpStream},
};
use tonic::Code;

use crate::support::*;

const LONG: Duration = Duration::from_secs(3600);

/// A connection from another address of the loopback, as from another machine.
async fn from_elsewhere(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(address).await.unwrap()
}

/// Comes back when the server has closed the connection; what HTTP/2 says before does not count.
async fn closed(mut connection: TcpStream) {
    let mut buffer = [0; 1024];
    let wait = async { while !matches!(connection.read(&mut buffer).await, Ok(0) | Err(_)) {} };
    let ended = tokio::time::timeout(PATIENCE, wait).await;
    ended.expect("the server kept the connection");
}

#[tokio::test]
async fn two_thousand_silent_connections_harm_nobody_else() {
    let limits = ConnectionLimits {
        total: 100,
        per_peer: 20,
        without_stream: LONG,
    };
    let running = Running::bounded(Settings::default(), snapshot(&[]), limits).await;
    let mut before = running.client("node-a").await;
    before.hello("node-a", CLUSTER).await;
    before.take().await;
    let mut silent = Vec::new();
    for _ in 0..2000 {
        silent.push(from_elsewhere(running.address).await);
    }
    let mut after = running.client("node-b").await;
    after.hello("node-b", CLUSTER).await;
    after.take().await;
    running
        .snapshots
        .send_replace(snapshot(&[(CLUSTER, &[("a", "1")])]));
    assert_eq!(before.take().await, "Cluster a");
    assert_eq!(after.take().await, "Cluster a");
    // The honest client came after them, so all of them were looked at.
    let counts = running.connections.counts();
    assert_eq!((counts.open, counts.refused_by_peer), (22, 1980));
    for refused in silent.split_off(20) {
        closed(refused).await;
    }
    drop(silent);
    until(|| running.connections.counts().open == 2).await;
}

/// One second is far more than the server needs, and no client is hurt if it is not enough: it comes again.
const SHORT: ConnectionLimits = ConnectionLimits {
    total: 100,
    per_peer: 100,
    without_stream: Duration::from_secs(1),
};

#[tokio::test]
async fn a_connection_without_a_stream_is_closed_and_one_with_a_silent_stream_is_not() {
    let running = Running::bounded(Settings::default(), snapshot(&[]), SHORT).await;
    let mut client = loop {
        if let Ok(client) = running.open(Some("secret-a")).await {
            break client;
        }
    };
    client.hello("node-a", CLUSTER).await;
    client.take().await;
    // It begins when the stream is open already, and lasts as long as a connection without one may.
    closed(from_elsewhere(running.address).await).await;
    assert!(running.connections.counts().without_stream > 0);
    running
        .snapshots
        .send_replace(snapshot(&[(CLUSTER, &[("a", "1")])]));
    assert_eq!(client.take().await, "Cluster a");
    assert!(running.server.clients()[0].peer.is_some());
}

#[tokio::test]
async fn a_connection_whose_last_stream_has_ended_is_closed() {
    let running = Running::bounded(Settings::default(), snapshot(&[]), SHORT).await;
    let channel = running.channel().await;
    let client = loop {
        if let Ok(client) = running.open_on(channel.clone(), Some("secret-a")).await {
            break client;
        }
    };
    let closed_before = running.connections.counts().without_stream;
    drop(client);
    until(|| running.connections.counts().without_stream > closed_before).await;
    drop(channel);
}

#[tokio::test]
async fn streams_that_are_refused_do_not_keep_a_connection_open() {
    let running = Running::bounded(Settings::default(), snapshot(&[]), SHORT).await;
    let channel = running.channel().await;
    let refused = Cell::new(0);
    until_async(async || {
        let answer = running.open_on(channel.clone(), Some("wrong")).await;
        let status = answer.err().expect("a wrong token opens no stream");
        // What a stream hears whose connection is closed under it is the client library's choice.
        refused.set(refused.get() + u32::from(status.code() == Code::Unauthenticated));
        running.connections.counts().without_stream > 0
    })
    .await;
    assert!(refused.get() > 0);
}
