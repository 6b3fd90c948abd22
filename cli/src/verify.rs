//! `heddle verify`: one promise of the mesh each, checked from inside a pod. Says what it saw, or what was expected instead, and then ends with 1.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::Subcommand;
use heddle_sample_apps::EchoAnswer;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::{Instant, sleep, timeout};

/// What is checked, and how long it may take to come about.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Servers may still be starting, and routes be on their way: seconds until it must hold.
    #[arg(long, global = true, default_value_t = 60)]
    within: u64,
    #[command(subcommand)]
    promise: Promise,
}

/// What must hold.
#[derive(Subcommand)]
enum Promise {
    /// A health endpoint says ready.
    Ready {
        /// Its URL.
        url: Uri,
    },
    /// The server was told the caller's identity, which only a certificate proves.
    Identity {
        /// An echo server.
        url: Uri,
        /// The caller's SPIFFE id.
        expected: String,
    },
    /// A version gets its share of requests, within two percentage points and three standard deviations of chance.
    Split {
        /// An echo server behind a split.
        url: Uri,
        /// Which version.
        version: String,
        /// Its share in percent.
        percent: f64,
        /// How many requests to send.
        #[arg(long, default_value_t = 1000)]
        count: u32,
    },
    /// The request is refused by policy.
    Denied {
        /// A server that must not be reached.
        url: Uri,
    },
}

const PAUSE: Duration = Duration::from_millis(200);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    println!("{}", check(arguments).await?);
    Ok(())
}

/// What was seen, in a sentence.
async fn check(arguments: Arguments) -> anyhow::Result<String> {
    let asker = Asker::new(Duration::from_secs(arguments.within));
    match arguments.promise {
        Promise::Ready { url } => {
            let is_ready = |answer: Answer| answer.must_be(StatusCode::OK);
            asker.until(&url, is_ready).await?;
            Ok(format!("{url} is ready"))
        }
        Promise::Identity { url, expected } => {
            let is_seen = |answer: Answer| {
                let seen = answer.echo()?.identity;
                ensure!(
                    seen == expected,
                    "the server saw {seen:?}, expected {expected:?}"
                );
                Ok(())
            };
            asker.until(&url, is_seen).await?;
            Ok(format!("mutual TLS: the server saw {expected}"))
        }
        Promise::Split {
            url,
            version,
            percent,
            count,
        } => asker.split(&url, &version, percent, count).await,
        Promise::Denied { url } => {
            let is_refused = |answer: Answer| answer.must_be(StatusCode::FORBIDDEN);
            asker.until(&url, is_refused).await?;
            Ok(format!("{url} is refused, as policy demands"))
        }
    }
}

struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Answer {
    fn must_be(&self, expected: StatusCode) -> anyhow::Result<()> {
        let Self { status, body } = self;
        let said = String::from_utf8_lossy(body);
        ensure!(
            *status == expected,
            "it answers {status}, expected {expected}: {}",
            said.trim()
        );
        Ok(())
    }

    fn echo(&self) -> anyhow::Result<EchoAnswer> {
        self.must_be(StatusCode::OK)?;
        serde_json::from_slice(&self.body).context("it is no echo server")
    }
}

struct Asker {
    http: Client<HttpConnector, Empty<Bytes>>,
    within: Duration,
}

impl Asker {
    fn new(within: Duration) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        // A connection that was made before the pod's capture stood would never be captured.
        let http = builder.pool_max_idle_per_host(0).build_http();
        Self { http, within }
    }

    /// Asks until the answer is as it must be; else tells what was wrong with the last one.
    async fn until<T>(
        &self,
        url: &Uri,
        check: impl Fn(Answer) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + self.within;
        loop {
            let checked = match self.ask(url).await {
                Ok(answer) => check(answer),
                Err(error) => Err(error),
            };
            match checked {
                Ok(seen) => return Ok(seen),
                Err(error) if Instant::now() >= deadline => {
                    bail!("{url}, within {:?}: {error:#}", self.within)
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn split(
        &self,
        url: &Uri,
        version: &str,
        percent: f64,
        count: u32,
    ) -> anyhow::Result<String> {
        ensure!(
            (0.0..=100.0).contains(&percent) && count > 0,
            "a share is from 0 to 100 percent of at least one request"
        );
        let of_version = |answer: Answer| Ok(answer.echo()?.version == version);
        if percent > 0.0 {
            let comes = |answer| {
                ensure!(of_version(answer)?, "no answer of {version} came");
                Ok(())
            };
            // Before the route is there, everything goes elsewhere.
            self.until(url, comes).await?;
        } else {
            self.until(url, of_version).await?;
        }
        let mut hits = 0;
        for _ in 0..count {
            hits += u32::from(of_version(self.ask(url).await?)?);
        }
        let seen = 100.0 * f64::from(hits) / f64::from(count);
        let tolerance = tolerance(percent, count);
        ensure!(
            (seen - percent).abs() <= tolerance,
            "{version} got {seen:.1} % of {count} requests to {url}, expected {percent} % (within {tolerance:.1})"
        );
        Ok(format!(
            "{version} got {seen:.1} % of {count} requests, as {percent} % were asked for"
        ))
    }

    async fn ask(&self, url: &Uri) -> anyhow::Result<Answer> {
        let answer = timeout(PATIENCE, self.http.get(url.clone()))
            .await
            .context("no answer in time")??;
        let status = answer.status();
        let body = timeout(PATIENCE, answer.into_body().collect())
            .await
            .context("the answer does not end")??;
        Ok(Answer {
            status,
            body: body.to_bytes(),
        })
    }
}

/// In percentage points: what chance may do, and what a balancer may that does not know the sum of all clients.
fn tolerance(percent: f64, count: u32) -> f64 {
    let share = percent / 100.0;
    2.0 + 300.0 * (share * (1.0 - share) / f64::from(count)).sqrt()
}

#[cfg(test)]
mod tests;
