use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const LIMITS: ConnectionLimits = ConnectionLimits {
    total: 5,
    per_peer: 3,
    without_stream: Duration::from_secs(30),
};

fn peer(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

#[test]
fn a_peer_that_has_too_many_is_refused_and_others_are_not() {
    let connections = Connections::new(LIMITS);
    let mut held: Vec<_> = (0..3)
        .map(|_| connections.admit(peer(1)).unwrap())
        .collect();
    // The same address in other clothes.
    let mapped = Ipv6Addr::from_bits(0xffff_0a00_0001).into();
    for again in [peer(1), mapped] {
        let crowded = connections.admit(again).unwrap_err();
        assert_eq!(crowded.to_string(), "10.0.0.1 has 3 connections already");
    }
    held.push(connections.admit(peer(2)).unwrap());
    drop(held.remove(0));
    held.push(connections.admit(peer(1)).unwrap());
    let counts = connections.counts();
    assert_eq!((counts.open, counts.refused_by_peer), (4, 2));
    drop(held);
    assert_eq!(connections.counts().open, 0);
    assert!(connections.table().peers.is_empty(), "a peer is remembered");
}

#[test]
fn there_are_only_so_many_in_total() {
    let connections = Connections::new(LIMITS);
    let mut held: Vec<_> = (0..5)
        .map(|last| connections.admit(peer(last)).unwrap())
        .collect();
    let crowded = connections.admit(peer(9)).unwrap_err();
    assert_eq!(crowded, Crowded::Total { limit: 5 });
    assert!(!connections.table().peers.contains_key(&peer(9)));
    held.pop();
    connections.admit(peer(9)).unwrap();
    assert_eq!(connections.counts().refused_by_total, 1);
}

fn watched(connections: &Connections) -> (Watched<DuplexStream>, DuplexStream) {
    let (server, client) = duplex(64);
    (connections.admit(peer(1)).unwrap().watch(server), client)
}

/// How long it takes until the connection ends.
async fn end(connection: &mut Watched<DuplexStream>) -> Duration {
    let begin = Instant::now();
    assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 0);
    begin.elapsed()
}

fn seconds(time: Duration) -> u64 {
    (time.as_secs_f64()).round() as u64
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_stream_ends_in_time() {
    let connections = Connections::new(LIMITS);
    let (mut connection, mut client) = watched(&connections);
    client.write_all(b"pings").await.unwrap();
    assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 5);
    assert_eq!(seconds(end(&mut connection).await), 30);
    drop(connection);
    let counts = connections.counts();
    assert_eq!((counts.open, counts.without_stream), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn one_with_a_stream_lasts_and_ends_in_time_after_the_last_of_them() {
    let connections = Connections::new(LIMITS);
    let (mut connection, _client) = watched(&connections);
    let activity = Arc::clone(&connection.activity);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let streams = [activity.begin(), activity.begin()];
    let hours = Duration::from_secs(3 * 3600);
    tokio::spawn(async move {
        for stream in streams {
            tokio::time::sleep(hours).await;
            drop(stream);
        }
    });
    assert_eq!(seconds(end(&mut connection).await), 2 * 3 * 3600 + 30);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_does_not_keep_it_open() {
    let connections = Connections::new(LIMITS);
    let (mut connection, _client) = watched(&connections);
    let error = connection.write_all(&[0; 100]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(connections.counts().without_stream, 1);
}
