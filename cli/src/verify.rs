//! `heddle verify`: one promise of the mesh each, checked from inside a pod. Says what it saw, and fails with what was expected.

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
use tokio::time::{sleep, timeout};

/// What must hold.
#[derive(Subcommand)]
pub(crate) enum Verify {
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
    /// A version gets its share of requests, within three standard deviations of chance and two percentage points.
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

type Http = Client<HttpConnector, Empty<Bytes>>;

/// Servers may still be starting.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(verify: Verify) -> anyhow::Result<()> {
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    match verify {
        Verify::Ready { url } => {
            until_answered(&http, &url, StatusCode::OK).await?;
            println!("{url} is ready");
        }
        Verify::Identity { url, expected } => {
            let body = until_answered(&http, &url, StatusCode::OK).await?;
            let seen = serde_json::from_slice::<EchoAnswer>(&body)?.identity;
            ensure!(
                seen == expected,
                "the server saw {seen:?}, expected {expected:?}"
            );
            println!("mutual TLS: the server saw {seen}");
        }
        Verify::Split {
            url,
            version,
            percent,
            count,
        } => split(&http, &url, &version, percent, count).await?,
        Verify::Denied { url } => {
            until_answered(&http, &url, StatusCode::FORBIDDEN).await?;
            println!("{url} is refused, as policy demands");
        }
    }
    Ok(())
}

async fn split(
    http: &Http,
    url: &Uri,
    version: &str,
    percent: f64,
    count: u32,
) -> anyhow::Result<()> {
    ensure!(
        (0.0..=100.0).contains(&percent) && count > 0,
        "a share is from 0 to 100 percent of at least one request"
    );
    until_answered(http, url, StatusCode::OK).await?;
    let mut hits = 0_u32;
    for _ in 0..count {
        let (status, body) = ask(http, url).await?;
        ensure!(status == StatusCode::OK, "a request was answered {status}");
        hits += u32::from(serde_json::from_slice::<EchoAnswer>(&body)?.version == version);
    }
    let seen = 100.0 * f64::from(hits) / f64::from(count);
    let deviation = 100.0 * (percent / 100.0 * (1.0 - percent / 100.0) / f64::from(count)).sqrt();
    let tolerance = 2.0 + 3.0 * deviation;
    ensure!(
        (seen - percent).abs() <= tolerance,
        "{version} got {seen:.1} % of {count} requests, expected {percent} % (within {tolerance:.1})"
    );
    println!("{version} got {seen:.1} % of {count} requests, as {percent} % were asked for");
    Ok(())
}

/// Asks until the answer has the expected status.
async fn until_answered(http: &Http, url: &Uri, expected: StatusCode) -> anyhow::Result<Bytes> {
    let mut last = String::new();
    for _ in 0..TRIES {
        match ask(http, url).await {
            Ok((status, body)) if status == expected => return Ok(body),
            Ok((status, _)) => last = format!("it answers {status}"),
            Err(error) => last = format!("{error:#}"),
        }
        sleep(PAUSE).await;
    }
    bail!("{url}: expected {expected}, but after {TRIES} tries {last}")
}

async fn ask(http: &Http, url: &Uri) -> anyhow::Result<(StatusCode, Bytes)> {
    let answer = timeout(PATIENCE, http.get(url.clone()))
        .await
        .context("no answer in time")??;
    let status = answer.status();
    let body = timeout(PATIENCE, answer.into_body().collect())
        .await
        .context("the answer does not end")??;
    Ok((status, body.to_bytes()))
}
