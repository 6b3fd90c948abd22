//! Runs for a Lease, for ever.

use std::time::Duration;

use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
use kube::{Api, Client, api::PostParams, core::ObjectMeta};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Candidate, Move, Settings};

/// How long one request may take: two of them fit between a renewal and its deadline.
const REQUEST: Duration = Duration::from_secs(4);

/// A replica's run for a Lease.
#[derive(Debug)]
pub struct Campaign {
    /// Whether this replica leads.
    pub leading: watch::Receiver<bool>,
    /// Ends after a shutdown, when the lease was released.
    pub ended: JoinHandle<()>,
}

/// Starts to run for the Lease `name` in `namespace`, until shutdown; then releases it. Must be called inside a tokio runtime.
pub fn campaign(
    client: Client,
    namespace: &str,
    name: &str,
    settings: Settings,
    shutdown: CancellationToken,
) -> Campaign {
    let (sender, leading) = watch::channel(false);
    let runner = Runner {
        api: Api::namespaced(client, namespace),
        name: name.to_owned(),
        candidate: Candidate::new(settings),
        leading: sender,
        complaint: None,
    };
    let ended = tokio::spawn(runner.run(shutdown));
    Campaign { leading, ended }
}

struct Runner {
    api: Api<Lease>,
    name: String,
    candidate: Candidate,
    leading: watch::Sender<bool>,
    /// The failure that was told.
    complaint: Option<String>,
}

impl Runner {
    async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.round() => {}
            }
        }
        let led = *self.leading.borrow();
        self.tell(false);
        if led && let Err(error) = self.release().await {
            tracing::info!(%error, "the lease was not released; it runs out by itself");
        }
    }

    /// One look at the lease, and the pause after it. Steps down in time, whatever the API server does.
    async fn round(&mut self) {
        let deadline = self.candidate.leads_until();
        let result = tokio::select! {
            result = step(&self.api, &self.name, &mut self.candidate) => result,
            () = until(deadline) => Err("it could not be renewed in time".to_owned()),
        };
        self.note(result.err());
        self.tell(self.candidate.leads(Instant::now()));
        tokio::select! {
            () = sleep(self.candidate.retry()) => {}
            () = until(self.candidate.leads_until()) => self.tell(false),
        }
    }

    fn note(&mut self, complaint: Option<String>) {
        if complaint != self.complaint {
            if let Some(error) = &complaint {
                tracing::warn!("the lease {}: {error}", self.name);
            }
            self.complaint = complaint;
        }
    }

    fn tell(&self, leads: bool) {
        self.leading.send_if_modified(|leading| {
            let turned = *leading != leads;
            *leading = leads;
            if turned {
                tracing::info!(lease = %self.name, leads, "leadership");
            }
            turned
        });
    }

    async fn release(&self) -> Result<(), String> {
        let Some(mut lease) = within(self.api.get_opt(&self.name)).await? else {
            return Ok(());
        };
        let Some(spec) = self.candidate.release(&lease, Timestamp::now()) else {
            return Ok(());
        };
        lease.spec = Some(spec);
        let parameters = PostParams::default();
        within(self.api.replace(&self.name, &parameters, &lease)).await?;
        Ok(())
    }
}

/// Comes at a moment, or never; at once if the moment is past.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) if moment > Instant::now() => tokio::time::sleep_until(moment).await,
        _ => std::future::pending().await,
    }
}

/// Reads, decides, writes. That somebody else was faster is no failure.
async fn step(api: &Api<Lease>, name: &str, candidate: &mut Candidate) -> Result<(), String> {
    let present = within(api.get_opt(name)).await?;
    let asked = Instant::now();
    let parameters = PostParams::default();
    let written = match candidate.look(present.as_ref(), asked, Timestamp::now()) {
        Move::Wait => return Ok(()),
        Move::Create(spec) => {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(name.to_owned()),
                    ..ObjectMeta::default()
                },
                spec: Some(spec),
            };
            timeout(REQUEST, api.create(&parameters, &lease)).await
        }
        Move::Replace(spec) => {
            let mut lease = present.unwrap_or_default();
            lease.spec = Some(spec);
            timeout(REQUEST, api.replace(name, &parameters, &lease)).await
        }
    };
    match written {
        Ok(Ok(_)) => candidate.won(asked),
        Ok(Err(kube::Error::Api(answer))) if answer.code == 409 => {}
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("no answer within {} s", REQUEST.as_secs())),
    }
    Ok(())
}

async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match timeout(REQUEST, request).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", REQUEST.as_secs())),
    }
}
