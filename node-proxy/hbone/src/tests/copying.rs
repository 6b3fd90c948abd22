//! `copy_bidirectional` between connections of memory.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{CopyCounts, CopyError, CopyLimits, Side, copy_bidirectional};

struct Copying {
    client: DuplexStream,
    server: DuplexStream,
    copy: JoinHandle<(Result<(), CopyError>, u64, u64)>,
}

fn copying(limits: CopyLimits) -> Copying {
    let (client, mut client_end) = duplex(1024);
    let (server, mut server_end) = duplex(1024);
    let copy = tokio::spawn(async move {
        let counts = CopyCounts::default();
        let end = copy_bidirectional(&mut client_end, &mut server_end, limits, &counts).await;
        (end, counts.from_client(), counts.from_server())
    });
    Copying {
        client,
        server,
        copy,
    }
}

async fn read_all(stream: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an end");
    bytes
}

#[tokio::test]
async fn each_direction_ends_in_its_own_time_and_bytes_are_counted() {
    let mut copying = copying(CopyLimits::default());
    copying
        .client
        .write_all(b"question")
        .await
        .expect("written");
    copying.client.shutdown().await.expect("shut down");
    assert_eq!(read_all(&mut copying.server).await, b"question");

    copying
        .server
        .write_all(b"the answer")
        .await
        .expect("written");
    copying.server.shutdown().await.expect("shut down");
    assert_eq!(read_all(&mut copying.client).await, b"the answer");

    let (end, from_client, from_server) = copying.copy.await.expect("no panic");
    end.expect("a clean end");
    assert_eq!((from_client, from_server), (8, 10));
}

#[tokio::test]
async fn much_more_than_a_buffer_arrives_whole() {
    let Copying {
        mut client,
        mut server,
        copy,
    } = copying(CopyLimits::default());
    let data: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
    let sent = data.clone();
    let writer = tokio::spawn(async move {
        client.write_all(&sent).await.expect("written");
        client.shutdown().await.expect("shut down");
        client
    });
    assert!(read_all(&mut server).await == data);
    drop((writer.await, server));
    assert_eq!(copy.await.expect("no panic").1, data.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_ends_and_a_living_one_does_not() {
    let limits = CopyLimits {
        idle: Duration::from_secs(60),
        half_closed: Duration::from_secs(5),
    };
    let mut copying = copying(limits);
    let begun = Instant::now();
    for _ in 0..10 {
        sleep(Duration::from_secs(50)).await;
        copying.client.write_all(b"x").await.expect("written");
        copying.server.read_u8().await.expect("read");
    }
    let end = copying.copy.await.expect("no panic").0;
    assert!(matches!(end, Err(CopyError::Idle)), "{end:?}");
    // The last byte came at 500; a look every 7.5 s: that at 502.5 still finds it, and the eighth after that cuts.
    assert_eq!(begun.elapsed().as_secs(), 562);
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_connection_ends_sooner_but_not_while_bytes_come() {
    let limits = CopyLimits {
        idle: Duration::from_secs(3600),
        half_closed: Duration::from_secs(5),
    };
    let mut copying = copying(limits);
    copying.client.shutdown().await.expect("shut down");
    assert_eq!(read_all(&mut copying.server).await, b"");
    let begun = Instant::now();
    for _ in 0..10 {
        sleep(Duration::from_secs(4)).await;
        copying.server.write_all(b"x").await.expect("written");
        copying.client.read_u8().await.expect("read");
    }
    let (end, from_client, from_server) = copying.copy.await.expect("no panic");
    assert!(matches!(end, Err(CopyError::HalfClosedIdle)), "{end:?}");
    assert_eq!(begun.elapsed().as_secs(), 45);
    assert_eq!((from_client, from_server), (0, 10));
}

#[tokio::test]
async fn a_broken_connection_is_named() {
    let (mut client, mut client_end) = duplex(1024);
    // Reading pends, as the other end of the one half lives; writing fails, as that of the other is gone.
    let (reader, _alive) = duplex(16);
    let (writer, _) = duplex(16);
    let mut server = tokio::io::join(reader, writer);
    client.write_all(b"x").await.expect("written");
    let counts = CopyCounts::default();
    let limits = CopyLimits::default();
    let end = copy_bidirectional(&mut client_end, &mut server, limits, &counts).await;
    let Err(CopyError::Io { side, source }) = end else {
        panic!("{end:?}")
    };
    assert_eq!(
        (side, source.kind()),
        (Side::Server, io::ErrorKind::BrokenPipe)
    );
}
