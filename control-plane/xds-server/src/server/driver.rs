//! One stream's task: feeds its session with requests, snapshots and the time, and sends what it says.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use heddle_snapshot::{Role, Snapshot, TypeUrl};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tonic::{Request, Status};

use super::{
    Inner, Notice,
    alarm::Alarm,
    clients::{SharedSession, Slot},
    message::Message,
    node,
    protocol::Protocol,
    requests::Messages,
};
use crate::{
    AuthError, Credential, NodeIdentity,
    session::{Event, Session, Violation},
};

/// Responses between a session and its connection. A session has at most one of each type on the way, so an honest client cannot
/// fill it, however slow it is.
const CAPACITY: usize = 16;

/// Messages to one client.
type Responses = mpsc::Sender<Result<Message, Status>>;

/// Admits a stream and starts its task. `only` is the type that its service is about, if it is about one.
pub(super) async fn start<P: Protocol>(
    inner: Arc<Inner>,
    only: Option<TypeUrl>,
    request: Request<Messages<P::Request>>,
) -> Result<mpsc::Receiver<Result<Message, Status>>, Status> {
    if *inner.draining.borrow() {
        return Err(shutting_down());
    }
    let credential = Credential::of(&request)?;
    let identity = credential.check(&*inner.auth).await?;
    let peer = request.remote_addr();
    let slot = inner
        .clients
        .enter(&identity, P::VARIANT, peer, &inner.settings)?;
    let (sender, receiver) = mpsc::channel(CAPACITY);
    tokio::spawn(async move {
        let stream = slot.stream;
        let node = Arc::clone(&identity.node);
        tracing::info!(stream, %node, ?peer, variant = ?P::VARIANT, "stream opened");
        let lease = Lease::new(credential, identity, &inner);
        let ended = run::<P>(
            &inner,
            Requests {
                stream: request.into_inner(),
                only,
            },
            lease,
            &slot,
            &sender,
        )
        .await;
        match ended {
            Ok(()) => tracing::info!(stream, %node, "stream closed by the client"),
            Err(status) => {
                tracing::info!(stream, %node, code = ?status.code(), reason = status.message(), "stream ended");
                // If even this finds no room, the client reads nothing; it sees the end of the stream.
                let _ = sender.try_send(Err(status));
            }
        }
    });
    Ok(receiver)
}

/// The client's right to be here.
struct Lease {
    credential: Credential,
    identity: NodeIdentity,
    recheck: tokio::time::Instant,
}

impl Lease {
    fn new(credential: Credential, identity: NodeIdentity, inner: &Inner) -> Self {
        let recheck = recheck_at(&identity, inner.settings.recheck_interval);
        Self {
            credential,
            identity,
            recheck,
        }
    }

    /// Asks again. That the authority does not answer is no reason to end the stream before its end.
    async fn renew(&mut self, inner: &Inner) -> Result<(), Status> {
        let expired =
            |identity: &NodeIdentity| identity.expires.is_some_and(|at| at <= SystemTime::now());
        match self.credential.check(&*inner.auth).await {
            Ok(identity) if identity.node == self.identity.node && !expired(&identity) => {
                self.identity = identity;
            }
            Ok(_) => return Err(AuthError::Expired.into()),
            Err(AuthError::Unavailable(_)) if !expired(&self.identity) => {}
            Err(error) => return Err(error.into()),
        }
        self.recheck = recheck_at(&self.identity, inner.settings.recheck_interval);
        Ok(())
    }
}

fn recheck_at(identity: &NodeIdentity, interval: Duration) -> tokio::time::Instant {
    let left = identity
        .expires
        .map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
    tokio::time::Instant::now() + left.map_or(interval, |left| left.min(interval))
}

/// Serves the stream until the client ends it (`Ok`) or we do.
async fn run<P: Protocol>(
    inner: &Inner,
    mut requests: Requests<P>,
    mut lease: Lease,
    slot: &Slot,
    responses: &Responses,
) -> Result<(), Status> {
    let mut snapshots = inner.snapshots.clone();
    let first = timeout(inner.settings.first_request_timeout, requests.next())
        .await
        .map_err(|_| Status::deadline_exceeded("no request came on this stream"))??;
    let Some(first) = first else { return Ok(()) };
    let view = node::view_of(P::node(&first), &lease.identity, &inner.settings)?;
    let (role, node) = (view.role, Arc::clone(&view.node));
    let session = SharedSession::new(Session::new(
        P::VARIANT,
        view,
        newest(&mut snapshots),
        Arc::clone(&inner.shared),
        inner.settings.limits.clone(),
    ));
    slot.begin(role, P::node(&first), session.clone());
    let desk = Desk {
        inner,
        slot,
        responses,
        role,
        node,
        session,
    };
    desk.feed::<P>(&first)?;
    desk.serve(&mut requests, &mut snapshots, &mut lease).await
}

/// One session at work. Clears its refusals when it ends, however it ends.
struct Desk<'a> {
    inner: &'a Inner,
    slot: &'a Slot,
    responses: &'a Responses,
    role: Role,
    node: Arc<str>,
    session: SharedSession,
}

