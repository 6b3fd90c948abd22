//! The accept loop, and the end of all that it accepted.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use heddle_filters::Failure;
use heddle_redirect::socket::original_destination;
use heddle_telemetry::{ActiveConnection, Direction, ResponseFlag};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Accepted, ConnectionInfo, DataPath, PodContext, record::TcpRecord};

/// After an error that is not the client's (no file descriptors left) the loop rests, so that it does not spin.
const REST: Duration = Duration::from_millis(50);

/// A client that is silent for this long is asked by TCP whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(180);

/// Connections that are taken from the queue once the shutdown has begun: as many as it holds, and an end even if more come.
const MOST_QUEUED: usize = 1024;

/// How the connections of one loop end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    /// Take nothing new, finish what is open.
    pub(crate) begun: CancellationToken,
    /// The time for that is over.
    pub(crate) over: CancellationToken,
    /// What is still open.
    pub(crate) tasks: TaskTracker,
    /// How long, once it has begun, clients that keep a connection open without a request may still begin one: they cannot know.
    pub(crate) linger: Duration,
}

impl Drain {
    pub(crate) fn new(shutdown: CancellationToken) -> Self {
        Self {
            begun: shutdown,
            ..Self::default()
        }
    }

    /// Returns when idle connections are closed, too.
    pub(crate) async fn lingered(&self) {
        self.begun.cancelled().await;
        tokio::time::sleep(self.linger).await;
    }

    /// Runs a task of this thread that the drain waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.spawn_local(task);
    }

    /// Waits for what is open, at most so long, then ends it.
    pub(crate) async fn finish(&self, limit: Duration) {
        self.tasks.close();
        if tokio::time::timeout(limit, self.tasks.wait())
            .await
            .is_err()
        {
            self.over.cancel();
            self.tasks.wait().await;
        }
    }
}

/// What a connection holds as long as it is open.
struct Held {
    _permit: OwnedSemaphorePermit,
    _active: ActiveConnection,
}

/// A place where connections come in.
pub(crate) struct Door {
    pub(crate) direction: Direction,
    /// How many more may be open.
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) path: DataPath,
}

impl Door {
    /// A door of a pod's; the pod's limits count over all its doors.
    pub(crate) fn of_pod(direction: Direction, pod: &PodContext, path: &DataPath) -> Self {
        Self {
            direction,
            connections: Arc::clone(&pod.connections),
            path: path.clone(),
        }
    }

    /// Accepts until the shutdown begins and what had come by then is taken, then waits for what is open.
    pub(crate) async fn serve<H, F>(
        &self,
        listener: TcpListener,
        shutdown: CancellationToken,
        handle: H,
    ) -> io::Result<()>
    where
        H: Fn(TcpStream, ConnectionInfo, Drain) -> F,
        F: Future<Output = ()> + 'static,
    {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let settings = &self.path.settings;
        let mut drain = Drain::new(shutdown);
        drain.linger = settings.linger.min(settings.drain);
        while let Some(accepted) = next(&listener, &drain).await {
            self.take(accepted, &handle, &drain).await;
        }
        // A successor that has the same socket takes what comes from now on; without one, who waits now would be reset.
        // Asked of the kernel itself: the runtime knows of a connection only some time after it has come.
        let listener = listener.into_std()?;
        for _ in 0..MOST_QUEUED {
            let accepted = match listener.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                accepted => accepted.and_then(usable),
            };
            self.take(accepted, &handle, &drain).await;
        }
        drop(listener);
        drain.finish(settings.drain).await;
        Ok(())
    }

    async fn take<H, F>(
        &self,
        accepted: io::Result<(TcpStream, SocketAddr)>,
        handle: &H,
        drain: &Drain,
    ) where
        H: Fn(TcpStream, ConnectionInfo, Drain) -> F,
        F: Future<Output = ()> + 'static,
    {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => return rest_after(&error).await,
        };
        let original = original_destination(&stream);
        let Ok(info) = original.map(|original| ConnectionInfo::new(peer, original)) else {
            // The client has gone already.
            return;
        };
        prepare(&stream);
        let Some(held) = self.hold() else {
            return self.refuse_for_limit(&stream, info);
        };
        // On the heap, since a block that takes a future in has room for it twice.
        let task = Box::pin(handle(stream, info, drain.clone()));
        drain.spawn(async move {
            task.await;
            drop(held);
        });
    }

    fn hold(&self) -> Option<Held> {
        let permit = Arc::clone(&self.connections).try_acquire_owned().ok()?;
        Some(Held {
            _permit: permit,
            _active: self.path.metrics.connection(self.direction),
        })
    }

    fn refuse_for_limit(&self, stream: &TcpStream, info: ConnectionInfo) {
        stream.abort_on_drop();
        TcpRecord::begin(self.direction, info, &self.path.metrics).refused(&too_many());
    }
}

/// The next connection; `None`: the shutdown has begun.
async fn next(
    listener: &tokio::net::TcpListener,
    drain: &Drain,
) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    tokio::select! {
        accepted = listener.accept() => Some(accepted),
        () = drain.begun.cancelled() => None,
    }
}
async fn rest_after(error: &io::Error) {
    // These concern one connection that was not to be; the next one may be had at once.
    if matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    ) {
        return;
    }
    tracing::warn!(%error, "no connection can be accepted");
    tokio::time::sleep(REST).await;
}

fn usable(
    (stream, peer): (std::net::TcpStream, SocketAddr),
) -> io::Result<(TcpStream, SocketAddr)> {
    stream.set_nonblocking(true)?;
    Ok((TcpStream::from_std(stream)?, peer))
}

fn prepare(stream: &TcpStream) {
    // Without these the connection is slower or dies later, but works.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
}

/// The limit of a pod's connections is reached.
pub(crate) fn too_many() -> Failure {
    Failure::new(
        ResponseFlag::ConnectionLimit,
        "the pod has too many open connections",
    )
}
