//! The server's process: the control plane's steps from objects to the stream, without its edges.

use std::{collections::BTreeSet, io::BufRead, sync::Arc, time::Instant};

use anyhow::Context;
use clap::ValueEnum;
use heddle_identity::TrustDomain;
use heddle_interop_xds::heddle::{TokenIsNode, serve};
use heddle_model::MtlsMode;
use heddle_resolve::{Resolver, Settings};
use heddle_resources::{ChangeSet, Cluster};
use heddle_snapshot::Snapshot;
use heddle_sources::Pace;
use heddle_translate::Translator;
use heddle_xds_server::Server;
use tokio::sync::watch;

use crate::{Case, Size, objects};

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
    println!("{} {}", serve(server).await?, built.as_micros());

    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let (mut batch, mut pace) = (Vec::new(), Pace::default());
    while lines.recv_many(&mut batch, 1000).await > 0 {
        pace.taken();
        tokio::task::block_in_place(|| pipeline.change(&batch, size))?;
        batch.clear();
        // As any source does.
        pace.ready().await;
    }
    Ok(())
}
