//! The client against a scripted control plane on loopback: real sockets, real HTTP/2.

mod handler;
mod lost;
mod server;
mod stream;
mod tls;

use std::{sync::Arc, time::Duration};

use heddle_proto::envoy::config::core::v3::Node;
use heddle_xds_client::{
    Backoff, Client, Keepalive, NoToken, Server, Settings, StatusHandle, TokenSource, Variant,
};
use tokio::task::JoinHandle;

use self::handler::Recorder;

/// A client that runs until it is dropped.
struct Running {
    status: StatusHandle,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn settings(servers: Vec<Server>) -> Settings {
    Settings {
        servers,
        node: Node {
            id: "node-a".to_owned(),
            ..Node::default()
        },
        token: Arc::new(NoToken),
        wildcards: Settings::node_wildcards(Variant::Delta),
        variant: Variant::Delta,
        backoff: Backoff {
            first: Duration::from_millis(5),
            longest: Duration::from_millis(50),
        },
        keepalive: Keepalive::default(),
    }
}

fn plain(uri: &str) -> Vec<Server> {
    vec![Server {
        uri: uri.to_owned(),
        tls: None,
    }]
}

fn with_token(settings: Settings, token: impl TokenSource + 'static) -> Settings {
    Settings {
        token: Arc::new(token),
        ..settings
    }
}

fn start(settings: Settings, recorder: &Recorder) -> Running {
    let client = Client::new(settings);
    let status = client.status();
    let handler = recorder.clone();
    let task = tokio::spawn(async move {
        client.run(handler).await;
    });
    Running { status, task }
}

/// Fails a test that would hang; never decides one.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Waits until the status fulfils a condition.
async fn until(
    status: &StatusHandle,
    what: &str,
    holds: impl Fn(&heddle_xds_client::Status) -> bool,
) {
    soon(what, async {
        while !holds(&status.get()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}
