//! Copying bytes both ways, until both ends, the policy or the drain end it.

use heddle_filters::{OpenTunnel, Tunnel};
use heddle_hbone::{ByteStream, CopyCounts, CopyError, Seldom, Side, copy_bidirectional};
use heddle_telemetry::ResponseFlag;
use hyper_util::rt::TokioIo;
use std::rc::Rc;

use crate::{
    Accepted, DataPath,
    accept::Drain,
    live::{LiveConnection, revoked},
    record::{Problem, TcpRecord},
};

/// Copies between an accepted connection and its server, and records how it ended.
pub(crate) async fn relay<C, S>(
    mut client: C,
    mut server: S,
    path: &DataPath,
    drain: &Drain,
    live: Option<&LiveConnection>,
    record: TcpRecord,
) where
    C: Accepted,
    S: ByteStream,
{
    record.opened();
    let counts = CopyCounts::default();
    let problem = copy(&mut client, &mut server, path, drain, live, &counts).await;
    if problem.is_some() {
        client.abort_on_drop();
    }
    record.ended(&counts, problem);
}

async fn copy<C, S>(
    client: &mut C,
    server: &mut S,
    path: &DataPath,
    drain: &Drain,
    live: Option<&LiveConnection>,
    counts: &CopyCounts,
) -> Option<Problem>
where
    C: ByteStream,
    S: ByteStream,
{
    let ended = Seldom::new(async {
        tokio::select! {
            failure = revoked(live) => Problem::revoked(failure),
            () = drain.over.cancelled() => Problem::drained(),
        }
    });
    tokio::select! {
        copied = copy_bidirectional(client, server, path.settings.copy, counts) => {
            copied.err().map(|error| problem_of(&error))
        }
        problem = ended => Some(problem),
    }
}

fn problem_of(error: &CopyError) -> Problem {
    let flag = match error {
        CopyError::Idle | CopyError::HalfClosedIdle => ResponseFlag::IdleTimeout,
        CopyError::Io {
            side: Side::Client, ..
        } => ResponseFlag::ClientTermination,
        CopyError::Io {
            side: Side::Server, ..
        } => ResponseFlag::ConnectionTermination,
    };
    Problem::new(flag, error.to_string())
}

/// Takes the connections of requests that changed their protocol.
pub(crate) fn tunnels(
    path: DataPath,
    drain: Drain,
    live: Option<Rc<LiveConnection>>,
) -> OpenTunnel {
    Rc::new(move |tunnel| {
        let (path, task_drain) = (path.clone(), drain.clone());
        // The connection's own watch ends when its HTTP does.
        let live = live.as_ref().and_then(|live| live.again());
        drain.spawn(async move {
            carry(tunnel, &path, &task_drain, live.as_ref()).await;
        });
    })
}

async fn carry(tunnel: Tunnel, path: &DataPath, drain: &Drain, live: Option<&LiveConnection>) {
    let Tunnel {
        client,
        server,
        record,
    } = tunnel;
    let (client, server) = match tokio::try_join!(client, server) {
        Ok(both) => both,
        Err(error) => {
            let reason = format!("the protocol was not changed: {error}");
            record.ended(0, 0, Some((ResponseFlag::ConnectionTermination, reason)));
            return;
        }
    };
    let counts = CopyCounts::default();
    let problem = copy(
        &mut TokioIo::new(client),
        &mut TokioIo::new(server),
        path,
        drain,
        live,
        &counts,
    )
    .await;
    record.ended(
        counts.from_client(),
        counts.from_server(),
        problem.map(|problem| (problem.flag, problem.reason)),
    );
}
