//! The one that comes after us.

use std::{
    io,
    os::unix::net::UnixStream as StdStream,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use heddle_redirect::handover::{self, Passed};
use tokio::{
    io::AsyncReadExt,
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot, watch},
};
use tokio_util::sync::CancellationToken;

use super::{ASK, PATIENCE, bind};

/// Our listening sockets are wanted.
type Request = oneshot::Sender<Vec<Passed>>;

/// What successors want, and whether there is one.
pub(crate) struct Successors {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
}

struct Shared {
    path: PathBuf,
    /// The node is the successor's.
    superseded: watch::Sender<bool>,
    /// How many are connected and have not got the sockets yet.
    waiting: AtomicUsize,
    /// We end: whoever waits gets the sockets now.
    ending: CancellationToken,
    requests: mpsc::Sender<Request>,
}

impl Successors {
    /// No place, so nobody comes.
    pub(crate) fn none() -> Self {
        Self::at(PathBuf::new())
    }

    fn at(path: PathBuf) -> Self {
        let (sender, requests) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            path,
            superseded: watch::Sender::new(false),
            waiting: AtomicUsize::new(0),
            ending: CancellationToken::new(),
            requests: sender,
        });
        Self { shared, requests }
    }

    /// Opens the place, as the one that is found there from now on.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let successors = Self::at(path);
        let listener = bind(&successors.shared.path)?;
        tokio::spawn(accept(listener, Arc::clone(&successors.shared)));
        Ok(successors)
    }

    /// Whether the node is a successor's.
    pub(crate) fn superseded(&self) -> watch::Receiver<bool> {
        self.shared.superseded.subscribe()
    }

    /// The next request for the sockets.
    pub(crate) async fn request(&mut self) -> Option<Request> {
        self.requests.recv().await
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::SeqCst)
    }

    /// We end. Whoever waits gets the sockets now; tells whether somebody has them.
    pub(crate) async fn finish(mut self, sockets: impl Fn() -> Vec<Passed>) -> bool {
        self.shared.ending.cancel();
        let mut superseded = self.superseded();
        let handing = async {
            while !*superseded.borrow() && self.shared.waiting.load(Ordering::SeqCst) > 0 {
                tokio::select! {
                    Some(request) = self.requests.recv() => drop(request.send(sockets())),
                    Ok(()) = superseded.changed() => {}
                    // Whoever waited may have given up.
                    () = tokio::time::sleep(Duration::from_millis(20)) => {}
                }
            }
        };
        if tokio::time::timeout(PATIENCE, handing).await.is_err() {
            tracing::warn!("the next node proxy does not take the sockets");
        }
        *superseded.borrow()
    }
}

async fn accept(mut listener: UnixListener, shared: Arc<Shared>) {
    let mut superseded = shared.superseded.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = superseded.changed() => {
                let taken_back = changed.is_ok() && !*superseded.borrow_and_update();
                // The place was the successor's: the next one is to find us.
                match taken_back.then(|| bind(&shared.path)) {
                    Some(Ok(new)) => listener = new,
                    Some(Err(error)) => {
                        tracing::error!(%error, "the next node proxy will not find this one");
                    }
                    None => {}
                }
                continue;
            }
        };
        match accepted {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { shared.attend(stream).await });
            }
            Err(error) => {
                tracing::warn!(%error, "the next node proxy cannot be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Shared {
    async fn attend(&self, mut stream: UnixStream) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let asked = tokio::select! {
            said = stream.read_u8() => matches!(said, Ok(ASK)),
            () = self.ending.cancelled() => true,
        };
        let given = if asked {
            self.give(stream).await
        } else {
            // It went before it was ready.
            None
        };
        if given.is_some() {
            self.superseded.send_replace(true);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let Some(mut stream) = given else { return };
        tracing::info!("the next node proxy has taken over");
        // It says no more: this ends when it does.
        let mut rest = [0; 64];
        while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
        if !self.ending.is_cancelled() {
            tracing::warn!("the next node proxy is gone; this one takes the node back");
            self.superseded.send_replace(false);
        }
    }

    async fn give(&self, stream: UnixStream) -> Option<UnixStream> {
        let (answer, sockets) = oneshot::channel();
        self.requests.send(answer).await.ok()?;
        let sockets = sockets.await.ok()?;
        let stream = stream.into_std().ok()?;
        let sent = tokio::task::spawn_blocking(move || send(stream, &sockets)).await;
        match sent.ok()? {
            Ok(stream) => UnixStream::from_std(stream).ok(),
            Err(error) => {
                tracing::warn!(%error, "the next node proxy did not take the sockets");
                None
            }
        }
    }
}

fn send(stream: StdStream, sockets: &[Passed]) -> io::Result<StdStream> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    handover::send(&stream, sockets)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
