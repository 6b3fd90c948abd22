//! Where the CNI plugin asks: a unix socket, for root alone.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use heddle_cni::protocol::{Answer, Attachment, LONGEST_MESSAGE, Request};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use super::Registrations;
use crate::succession;

/// Requests at one time: more than a node starts pods at once. Whoever comes then waits to be accepted.
const MOST: usize = 512;
/// For a request to come, and for an answer to go.
const PROMPT: Duration = Duration::from_secs(5);
/// No request waits longer, whatever limit it names.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The socket, open.
pub(crate) struct Server {
    path: PathBuf,
    listener: UnixListener,
    registrations: Registrations,
}

impl Server {
    /// Opens the socket in the place of whoever had it; a node proxy that is being replaced gets no more requests. Then takes over what
    /// was registered, from the file beside the socket. The socket's file stays when the process ends: a plugin that finds nobody there
    /// tries again.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub(crate) fn open(path: &Path, registrations: Registrations) -> anyhow::Result<Self> {
        let listener = succession::bind(path);
        let listener = listener.with_context(|| format!("cannot listen on {}", path.display()))?;
        registrations.keep_in(path.with_extension("json"));
        Ok(Self {
            path: path.to_owned(),
            listener,
            registrations,
        })
    }

    /// Answers as long as the node is ours; takes the socket back when it is ours again.
    pub(crate) async fn serve_while_ours(self, mut superseded: watch::Receiver<bool>) {
        let (path, registrations) = (self.path.clone(), self.registrations.clone());
        let mut open = Some(self);
        loop {
            if let Some(server) = open.take() {
                tokio::select! {
                    () = server.serve() => {}
                    _ = superseded.wait_for(|superseded| *superseded) => {}
                }
            }
            if superseded.wait_for(|superseded| !superseded).await.is_err() {
                return;
            }
            match Self::open(&path, registrations.clone()) {
                Ok(server) => open = Some(server),
                Err(error) => {
                    tracing::error!("CNI: {error:#}");
                    tokio::time::sleep(PROMPT).await;
                }
            }
        }
    }

    /// Answers, until dropped: whoever waits for an answer then is not kept waiting, and asks our successor.
    pub(crate) async fn serve(self) {
        let places = Arc::new(Semaphore::new(MOST));
        let mut open = JoinSet::new();
        loop {
            while open.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, say: others will be closed.
                    tracing::warn!(%error, "a CNI request could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let registrations = self.registrations.clone();
            open.spawn(async move {
                if let Err(error) = converse(stream, &registrations).await {
                    tracing::debug!(%error, "a CNI request was not answered");
                }
                drop(place);
            });
        }
    }
}

async fn converse(mut stream: UnixStream, registrations: &Registrations) -> io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut line = Vec::new();
    let mut reading = BufReader::new(reading.take(LONGEST_MESSAGE));
    timeout(PROMPT, reading.read_until(b'\n', &mut line)).await??;
    let answer = match serde_json::from_slice(&line) {
        Ok(request) => answer(request, registrations).await,
        Err(error) => Answer::Refused {
            why: format!("the request was not understood: {error}"),
        },
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    timeout(PROMPT, writing.write_all(&text)).await?
}

async fn answer(request: Request, registrations: &Registrations) -> Answer {
    match request {
        Request::Add {
            attachment,
            limit_ms,
        } => add(attachment, Duration::from_millis(limit_ms), registrations).await,
        Request::Check { container } => {
            let standing = registrations.standing();
            let known = standing.borrow().get(&container).cloned();
            known.unwrap_or(Answer::Unknown)
        }
        Request::Del { container } => {
            tokio::task::block_in_place(|| registrations.remove(&container));
            Answer::Done
        }
        Request::Gc { containers } => {
            let containers = containers.into_iter().collect();
            tokio::task::block_in_place(|| registrations.keep_only(&containers));
            Answer::Done
        }
    }
}

async fn add(attachment: Attachment, limit: Duration, registrations: &Registrations) -> Answer {
    let deadline = Instant::now() + limit.min(LONGEST_WAIT);
    let container = attachment.container.clone();
    let pod = format!("{}/{}", attachment.namespace, attachment.pod);
    let mut standing = registrations.standing();
    if let Err(error) = tokio::task::block_in_place(|| registrations.add(attachment)) {
        tracing::warn!(pod, "a sandbox was refused: {error:#}");
        return Answer::Refused {
            why: format!("{error:#}"),
        };
    }
    let stands = standing.wait_for(|standing| {
        matches!(
            standing.get(&container),
            Some(Answer::Captured | Answer::Outside)
        )
    });
    if let Ok(Ok(standing)) = timeout_at(deadline, stands).await {
        return standing.get(&container).cloned().unwrap_or(Answer::Unknown);
    }
    let last = standing.borrow().get(&container).cloned();
    let last = last.unwrap_or(Answer::Unknown);
    tracing::warn!(pod, ?last, "a new pod's capture did not stand in time");
    last
}
