//! The server's process: the control plane's steps from objects to the stream, without its edges.

use std::{collections::BTreeSet, io::BufRead, sync::Arc, time::Instant};

use anyhow::Context;
use clap::ValueEnum;
use futures::future::BoxFuture;
use heddle_identity::TrustDomain;
use heddle_model::MtlsMode;
use heddle_resolve::{Resolver, Settings};
use heddle_resources::{ChangeSet, Cluster};
use heddle_snapshot::Snapshot;
use heddle_translate::Translator;
use heddle_xds_server::{AuthError, Authenticate, NodeIdentity, Server, Token, http2};
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::wrappers::TcpListenerStream;

use crate::{Case, Size, objects};

/// Believes everyone: a token is the name of its bearer's node.
struct TokenIsNode;

impl Authenticate for TokenIsNode {
    fn authenticate<'a>(
        &'a self,
        token: &'a Token,
    ) -> BoxFuture<'a, Result<NodeIdentity, AuthError>> {
        let identity = NodeIdentity {
            node: token.secret().into(),
            expires: None,
        };
        Box::pin(std::future::ready(Ok(identity)))
    }
}

/// What is served, and how it comes about.
struct Pipeline {
    cluster: Arc<Cluster>,
    resolver: Resolver,
    translator: Translator,
    snapshots: watch::Sender<Arc<Snapshot>>,
}

impl Pipeline {
    fn new((cluster, all): (Cluster, ChangeSet)) -> anyhow::Result<Self> {
        let settings = Settings {
            trust_domain: TrustDomain::new("cluster.local").context("a trust domain")?,
            cluster_domain: "cluster.local".into(),
            mtls: MtlsMode::Permissive,
        };
        let mut pipeline = Self {
            cluster: Arc::new(cluster),
            resolver: Resolver::new(settings),
            translator: Translator::new(),
            snapshots: watch::Sender::new(Arc::default()),
        };
        pipeline.round(&all);
        Ok(pipeline)
    }

    fn round(&mut self, changes: &ChangeSet) {
        let resolved = self.resolver.update(&self.cluster, changes);
        let translated = self.translator.update(&resolved.mesh, "");
        self.snapshots.send_replace(translated.snapshot);
    }

    /// Lines as `endpoints 7 3`: the object's kind of change, its number, its generation. All that has come is taken at once, as a watch does.
    fn change(&mut self, lines: &[String], size: Size) -> anyhow::Result<()> {
        let mut changes = BTreeSet::new();
        let mut cluster = (*self.cluster).clone();
        for line in lines {
            let mut words = line.split(' ');
            let case = words.next().context("a case")?;
            let case = Case::from_str(case, false).map_err(anyhow::Error::msg)?;
            let number = words.next().context("a number")?.parse()?;
            let generation = words.next().context("a generation")?.parse()?;
            let object = objects::changed(case, size, number, generation)?;
            changes.insert(object.id());
            cluster.insert(object);
        }
        self.cluster = Arc::new(cluster);
        self.round(&changes);
        Ok(())
    }
}

/// Serves until the standard input ends.
pub(crate) async fn run(size: Size) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut pipeline = Pipeline::new(objects::all(size)?)?;
    let built = begin.elapsed();
    let server = Server::new(
        pipeline.snapshots.subscribe(),
        TokenIsNode,
        heddle_xds_server::Settings::default(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{} {}", listener.local_addr()?, built.as_micros());
    let services = http2(tonic::transport::Server::builder()).add_routes(server.into_routes());
    tokio::spawn(services.serve_with_incoming(TcpListenerStream::new(listener)));

    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut batch = Vec::new();
    while lines.recv_many(&mut batch, 1000).await > 0 {
        tokio::task::block_in_place(|| pipeline.change(&batch, size))?;
        batch.clear();
    }
    Ok(())
}
