//! `heddle probe` in pods, and what it tells.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Instant,
};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::mesh::Mesh;

/// One interval of `heddle probe load`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Interval {
    pub(super) ok: u64,
    pub(super) failed: u64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) backends: Vec<Backend>,
    pub(super) errors: BTreeMap<String, u64>,
}

/// Who answered, and how often.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Backend {
    pub(super) pod: String,
    pub(super) identity: String,
    pub(super) client: String,
    pub(super) count: u64,
}

impl Interval {
    /// Answers of pods whose name begins so.
    pub(super) fn answered_by(&self, prefix: &str) -> u64 {
        let fit = self
            .backends
            .iter()
            .filter(|backend| backend.pod.starts_with(prefix));
        fit.map(|backend| backend.count).sum()
    }

    /// Adds another interval to this one; the slower percentiles count.
    pub(super) fn add(&mut self, other: &Self) {
        self.ok += other.ok;
        self.failed += other.failed;
        self.p50_ms = self.p50_ms.max(other.p50_ms);
        self.p99_ms = self.p99_ms.max(other.p99_ms);
        for backend in &other.backends {
            let same = |known: &&mut Backend| {
                (&known.pod, &known.identity, &known.client)
                    == (&backend.pod, &backend.identity, &backend.client)
            };
            match self.backends.iter_mut().find(same) {
                Some(known) => known.count += backend.count,
                None => self.backends.push(backend.clone()),
            }
        }
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
    }

    /// All intervals as one.
    pub(super) fn sum(intervals: impl IntoIterator<Item = Self>) -> Self {
        intervals
            .into_iter()
            .fold(Self::default(), |mut sum, interval| {
                sum.add(&interval);
                sum
            })
    }
}

/// Requests at a steady pace from a pod, until it is dropped.
pub(super) struct Load {
    child: Child,
    seen: Arc<Mutex<Vec<(Instant, Interval)>>>,
}

impl Load {
    /// Starts it; `arguments` are those of `heddle probe load`.
    pub(super) fn start(
        mesh: &Mesh,
        pod: Option<&str>,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = mesh.heddle_in(pod, &["probe", "load"])?;
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start heddle probe load")?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        if let Some(output) = child.stdout.take() {
            let seen = Arc::clone(&seen);
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if let Ok(interval) = serde_json::from_str(&line) {
                        lock(&seen).push((Instant::now(), interval));
                    }
                }
            });
        }
        Ok(Self { child, seen })
    }

    /// The intervals that ended since the last time, with the time at which each ended.
    pub(super) fn take(&self) -> Vec<(Instant, Interval)> {
        std::mem::take(&mut *lock(&self.seen))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `heddle probe connect` tells.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub(super) enum Outcome {
    Answered { answer: String, milliseconds: f64 },
    Closed,
    Failed { error: String },
    TimedOut,
}

/// What `heddle probe resolve` tells.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Resolved {
    pub(super) addresses: Vec<String>,
    pub(super) error: Option<String>,
}

/// Runs `heddle probe ...` to its end and reads its last line.
pub(super) fn ask<T: for<'a> Deserialize<'a>>(
    mesh: &Mesh,
    pod: Option<&str>,
    arguments: &[&str],
) -> anyhow::Result<T> {
    let mut command = mesh.heddle_in(pod, &["probe"])?;
    let output = command.args(arguments).stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(line) = text.lines().last() else {
        bail!(
            "heddle probe {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    };
    serde_json::from_str(line).with_context(|| line.to_owned())
}

/// So many requests as fast as the given pace allows, all in one interval.
pub(super) fn requests(
    mesh: &Mesh,
    pod: Option<&str>,
    arguments: &[&str],
) -> anyhow::Result<Interval> {
    // One interval, so that the percentiles are of all requests.
    let all = [&["load", "--every-ms", "600000"], arguments].concat();
    ask(mesh, pod, &all)
}
