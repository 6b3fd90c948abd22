//! All cases on all paths, in turns.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::Context;
use serde::Serialize;

use crate::{
    cases::Case,
    counters::{Memory, cpu_time},
    load,
    machine::Cores,
    paths::MeasuredPath,
};

/// What to measure, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u16,
    /// Of each measurement.
    pub(crate) span: Duration,
    pub(crate) cases: Vec<Case>,
    pub(crate) cores: Cores,
}

/// One case on one path in one round.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measurement {
    pub(crate) case: &'static str,
    pub(crate) path: &'static str,
    pub(crate) round: u16,
    pub(crate) answered: u64,
    pub(crate) failed: BTreeMap<String, u64>,
    /// Answers a second.
    pub(crate) rate: f64,
    /// CPU time of both proxies for each answer, microseconds; `None` without proxies.
    pub(crate) cpu_us: Option<f64>,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// How much of the proxies' core went to others, 0 to 1: what disturbed.
    pub(crate) disturbance: f64,
    /// Memory of both proxies at the end.
    pub(crate) memory: Memory,
}

/// Runs it all. Each round visits every case, and in each case every path, one after the other.
pub(crate) fn run(plan: &Plan, paths: &[MeasuredPath]) -> anyhow::Result<Vec<Measurement>> {
    let mut all = Vec::new();
    for round in 1..=plan.rounds {
        for case in &plan.cases {
            for path in paths {
                let Some(target) = path.target(case.exchange) else {
                    continue;
                };
                if path.proxies.is_empty() && !case.with_control {
                    continue;
                }
                let measured = measure(case, path, target, round, plan)
                    .with_context(|| format!("{} on {}", case.name, path.name))?;
                tell(plan, &measured);
                all.push(measured);
            }
        }
    }
    Ok(all)
}

fn tell(plan: &Plan, measured: &Measurement) {
    let cpu = measured
        .cpu_us
        .map_or_else(String::new, |cpu| format!("{cpu:.1} us of CPU, "));
    let failed: u64 = measured.failed.values().sum();
    eprintln!(
        "round {}/{}  {:<12} {:<24} {cpu}p50 {:.2} ms, p99 {:.2} ms, {:.0}/s, {failed} failed",
        measured.round,
        plan.rounds,
        measured.case,
        measured.path,
        measured.p50_ms,
        measured.p99_ms,
        measured.rate
    );
}

fn measure(
    case: &Case,
    path: &MeasuredPath,
    target: SocketAddr,
    round: u16,
    plan: &Plan,
) -> anyhow::Result<Measurement> {
    let counters = || Ok((cpu_time(&path.proxies)?, plan.cores.busy_time()?));
    let observed = load::run(&path.client, target, case, plan.span, counters)?;
    let (cpu, busy) = (
        observed.after.0.saturating_sub(observed.before.0),
        observed.after.1.saturating_sub(observed.before.1),
    );
    let tally = observed.tally;
    let has_proxies = !path.proxies.is_empty();
    let milliseconds = |quantile| tally.latencies.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(Measurement {
        case: case.name,
        path: path.name,
        round,
        answered: tally.answered,
        rate: tally.answered as f64 / observed.span.as_secs_f64(),
        cpu_us: has_proxies.then(|| cpu.as_secs_f64() * 1e6 / tally.answered.max(1) as f64),
        p50_ms: milliseconds(0.5),
        p99_ms: milliseconds(0.99),
        disturbance: busy.saturating_sub(cpu).as_secs_f64() / observed.span.as_secs_f64(),
        memory: Memory::of(&path.proxies)?,
        failed: tally.failed,
    })
}
