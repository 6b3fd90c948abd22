//! Changes at a fixed rate, and when each has reached the last stream.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    Case, Size,
    fleet::{Arrival, Fleet, Served},
};

/// How long changes may be on their way after the last one was made, before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// One rate.
pub(crate) struct Churn {
    pub(crate) changes: usize,
    /// Latencies from the change to the last stream, ordered.
    pub(crate) last: Vec<Duration>,
    /// The same to the first stream.
    pub(crate) first: Vec<Duration>,
    pub(crate) cpu: Duration,
    pub(crate) took: Duration,
    pub(crate) bytes: u64,
    pub(crate) responses: u64,
    pub(crate) resources: u64,
    /// The first generation that no object has had yet.
    pub(crate) next_generation: usize,
}

/// A change on its way.
struct Pending {
    due: Instant,
    first: Option<Instant>,
    last: Instant,
    missing: usize,
}

/// The resource that a change leads to.
fn resource(case: Case, number: usize) -> String {
    match case {
        Case::Endpoints => format!("load/service-{number}:80"),
        Case::Routes => "gateway/load/web/http".to_owned(),
    }
}

/// Makes changes at this rate for some time, each of another object. A latency counts from the moment at which the change was due.
pub(crate) async fn run(
    server: &mut Served,
    fleet: &mut Fleet,
    (case, size, streams): (Case, Size, usize),
    (rate, seconds): (u32, u32),
    generation: usize,
) -> Result<Churn> {
    let objects = match case {
        Case::Endpoints => size.services,
        Case::Routes => size.routes,
    };
    ensure!(
        objects > 0,
        "there is nothing to change: --services or --routes"
    );
    let changes = (rate * seconds) as usize;
    let before = (counts(fleet), server.cpu()?);
    let begin = Instant::now();
    let mut pending: HashMap<String, Pending> = HashMap::new();
    let mut done: BTreeMap<usize, Pending> = BTreeMap::new();
    let mut made = 0;
    while done.len() < changes {
        let due = begin + Duration::from_secs_f64(made as f64 / f64::from(rate));
        let name = resource(case, made % objects);
        // What changes the same resource waits for the one before, or none could tell them apart.
        if made < changes && due <= Instant::now() && !pending.contains_key(&name) {
            server
                .change(case, made % objects, generation + made / objects)
                .await?;
            let entry = Pending {
                due,
                first: None,
                last: due,
                missing: streams,
            };
            pending.insert(name, entry);
            made += 1;
            continue;
        }
        let next = (made < changes && due > Instant::now()).then_some(due);
        let wait = next.unwrap_or_else(|| Instant::now() + PATIENCE);
        tokio::select! {
            arrival = fleet.arrivals.recv() => {
                let arrival = arrival.context("all streams ended")?;
                if let Some(entry) = note(&mut pending, &arrival) {
                    done.insert(done.len(), entry);
                }
            }
            () = tokio::time::sleep_until(wait.into()) => {
                fleet.check().await?;
                ensure!(next.is_some(), "{} of {changes} changes never reached the last stream", changes - done.len());
            }
        }
    }
    let after = counts(fleet);
    let mut last: Vec<_> = done.values().map(|entry| entry.last - entry.due).collect();
    let mut first: Vec<_> = done
        .values()
        .filter_map(|entry| Some(entry.first? - entry.due))
        .collect();
    last.sort();
    first.sort();
    Ok(Churn {
        changes,
        last,
        first,
        cpu: server.cpu()? - before.1,
        took: begin.elapsed(),
        bytes: after.0 - before.0.0,
        responses: after.1 - before.0.1,
        resources: after.2 - before.0.2,
        next_generation: generation + changes / objects + 1,
    })
}

/// Takes an arrival in; gives the change if it was the last that was missing.
fn note(pending: &mut HashMap<String, Pending>, arrival: &Arrival) -> Option<Pending> {
    let entry = pending.get_mut(&*arrival.name)?;
    entry.first.get_or_insert(arrival.at);
    entry.last = entry.last.max(arrival.at);
    entry.missing -= 1;
    match entry.missing {
        0 => pending.remove(&*arrival.name),
        _ => None,
    }
}

fn counts(fleet: &Fleet) -> (u64, u64, u64) {
    let traffic = &fleet.traffic;
    (
        traffic.bytes.load(Ordering::Relaxed),
        traffic.responses.load(Ordering::Relaxed),
        traffic.resources.load(Ordering::Relaxed),
    )
}
