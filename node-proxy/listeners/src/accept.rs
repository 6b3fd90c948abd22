//! The accept loop, and the end of all that it accepted.

use std::{io, net::TcpListener, rc::Rc, sync::Arc, time::Duration};

use heddle_filters::Failure;
use heddle_redirect::socket::original_destination;
use heddle_telemetry::{ActiveConnection, Direction, ResponseFlag};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Accepted, ConnectionInfo, DataPath, record::TcpRecord};

/// After an error that is not the client's (no file descriptors left) the loop rests, so that it does not spin.
const REST: Duration = Duration::from_millis(50);

/// A client that is silent for this long is asked by TCP whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(180);

/// How the connections of one loop end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    /// Take nothing new, finish what is open.
    pub(crate) begun: CancellationToken,
    /// The time for that is over.
    pub(crate) over: CancellationToken,
    /// What is still open.
    pub(crate) tasks: TaskTracker,
}

impl Drain {
    pub(crate) fn new(shutdown: CancellationToken) -> Self {
        Self {
            begun: shutdown,
            over: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
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
pub(crate) struct Held {
    _permit: OwnedSemaphorePermit,
    _active: ActiveConnection,
}

/// Accepts until the shutdown begins, then waits for what is open.
pub(crate) async fn accept_loop<H, F>(
    listener: TcpListener,
    direction: Direction,
    connections: Arc<Semaphore>,
    path: DataPath,
    shutdown: CancellationToken,
    handle: H,
) -> io::Result<()>
where
    H: Fn(TcpStream, ConnectionInfo, Drain) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let drain = Drain::new(shutdown);
    let handle = Rc::new(handle);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.begun.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                rest_after(&error).await;
                continue;
            }
        };
        let original = original_destination(&stream);
        let Ok(info) = original.map(|original| ConnectionInfo::new(peer, original)) else {
            // The client has gone already.
            continue;
        };
        prepare(&stream);
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            refuse_for_limit(&stream, direction, info, &path);
            continue;
        };
        let held = Held {
            _permit: permit,
            _active: path.metrics.connection(direction),
        };
        let task = handle(stream, info, drain.clone());
        drain.spawn(async move {
            task.await;
            drop(held);
        });
    }
    drop(listener);
    drain.finish(path.settings.drain).await;
    Ok(())
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

fn prepare(stream: &TcpStream) {
    // Without these the connection is slower or dies later, but works.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
}

fn refuse_for_limit(
    stream: &TcpStream,
    direction: Direction,
    info: ConnectionInfo,
    path: &DataPath,
) {
    stream.abort_on_drop();
    TcpRecord::begin(direction, info, &path.metrics).refused(&too_many());
}

/// The limit of a pod's connections is reached.
pub(crate) fn too_many() -> Failure {
    Failure::new(
        ResponseFlag::ConnectionLimit,
        "the pod has too many open connections",
    )
}
