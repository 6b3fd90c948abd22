//! What crosses the links of the fabric.

use std::{
    io::{ErrorKind, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};

/// ETH_P_ALL (linux/if_ether.h) in network byte order: every frame, both ways.
const EVERY_PROTOCOL: i32 = 0x0003_u16.to_be() as i32;

/// What was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Frames; one that crosses the bridge counts at each link.
    pub frames: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Frames that hold the marker.
    pub marked: u64,
}

/// Reads every frame of this namespace's links until it is stopped.
pub struct Sniffer {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    marker: Vec<u8>,
    stop: AtomicBool,
    frames: AtomicU64,
    bytes: AtomicU64,
    marked: AtomicU64,
}

impl Sniffer {
    /// Begins to watch for a marker. The marker must fit into one frame.
    pub fn start(marker: &[u8]) -> anyhow::Result<Self> {
        let socket = Socket::new(
            Domain::PACKET,
            Type::RAW,
            Some(Protocol::from(EVERY_PROTOCOL)),
        )
        .context("cannot open a packet socket (CAP_NET_RAW)")?;
        socket.set_recv_buffer_size(8 << 20)?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let state = Arc::new(State {
            marker: marker.to_vec(),
            stop: AtomicBool::new(false),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            marked: AtomicU64::new(0),
        });
        let thread = {
            let state = Arc::clone(&state);
            std::thread::spawn(move || watch(socket, &state))
        };
        Ok(Self {
            state,
            thread: Some(thread),
        })
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        let load = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Seen {
            frames: load(&self.state.frames),
            bytes: load(&self.state.bytes),
            marked: load(&self.state.marked),
        }
    }

    /// Stops, after what has arrived by now is read.
    pub fn stop(mut self) -> Seen {
        self.end();
        self.seen()
    }

    fn end(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // The thread only counts; if it panicked, what it counted is all there is.
            let _ = thread.join();
        }
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        self.end();
    }
}

fn watch(mut socket: Socket, state: &State) {
    let mut frame = vec![0; 128 * 1024];
    loop {
        match socket.read(&mut frame) {
            Ok(length) => {
                state.frames.fetch_add(1, Ordering::SeqCst);
                state.bytes.fetch_add(length as u64, Ordering::SeqCst);
                if holds(&frame[..length], &state.marker) {
                    state.marked.fetch_add(1, Ordering::SeqCst);
                }
            }
            // Nothing for a while: only now may it end, so that all that had arrived is counted.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if state.stop.load(Ordering::SeqCst) {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn holds(frame: &[u8], marker: &[u8]) -> bool {
    !marker.is_empty() && frame.windows(marker.len()).any(|window| window == marker)
}
