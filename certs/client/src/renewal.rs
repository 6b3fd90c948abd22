//! The task that asks for certificates: a loop over what is due, with a bounded number of requests under way.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use heddle_identity::SpiffeId;
use tokio::{
    sync::Notify,
    task::{Id, JoinError, JoinSet},
};
use tracing::{info, warn};

use crate::{
    Issue, IssueError, certificates::Inner, key::KeyRequest, own::InvalidCertificate,
    own::OwnCertificate,
};

/// The calendar may jump and machines may sleep: look again at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Why one attempt to get a certificate failed.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// There is no key.
    #[error("making a key: {0}")]
    Key(#[from] rcgen::Error),
    /// The issuer did not sign.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// What it sent cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidCertificate),
    /// It did not come to an end.
    #[error("the attempt was broken off: {0}")]
    Task(#[from] JoinError),
}

type Attempt = Result<(KeyRequest, Vec<String>), AttemptError>;

/// Requests under way, and for whom each is.
#[derive(Default)]
struct Attempts {
    tasks: JoinSet<Attempt>,
    identities: HashMap<Id, SpiffeId>,
}

impl Attempts {
    fn start<I: Issue>(&mut self, issuer: Arc<I>, identity: SpiffeId, validity: Duration) {
        let asked = identity.clone();
        let task = self
            .tasks
            .spawn(async move { attempt(&*issuer, &asked, validity).await });
        self.identities.insert(task.id(), identity);
    }

    /// Pends for ever while nothing is under way.
    async fn next(&mut self) -> Option<(SpiffeId, Attempt)> {
        let Some(done) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let (id, attempt) = match done {
            Ok((id, attempt)) => (id, attempt),
            Err(error) => (error.id(), Err(error.into())),
        };
        self.identities
            .remove(&id)
            .map(|identity| (identity, attempt))
    }
}

/// Runs until the last handle is gone.
pub(crate) async fn run<I: Issue>(inner: Weak<Inner>, work: Arc<Notify>, issuer: Arc<I>) {
    let mut attempts = Attempts::default();
    loop {
        let Some(sleep) = start_due(&inner, &mut attempts, &issuer) else {
            return;
        };
        tokio::select! {
            () = work.notified() => {}
            () = tokio::time::sleep(sleep) => {}
            Some((identity, attempt)) = attempts.next() => {
                let Some(inner) = inner.upgrade() else { return };
                record(&inner, &identity, attempt);
            }
        }
    }
}

/// Starts what is due; returns how long nothing more will be. `None`: everybody has gone.
fn start_due<I: Issue>(
    inner: &Weak<Inner>,
    attempts: &mut Attempts,
    issuer: &Arc<I>,
) -> Option<Duration> {
    let inner = inner.upgrade()?;
    let free = inner
        .settings
        .concurrency
        .saturating_sub(attempts.tasks.len());
    let (due, next) = inner.wanted().take_due(inner.now(), free);
    for identity in due {
        attempts.start(issuer.clone(), identity, inner.settings.validity);
    }
    Some(next.map_or(LONGEST_SLEEP, |next| next.min(LONGEST_SLEEP)))
}

pub(crate) async fn attempt<I: Issue>(
    issuer: &I,
    identity: &SpiffeId,
    validity: Duration,
) -> Attempt {
    let request = KeyRequest::new(identity)?;
    let issued = issuer
        .issue(request.csr_pem.clone(), identity, validity)
        .await?;
    Ok((request, issued))
}

fn record(inner: &Inner, identity: &SpiffeId, attempt: Attempt) {
    let now = inner.now();
    let own = attempt.and_then(|(request, issued)| {
        let provider = inner.configs.provider();
        Ok(OwnCertificate::new(
            identity,
            request,
            &issued,
            now.calendar,
            provider,
        )?)
    });
    match own {
        Ok(own) => {
            info!(%identity, "certificate issued");
            inner
                .wanted()
                .issued(identity, Arc::new(own), rand::random());
        }
        Err(error) => {
            let text: Arc<str> = error.to_string().into();
            let pause = inner.wanted().failed(identity, text, now, rand::random());
            warn!(%identity, %error, ?pause, "no certificate");
        }
    }
    inner.announce();
}
