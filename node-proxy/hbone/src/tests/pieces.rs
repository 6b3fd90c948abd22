//! `Room`, and what a tunnel's stream hands on.

use std::task::{Context, Waker};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::Pair;
use crate::{ByteStream, CopyCounts, CopyLimits, Room, copy_bidirectional};

async fn take(from: &mut impl ByteStream, room: &mut Room) -> Bytes {
    std::future::poll_fn(|cx| from.poll_take(cx, room))
        .await
        .expect("taken")
}

#[tokio::test]
async fn a_room_grows_while_it_is_filled_and_is_small_again_when_nothing_comes() {
    let (mut near, mut far) = duplex(1 << 20);
    let mut room = Room::default();
    far.write_all(&vec![b'x'; 300_000]).await.expect("written");
    let (mut largest, mut all) = (0, 0);
    while all < 300_000 {
        let piece = take(&mut near, &mut room).await;
        all += piece.len();
        largest = largest.max(piece.len());
    }
    assert_eq!(largest, 65_063);
    let mut context = Context::from_waker(Waker::noop());
    assert!(near.poll_take(&mut context, &mut room).is_pending());
    assert_eq!(room.held(), 0);
}

#[tokio::test]
async fn a_room_uses_its_memory_again_once_a_piece_is_sent_and_not_before() {
    let (mut near, mut far) = duplex(1 << 10);
    let mut room = Room::default();
    far.write_all(&[b'a'; 700]).await.expect("written");
    let first = take(&mut near, &mut room).await;
    let place = first.as_ptr();
    far.write_all(&[b'b'; 700]).await.expect("written");
    let second = take(&mut near, &mut room).await;
    assert_ne!(second.as_ptr(), place);
    assert!(first == [b'a'; 700][..] && second == [b'b'; 700][..]);

    let place = second.as_ptr();
    drop((first, second));
    far.write_all(&[b'c'; 700]).await.expect("written");
    let third = take(&mut near, &mut room).await;
    assert_eq!(third.as_ptr(), place);
}

fn numbers(count: u32) -> Vec<u8> {
    (0..count).map(|n| (n % 251) as u8).collect()
}

/// Sends all of it in uneven pieces, then nothing more, and gives what came back until the end.
async fn exchange(mut stream: DuplexStream, data: Vec<u8>) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let writing = async {
        for piece in data.chunks(70_001) {
            writer.write_all(piece).await.expect("written");
        }
        writer.shutdown().await.expect("shut down");
    };
    let mut seen = Vec::new();
    let (read, ()) = tokio::join!(reader.read_to_end(&mut seen), writing);
    read.expect("an end");
    seen
}

#[tokio::test]
async fn megabytes_pass_through_a_tunnel_both_ways_whole_and_in_order() {
    let mut pair = Pair::new().await;
    let (mut near, mut far) = pair.stream().await;
    let (client, mut client_end) = duplex(100_000);
    let (server, mut server_end) = duplex(30_000);
    let (asked, answered) = (numbers(5_000_001), numbers(7_000_003));
    let (limits, counts) = (CopyLimits::default(), CopyCounts::default());
    let (at_server, at_client, one, other) = tokio::join!(
        exchange(server, answered.clone()),
        exchange(client, asked.clone()),
        copy_bidirectional(&mut client_end, &mut near, limits, &counts),
        async {
            let counts = CopyCounts::default();
            copy_bidirectional(&mut far, &mut server_end, limits, &counts).await
        },
    );
    one.expect("a clean end");
    other.expect("a clean end");
    assert!(at_server == asked && at_client == answered);
    assert_eq!(
        (counts.from_client(), counts.from_server()),
        (asked.len() as u64, answered.len() as u64)
    );
}

#[tokio::test]
async fn what_was_begun_to_be_read_is_handed_on_first() {
    let mut pair = Pair::new().await;
    let (mut near, mut far) = pair.stream().await;
    near.write_all(b"beginning and rest")
        .await
        .expect("written");
    let mut beginning = [0; 9];
    far.read_exact(&mut beginning).await.expect("read");
    let rest = take(&mut far, &mut Room::default()).await;
    assert_eq!(
        (&beginning[..], &rest[..]),
        (&b"beginning"[..], &b" and rest"[..])
    );
    near.shutdown().await.expect("shut down");
    assert!(take(&mut far, &mut Room::default()).await.is_empty());
}