impl Desk<'_> {
    async fn serve<P: Protocol>(
        &self,
        requests: &mut Requests<P>,
        snapshots: &mut watch::Receiver<Arc<Snapshot>>,
        lease: &mut Lease,
    ) -> Result<(), Status> {
        let mut draining = self.inner.draining.subscribe();
        let mut shutdown = pin!(raised(&mut draining));
        let mut closed = pin!(self.responses.closed());
        let (mut wake, mut recheck) = (Alarm::new(), Alarm::new());
        let mut more_snapshots = true;
        loop {
            let deadline = self.flush::<P>()?;
            tokio::select! {
                () = &mut closed => return Ok(()),
                request = requests.next() => match request? {
                    None => return Ok(()),
                    Some(request) => {
                        if let Some(node) = P::node(&request) {
                            node::check_id(node, &lease.identity, &self.inner.settings)?;
                        }
                        self.feed::<P>(&request)?;
                    }
                },
                changed = snapshots.changed(), if more_snapshots => match changed {
                    Ok(()) => self.session.lock().snapshot(newest(snapshots)),
                    // Nobody makes snapshots any more; the last one stays.
                    Err(_) => more_snapshots = false,
                },
                () = wake.at(deadline.map(Into::into)) => {}
                () = recheck.at(Some(lease.recheck)) => lease.renew(self.inner).await?,
                () = &mut shutdown => return Err(shutting_down()),
            }
        }
    }

    fn feed<P: Protocol>(&self, request: &P::Request) -> Result<(), Status> {
        let fed = P::feed(&mut self.session.lock(), request, Instant::now());
        fed.map_err(|violation| match violation {
            Violation::NameLength { .. } => Status::invalid_argument(violation.to_string()),
            Violation::Names { .. } | Violation::NameBytes { .. } | Violation::Rate(_) => {
                Status::resource_exhausted(violation.to_string())
            }
        })
    }

    /// Sends what can be sent; tells when there may be more even if nothing happens.
    fn flush<P: Protocol>(&self) -> Result<Option<Instant>, Status> {
        let (responses, events, deadline) = {
            let (mut session, now) = (self.session.lock(), Instant::now());
            let responses = session.poll(now);
            (responses, session.take_events(), session.deadline(now))
        };
        for response in responses {
            let own = P::without_resources(&response);
            let resources = (P::VARIANT, &response.resources[..]);
            let message = Message::new(&own, resources, &self.inner.shared.blocks)?;
            // Full only if the client answers what it has not read.
            self.responses.try_send(Ok(message)).map_err(|_| {
                Status::resource_exhausted("responses were answered that were not read")
            })?;
        }
        for event in events {
            self.notify(event);
        }
        Ok(deadline)
    }

    fn notify(&self, event: Event) {
        (self.inner.observer)(Notice {
            stream: self.slot.stream,
            node: Arc::clone(&self.node),
            role: self.role,
            event,
        });
    }
}

impl Drop for Desk<'_> {
    fn drop(&mut self) {
        let (events, state) = {
            let mut session = self.session.lock();
            (session.take_events(), session.state())
        };
        let refused = state.into_iter().flat_map(|of_type| of_type.refusals);
        for event in events.into_iter().chain(refused.map(Event::Cleared)) {
            self.notify(event);
        }
    }
}

fn newest(snapshots: &mut watch::Receiver<Arc<Snapshot>>) -> Arc<Snapshot> {
    Arc::clone(&snapshots.borrow_and_update())
}

/// What the client sends.
struct Requests<P: Protocol> {
    stream: Messages<P::Request>,
    only: Option<TypeUrl>,
}

impl<P: Protocol> Requests<P> {
    /// The next request.
    async fn next(&mut self) -> Result<Option<P::Request>, Status> {
        let Some(mut request) = self.stream.next().await? else {
            return Ok(None);
        };
        check_type(P::type_url(&mut request), self.only)?;
        Ok(Some(request))
    }
}

/// The type may be left out where the service says it, and has to be the service's.
fn check_type(type_url: &mut String, only: Option<TypeUrl>) -> Result<(), Status> {
    match only {
        None if type_url.is_empty() => Err(Status::invalid_argument(
            "the request has no type_url, which an aggregated stream needs",
        )),
        Some(only) if type_url.is_empty() => {
            only.clone_into(type_url);
            Ok(())
        }
        Some(only) if type_url != only => Err(Status::invalid_argument(format!(
            "the request is about {:?}, this service is about {only}",
            type_url.chars().take(200).collect::<String>()
        ))),
        _ => Ok(()),
    }
}

/// Comes back when the flag is raised.
async fn raised(flag: &mut watch::Receiver<bool>) {
    // The sender lives as long as the server, so this cannot fail.
    let _ = flag.wait_for(|raised| *raised).await;
}

fn shutting_down() -> Status {
    Status::unavailable("this server is shutting down; connect again")
}
