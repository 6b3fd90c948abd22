//! The control plane without its ports: a folder goes in, snapshots and the board come out.

mod bad_input;
mod callers;
mod edits;
mod refusals;

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use clap::Parser;
use heddle_issuer::Issuer;
use heddle_snapshot::{Snapshot, Version};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    arguments::Arguments,
    board::Board,
    metrics::Metrics,
    pipeline::{self, Pipeline},
};

/// Only a guard against hanging: no test depends on how long anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two nodes, a Service `good` with one pod on each, and a third pod of another account on the second.
const BASE: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {heddle.dev/mesh: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: good, namespace: shop}
spec: {clusterIP: 10.96.0.1, selector: {app: good}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: good-a, namespace: shop, labels: {app: good}}
spec: {nodeName: node-a, serviceAccountName: good, containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.244.1.1, podIPs: [{ip: 10.244.1.1}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: other-b, namespace: shop, labels: {app: other}}
spec: {nodeName: node-b, serviceAccountName: other, containers: [{name: c}]}
status: {phase: Running, podIP: 10.244.2.1, podIPs: [{ip: 10.244.2.1}], conditions: [{type: Ready, status: "True"}]}
"#;

/// A running pipeline.
struct Running {
    folder: TempDir,
    _ca: TempDir,
    board: Board,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    pipeline: JoinHandle<()>,
}

impl Running {
    /// Starts on a folder with [`BASE`] and these files, and comes back after the first round.
    async fn start(files: &[(&str, &str)]) -> Self {
        Self::start_with(files, &[]).await
    }

    /// The same with further arguments.
    async fn start_with(files: &[(&str, &str)], further: &[&str]) -> Self {
        let (folder, ca) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        for (name, text) in [("_base.yaml", BASE)].iter().chain(files) {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let manifests = folder.path().to_str().unwrap();
        let line = [
            "heddle-control-plane",
            "--manifests",
            manifests,
            "--bootstrap-tokens",
            "unused",
        ];
        let arguments = Arguments::parse_from(line.iter().chain(further));
        let issuer = Issuer::open(
            ca.path(),
            arguments.trust_domain.clone(),
            heddle_issuer::Settings::default(),
        );
        let board = Board::new(arguments.node_proxy_identity());
        let metrics = Arc::new(Metrics::new());
        let source = pipeline::source(&arguments, None).await.unwrap();
        let issuer = Arc::new(issuer.unwrap());
        let pipeline = Pipeline::new(&arguments, issuer, board.clone(), metrics);
        let snapshots = pipeline.snapshots();
        let running = Self {
            folder,
            _ca: ca,
            board,
            snapshots,
            pipeline: tokio::spawn(pipeline.run(source)),
        };
        running.board.ready().await;
        running
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn problems(&self) -> BTreeSet<String> {
        self.board.round().unwrap().problems.clone()
    }

    /// Waits for a round after which this holds.
    async fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        // A round publishes its snapshot, changed or not, before its problems and without a pause between the two.
        let wait = async {
            while !holds(self) {
                self.snapshots.changed().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, wait).await;
        in_time.expect("it never came to that");
    }

    /// The version of a resource that proxies get now.
    fn version(&self, type_url: &str, name: &str) -> Option<Version> {
        let snapshot = self.snapshots.borrow();
        let resources = snapshot.types.get(type_url)?;
        Some(resources.get(name)?.version.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.pipeline.abort();
    }
}
