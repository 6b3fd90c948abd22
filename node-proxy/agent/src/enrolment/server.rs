//! Where the CNI plugin asks: a unix socket, for root alone.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use heddle_cni::protocol::{Answer, Attachment, LONGEST_MESSAGE, Request};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};

use super::Registrations;

/// Requests at one time: more than a node starts pods at once. Whoever comes then waits to be accepted.
const MOST: usize = 512;
/// For a request to come, and for an answer to go.
const PROMPT: Duration = Duration::from_secs(5);
/// No request waits longer, whatever limit it names.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The socket, open.
pub(crate) struct Server {
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
        let listener =
            bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
        registrations.keep_in(path.with_extension("json"));
        Ok(Self {
            listener,
            registrations,
        })
    }

    /// Answers, until dropped.
    pub(crate) async fn serve(self) {
        let places = Arc::new(Semaphore::new(MOST));
        loop {
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
            tokio::spawn(async move {
                if let Err(error) = converse(stream, &registrations).await {
                    tracing::debug!(%error, "a CNI request was not answered");
                }
                drop(place);
            });
        }
    }
}

/// Under another name first: nobody connects before only root may.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new: PathBuf = path.with_extension(format!("{}.new", std::process::id()));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
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
