//! All cases on all paths, in turns.

use std::{collections::BTreeMap, net::SocketAddr, thread, time::Duration};

use anyhow::{Context, anyhow};
use serde::Serialize;

use crate::{
    cases::{Case, Connections, Rate},
    counters::{Memory, cpu_time},
    engine::{self, EchoClient, H1Client, H2Load, Load, Observed, Pace, Talk, UploadClient},
    machine::Cores,
    paths::MeasuredPath,
    wire::{self, Exchange},
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
    pub(crate) p999_ms: f64,
    /// How much of their core the proxies used, 0 to 1. Well below 1 at full speed, client and server were what bounded it.
    pub(crate) used: Option<f64>,
    /// How much of the proxies' core went to others, 0 to 1: what disturbed.
    pub(crate) disturbance: f64,
    /// How much of what was due at a fixed rate was given up, 0 to 1, because the clients stood still by themselves.
    pub(crate) missed: f64,
    /// Memory of both proxies at the end.
    pub(crate) memory: Memory,
}

/// Runs it all. Each round visits every case, and in each case every path, one after the other.
pub(crate) fn run(plan: &Plan, paths: &[MeasuredPath]) -> anyhow::Result<Vec<Measurement>> {
    let (mut all, mut limits) = (Vec::new(), Limits::new());
    for round in 1..=plan.rounds {
        for case in &plan.cases {
            for path in paths {
                let Some(target) = path.door_for(case) else {
                    continue;
                };
                let pace = pace(case, path, &limits)?;
                let measured = measure(case, path, target, round, plan, pace)
                    .with_context(|| format!("{} on {}", case.name, path.name))?;
                if case.rate.is_none() {
                    limits.insert((case.name, path.name), measured.rate);
                }
                tell(plan, &measured);
                all.push(measured);
            }
        }
    }
    Ok(all)
}

/// What was reached last, by case and path, exchanges a second.
type Limits = BTreeMap<(&'static str, &'static str), f64>;

fn pace(case: &Case, path: &MeasuredPath, limits: &Limits) -> anyhow::Result<Pace> {
    Ok(match case.rate {
        None => Pace::Full,
        Some(Rate::Fixed(rate)) => Pace::Rate(rate),
        Some(Rate::Share { of, share }) => {
            let limit = limits.get(&(of, path.limit_of.unwrap_or(path.name)));
            let limit = limit.with_context(|| format!("{of} was not measured before"))?;
            Pace::Rate((limit * share).max(1.0))
        }
    })
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

/// The client's half of a case's exchanges on one connection.
fn talk(case: &Case) -> Box<dyn Talk> {
    match case.exchange {
        Exchange::Upload => Box::new(UploadClient::new(case.body)),
        Exchange::Bytes => Box::new(EchoClient::new(wire::bytes("load", case.body))),
        _ => Box::new(H1Client::new(case.path, case.body)),
    }
}

/// A thread of its own, which may go into another namespace, and whose timers are exact.
fn in_a_thread<T: Send>(work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    thread::scope(|scope| {
        let exact = || {
            // Timers of a thread are otherwise up to 50 us late (prctl(2), PR_SET_TIMERSLACK).
            nix::sys::prctl::set_timerslack(1).context("timer slack")?;
            work()
        };
        let thread = scope.spawn(exact);
        thread.join().map_err(|_| anyhow!("a client broke"))?
    })
}

/// The load of a case on a path.
fn drive<T>(
    case: &Case,
    path: &MeasuredPath,
    target: SocketAddr,
    plan: &Plan,
    pace: Pace,
    counters: impl Fn() -> anyhow::Result<T>,
) -> anyhow::Result<Observed<T>> {
    if case.exchange.is_http2() {
        let load = H2Load {
            target,
            connections: case.connections,
            streams: case.streams,
            span: plan.span,
            exchange: case.exchange,
            path: case.path,
        };
        return engine::run_h2(&load, counters);
    }
    let talk = || talk(case);
    let load = Load {
        target,
        connections: case.connections,
        streams: case.streams,
        anew: case.reuse == Connections::New,
        pace,
        span: plan.span,
        tls: path.tls_of(case.exchange)?,
        talk: &talk,
    };
    engine::run(&load, counters)
}

fn measure(
    case: &Case,
    path: &MeasuredPath,
    target: SocketAddr,
    round: u16,
    plan: &Plan,
    pace: Pace,
) -> anyhow::Result<Measurement> {
    let counters = || Ok((cpu_time(&path.proxies)?, plan.cores.busy_time()?));
    let observed =
        in_a_thread(|| path.as_client(|| drive(case, path, target, plan, pace, counters))?)?;
    let (cpu, busy) = (
        observed.after.0.saturating_sub(observed.before.0),
        observed.after.1.saturating_sub(observed.before.1),
    );
    // Nothing can be said for each answer where there was none.
    let has_cost = !path.proxies.is_empty() && observed.answered > 0;
    let milliseconds = |quantile| observed.latencies.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(Measurement {
        case: case.name,
        path: path.name,
        round,
        answered: observed.answered,
        rate: observed.answered as f64 / observed.span.as_secs_f64(),
        cpu_us: has_cost.then(|| cpu.as_secs_f64() * 1e6 / observed.answered as f64),
        p50_ms: milliseconds(0.5),
        p99_ms: milliseconds(0.99),
        p999_ms: milliseconds(0.999),
        used: has_cost.then(|| cpu.as_secs_f64() / observed.span.as_secs_f64()),
        disturbance: busy.saturating_sub(cpu).as_secs_f64() / observed.span.as_secs_f64(),
        missed: observed.missed as f64 / (observed.missed + observed.answered).max(1) as f64,
        memory: Memory::of(&path.proxies)?,
        failed: observed.failed,
    })
}
