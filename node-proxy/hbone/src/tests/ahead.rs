//! `ReadAhead` over connections of memory.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf, duplex};

use crate::ReadAhead;

/// What rustls asks for at a time.
const LITTLE: usize = 4096;

/// Has some bytes, and counts how often it is asked.
struct Counted {
    left: usize,
    asked: usize,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.asked += 1;
        if self.left == 0 {
            return Poll::Pending;
        }
        let now = self.left.min(into.remaining());
        into.initialize_unfilled_to(now).fill(b'x');
        into.advance(now);
        self.left -= now;
        Poll::Ready(Ok(()))
    }
}

fn read(from: &mut ReadAhead<Counted>, size: usize) -> Option<usize> {
    let mut memory = vec![0; size];
    let mut buffer = ReadBuf::new(&mut memory);
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(from).poll_read(&mut context, &mut buffer) {
        Poll::Ready(read) => {
            read.expect("read");
            Some(buffer.filled().len())
        }
        Poll::Pending => None,
    }
}

#[test]
fn much_is_read_at_once_and_little_without_memory_of_its_own() {
    let mut ahead = ReadAhead::new(Counted {
        left: 100,
        asked: 0,
    });
    assert_eq!(read(&mut ahead, LITTLE), Some(100));
    assert_eq!(ahead.held(), 0);

    let length = 64 << 10;
    ahead = ReadAhead::new(Counted {
        left: length,
        asked: 0,
    });
    let mut all = 0;
    while let Some(some) = read(&mut ahead, LITTLE) {
        all += some;
    }
    assert_eq!(all, length);
    // A piece by itself, the rest, and that there is no more.
    assert_eq!(ahead.get_ref().asked, 3);
    assert_eq!(ahead.held(), 0, "kept while nothing comes");
}

#[tokio::test]
async fn nothing_is_lost_or_moved_however_much_is_asked_for() {
    let (near, mut far) = duplex(10_000);
    let data: Vec<u8> = (0..500_000_u32).map(|n| (n % 251) as u8).collect();
    let sent = data.clone();
    let writing = tokio::spawn(async move {
        for piece in sent.chunks(7_919) {
            far.write_all(piece).await.expect("written");
        }
    });
    let mut ahead = ReadAhead::new(near);
    let mut seen = Vec::new();
    for size in [1, LITTLE, 100, 20_000, LITTLE, 3].into_iter().cycle() {
        let mut piece = vec![0; size];
        let read = ahead.read(&mut piece).await.expect("read");
        if read == 0 {
            break;
        }
        seen.extend_from_slice(&piece[..read]);
    }
    writing.await.expect("no panic");
    assert!(seen == data);
}
