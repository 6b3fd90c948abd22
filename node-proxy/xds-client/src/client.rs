//! Keeps a stream, for ever.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use heddle_proto::{envoy::config::core::v3::Node, type_url};
use tokio::time::Instant;

use crate::{
    Backoff, Handler, Keepalive, Server, Session, StatusHandle, TokenSource, Variant, WorldSession,
    connection::{self, ConnectError, Stream, describe},
    variant::Talk,
};

/// A stream that ends sooner did not work, even if something came: a server that closes each stream after its first
/// response must not be asked again and again without a pause.
const SHORTEST_GOOD_STREAM: Duration = Duration::from_secs(1);

/// Names of which nothing was heard for so long do not exist (xDS protocol, "Knowing When a Requested Resource Does Not Exist").
const ABSENT_AFTER: Duration = Duration::from_secs(15);

/// A version that was refused before is refused again only after this time: some servers send it again at once.
const REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Whom to ask, as whom, for what.
#[derive(Clone)]
pub struct Settings {
    /// Control planes; the next one is tried when one fails.
    pub servers: Vec<Server>,
    /// Who asks: id and metadata (docs/xds.md, "Stream").
    pub node: Node,
    /// What proves it.
    pub token: Arc<dyn TokenSource>,
    /// Type URLs of which all resources are wanted. Subscribed to in the order of [`type_url::PUSH_ORDER`].
    pub wildcards: Vec<String>,
    /// How resources are told.
    pub variant: Variant,
    /// Pauses between tries.
    pub backoff: Backoff,
    /// How a dead control plane is noticed.
    pub keepalive: Keepalive,
}

impl Settings {
    /// The wildcards of a node proxy (docs/xds.md, "Stream"). The state of the world has no place for names that do not stand
    /// in the resource itself, so that Heddle's own types are only told by delta.
    pub fn node_wildcards(variant: Variant) -> Vec<String> {
        let all: &[&str] = match variant {
            Variant::Delta => &[
                type_url::WORKLOAD,
                type_url::ADDRESS_SET,
                type_url::CLUSTER,
                type_url::LISTENER,
                type_url::DNS_TABLE,
            ],
            Variant::StateOfTheWorld => &[type_url::CLUSTER, type_url::LISTENER],
        };
        all.iter().map(ToString::to_string).collect()
    }
}

/// Keeps one ADS stream to a control plane.
pub struct Client {
    settings: Settings,
    status: StatusHandle,
}

/// How a stream ended.
struct End {
    error: String,
    /// Not at once. A stream on which nothing came is as good: there may have been no news for this client.
    stood: bool,
    /// Something came.
    answered: bool,
}

impl End {
    /// Whether the same server is to be asked again: one that accepts streams and says nothing may be stuck.
    fn worked(&self) -> bool {
        self.stood && self.answered
    }
}

