//! HTTP requests at a steady pace.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use heddle_sample_apps::EchoAnswer;
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    sync::Mutex,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::tally::{Backend, Tally};

/// What to send, and how much.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where.
    url: Uri,
    /// Requests a second, over all connections; at most 20,000.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Clients that send one request after the other, each on a connection of its own.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Stop after so many requests.
    #[arg(long)]
    count: Option<u64>,
    /// Speak HTTP/2 from the first byte.
    #[arg(long)]
    http2: bool,
    /// Open a new connection for each request.
    #[arg(long)]
    new_connections: bool,
    /// `name: value`; may be given several times.
    #[arg(long = "header", short = 'H', value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Milliseconds between two lines of output.
    #[arg(long, default_value_t = 250)]
    every_ms: u64,
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header reads `name: value`")?;
    let name = name.trim().parse().map_err(|error| format!("{error}"))?;
    let value = value.trim().parse().map_err(|error| format!("{error}"))?;
    Ok((name, value))
}

type Http = Client<HttpConnector, Empty<Bytes>>;

/// How often one request is sent at most.
const MOST_TRIES: u32 = 3;
/// No answer within this time is a failure.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let arguments = Arc::new(arguments);
    let tally = Arc::new(Mutex::new(Tally::new()?));
    let connections = arguments.connections.clamp(1, 1000);
    let budgets = budgets(arguments.count, connections);
    let clients: Vec<_> = budgets
        .into_iter()
        .map(|budget| {
            let (arguments, tally) = (Arc::clone(&arguments), Arc::clone(&tally));
            tokio::spawn(async move { send(&arguments, connections, budget, &tally).await })
        })
        .collect();
    let printing = {
        let (tally, every) = (Arc::clone(&tally), arguments.every_ms.max(10));
        tokio::spawn(async move {
            let mut ticks = interval(Duration::from_millis(every));
            ticks.tick().await;
            loop {
                ticks.tick().await;
                print(&tally).await;
            }
        })
    };
    for client in clients {
        client.await?;
    }
    printing.abort();
    print(&tally).await;
    Ok(())
}

/// How many requests each client sends; `None`: without end.
fn budgets(count: Option<u64>, connections: usize) -> Vec<Option<u64>> {
    let clients = connections as u64;
    (0..clients)
        .map(|index| count.map(|count| count / clients + u64::from(index < count % clients)))
        .collect()
}

async fn print(tally: &Mutex<Tally>) {
    let report = tally.lock().await.take();
    if let Ok(line) = serde_json::to_string(&report) {
        println!("{line}");
    }
}

async fn send(
    arguments: &Arguments,
    connections: usize,
    budget: Option<u64>,
    tally: &Mutex<Tally>,
) {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.http2_only(arguments.http2);
    if arguments.new_connections {
        builder.pool_max_idle_per_host(0);
    }
    let client: Http = builder.build_http();
    let rate = arguments.rate.clamp(0.1, 20_000.0);
    let mut ticks = interval(Duration::from_secs_f64(connections as f64 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = 0;
    while budget.is_none_or(|budget| sent < budget) {
        ticks.tick().await;
        sent += 1;
        let begin = Instant::now();
        let result = timeout(PATIENCE, ask(&client, arguments)).await;
        let mut tally = tally.lock().await;
        match result {
            Ok(Ok(backend)) => tally.answered(backend, begin.elapsed()),
            Ok(Err(error)) => tally.failed(error),
            Err(_) => tally.failed("no answer in time".into()),
        }
    }
}

/// A request that met a connection that is just going away was not processed and is sent again (RFC 9113 section 8.7); hyper leaves that to us.
async fn ask(client: &Http, arguments: &Arguments) -> Result<Backend, String> {
    for _ in 0..MOST_TRIES {
        match ask_once(client, arguments).await {
            Err(error) if is_going_away(&*error) => {}
            result => return result.map_err(|error| chain(&*error)),
        }
    }
    Err("each connection went away".to_owned())
}

fn is_going_away(error: &(dyn std::error::Error + 'static)) -> bool {
    let http2 = error.downcast_ref::<h2::Error>().is_some_and(|error| {
        error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
    });
    http2 || error.source().is_some_and(is_going_away)
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn ask_once(client: &Http, arguments: &Arguments) -> Result<Backend, Failure> {
    let mut request = Request::get(arguments.url.clone());
    for (name, value) in &arguments.headers {
        request = request.header(name, value);
    }
    let response = client.request(request.body(Empty::new())?).await?;
    let status = response.status();
    let body = response.into_body().collect().await?;
    if status.as_u16() >= 400 {
        return Err(format!("status {}", status.as_u16()).into());
    }
    let answer: EchoAnswer = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let client: Option<SocketAddr> = answer.client.parse().ok();
    Ok(Backend {
        pod: answer.pod,
        version: answer.version,
        identity: answer.identity,
        client: client
            .map(|client| client.ip().to_string())
            .unwrap_or_default(),
    })
}

/// An error with all its causes: the outermost one rarely tells.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_together_send_exactly_what_is_asked() {
        for (count, connections) in [(0, 1), (5, 8), (5000, 16), (17, 4)] {
            let sum: u64 = budgets(Some(count), connections)
                .into_iter()
                .flatten()
                .sum();
            assert_eq!(sum, count);
        }
    }

    #[test]
    fn a_header_without_a_colon_is_refused() {
        assert!(header("x-canary").is_err());
        assert_eq!(header("X-Canary: always").unwrap().0, "x-canary");
    }
}