impl Client {
    /// A client that has not begun.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            status: StatusHandle::default(),
        }
    }

    /// How the stream fares.
    pub fn status(&self) -> StatusHandle {
        self.status.clone()
    }

    /// Connects, subscribes, hands each response to the handler, and comes back whenever the stream is lost. Never
    /// returns; drop the future to stop.
    pub async fn run(self, mut handler: impl Handler) -> std::convert::Infallible {
        let mut failures = 0_u32;
        let mut next_server = 0_usize;
        loop {
            let end = match self.settings.variant {
                Variant::Delta => self.stream::<Session>(next_server, &mut handler).await,
                Variant::StateOfTheWorld => {
                    self.stream::<WorldSession>(next_server, &mut handler).await
                }
            };
            failures = match end.stood {
                true => 0,
                false => failures.saturating_add(1),
            };
            if !end.worked() {
                next_server = next_server.wrapping_add(1);
            }
            self.lost(end);
            let pause = self.settings.backoff.pause(failures, rand::random());
            tokio::time::sleep(pause).await;
        }
    }

    /// Told once, however often it happens again: a control plane may be away for hours.
    fn lost(&self, end: End) {
        let is_news = self.status.get().last_error.as_ref() != Some(&end.error) || end.stood;
        if is_news {
            tracing::warn!(error = %end.error, "no xDS stream; the last configuration stays in force");
        } else {
            tracing::debug!(error = %end.error, "still no xDS stream");
        }
        self.status.change(|status| {
            if !status.connected {
                status.failures += 1;
            }
            status.connected = false;
            status.last_error = Some(end.error);
            status.last_error_at = Some(SystemTime::now());
        });
    }

    /// One stream from beginning to end.
    async fn stream<T: Talk>(&self, server: usize, handler: &mut impl Handler) -> End {
        let mut session = T::begin(self.settings.node.clone(), self.settings.wildcards.clone());
        let opened = self.open(server, &mut session, handler).await;
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(error) => {
                return End {
                    error: error.to_string(),
                    stood: false,
                    answered: false,
                };
            }
        };
        self.status.change(|status| {
            status.connected = true;
            status.failures = 0;
            status.streams += 1;
        });
        let begun = Instant::now();
        let mut answered = false;
        let talk = self.converse(&mut stream, &mut session, handler, &mut answered);
        let error = talk.await;
        End {
            error,
            stood: begun.elapsed() >= SHORTEST_GOOD_STREAM,
            answered,
        }
    }

    /// Until the stream ends; says why.
    async fn converse<T: Talk>(
        &self,
        stream: &mut Stream<T>,
        session: &mut T,
        handler: &mut impl Handler,
        answered: &mut bool,
    ) -> String {
        let mut release: Option<Instant> = None;
        loop {
            let done = tokio::select! {
                received = stream.responses.message() => match received {
                    Ok(Some(response)) => self.answer(response, session, handler, stream),
                    Ok(None) => Err("the control plane closed the stream".to_owned()),
                    Err(status) => Err(describe(&status)),
                },
                () = until(release) => {
                    release = None;
                    send(session.release(), stream).map(|()| false)
                }
                () = tokio::time::sleep(ABSENT_AFTER), if !session.is_complete() => {
                    self.give_up(session);
                    Ok(false)
                }
            };
            match done {
                Ok(news) => *answered |= news,
                Err(error) => return error,
            }
            if session.holds() {
                release.get_or_insert_with(|| Instant::now() + REFUSED_AGAIN_AFTER);
            }
        }
    }

    fn give_up<T: Talk>(&self, session: &mut T) {
        session.give_up();
        let complete = session.is_complete();
        self.status.change(|status| status.synced |= complete);
    }

    async fn open<T: Talk>(
        &self,
        server: usize,
        session: &mut T,
        handler: &impl Handler,
    ) -> Result<Stream<T>, ConnectError> {
        let servers = &self.settings.servers;
        let count = servers.len().max(1);
        let server = servers.get(server % count).ok_or(ConnectError::NoServer)?;
        let first = session.open(handler);
        connection::open(
            server,
            self.settings.keepalive,
            &*self.settings.token,
            first,
        )
        .await
    }

    /// Takes a response in and answers it. `Err`: the stream is broken.
    fn answer<T: Talk>(
        &self,
        response: T::Response,
        session: &mut T,
        handler: &mut impl Handler,
        stream: &Stream<T>,
    ) -> Result<bool, String> {
        let (type_url, errors) = T::about(&response);
        let type_url = type_url.to_owned();
        for error in errors {
            tracing::warn!(%type_url, ?error, "the control plane cannot give a resource");
        }
        let reaction = session.answer(response, handler);
        let Some(nacks) = reaction.nacks else {
            tracing::warn!(%type_url, "a response that was not asked for is ignored");
            self.status.change(|status| status.unasked += 1);
            return Ok(true);
        };
        for nack in nacks.iter().filter(|_| !reaction.repeated) {
            tracing::warn!(%type_url, message = %nack.message, "a resource is refused");
        }
        self.status.change(|status| {
            status.synced |= session.is_complete();
            status.last_update = Some(SystemTime::now());
            if nacks.is_empty() {
                status.acks += 1;
            } else {
                status.nacks += 1;
                status.refused_resources += nacks.len() as u64;
                status.last_refused = nacks.into_iter().map(|nack| nack.message).collect();
            }
        });
        send(reaction.requests, stream).map(|()| true)
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn send<T: Talk>(requests: Vec<T::Request>, stream: &Stream<T>) -> Result<(), String> {
    for request in requests {
        if stream.requests.send(request).is_err() {
            return Err("the stream broke while it was written to".to_owned());
        }
    }
    Ok(())
}
