//! The measurement from beginning to end, told as it goes.

use std::{fs, time::Duration};

use anyhow::Result;

use crate::{
    Arguments,
    churn::{self, Churn},
    fleet::{Fleet, Served},
};

/// Measures and prints.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let size = arguments.size;
    let mut server = Served::start(size).await?;
    println!(
        "{} services, {} endpoints, {} routes: first snapshot in {:.0} ms",
        size.services,
        size.services * size.endpoints,
        size.routes,
        milliseconds(server.built)
    );
    // What a fresh process frees only later is none of the streams' memory.
    let alone = server.memory()?;
    let cpu = server.cpu()?;
    let mut fleet = Fleet::join(&server, arguments).await?;
    let streams = usize::from(arguments.streams);
    let cpu = server.cpu()? - cpu;
    let joined = server.memory()?;
    println!(
        "{streams} streams ({:?}) joined at once: all up to date after {:.2} s, {:.2} s of the server's CPU, {:.2} MB for each",
        arguments.protocol,
        fleet.took.as_secs_f64(),
        cpu.as_secs_f64(),
        fleet.bytes as f64 / streams as f64 / 1e6
    );
    println!(
        "memory: {:.1} MB alone, {:.1} MB with all streams (peak {:.1} MB): {:.1} kB a stream",
        megabytes(alone.resident_kb),
        megabytes(joined.resident_kb),
        megabytes(joined.peak_kb),
        joined.resident_kb.saturating_sub(alone.resident_kb) as f64 / streams as f64
    );
    let mut generation = 1;
    for rate in &arguments.rates {
        let of = (arguments.case, size, streams);
        let pace = (*rate, arguments.seconds);
        let churn = churn::run(&mut server, &mut fleet, of, pace, generation).await?;
        generation = churn.next_generation;
        tell(&churn, *rate, streams);
    }
    let after = server.memory()?;
    println!(
        "memory after all changes: {:.1} MB: {:.1} kB a stream above the server alone",
        megabytes(after.resident_kb),
        after.resident_kb.saturating_sub(alone.resident_kb) as f64 / streams as f64
    );
    if let Ok(load) = fs::read_to_string("/proc/loadavg") {
        print!("load of the machine: {load}");
    }
    Ok(())
}

fn tell(churn: &Churn, rate: u32, streams: usize) {
    let changes = churn.changes as f64;
    println!(
        "{rate} changes/s, {} changes: first stream p50 {:.1} ms; last stream p50 {:.1}, p90 {:.1}, p99 {:.1}, max {:.1} ms",
        churn.changes,
        milliseconds(quantile(&churn.first, 0.50)),
        milliseconds(quantile(&churn.last, 0.50)),
        milliseconds(quantile(&churn.last, 0.90)),
        milliseconds(quantile(&churn.last, 0.99)),
        milliseconds(quantile(&churn.last, 1.0)),
    );
    println!(
        "    for each change and stream {:.0} bytes, {:.2} resources, {:.2} responses; {:.2} ms of the server's CPU for each change, {:.0} % of a core",
        churn.bytes as f64 / changes / streams as f64,
        churn.resources as f64 / changes / streams as f64,
        churn.responses as f64 / changes / streams as f64,
        milliseconds(churn.cpu) / changes,
        100.0 * churn.cpu.as_secs_f64() / churn.took.as_secs_f64(),
    );
}

/// Of values in order.
fn quantile(ordered: &[Duration], share: f64) -> Duration {
    let rank = (ordered.len() as f64 * share).ceil() as usize;
    ordered
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn megabytes(kilobytes: u64) -> f64 {
    kilobytes as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_smallest_value_that_so_many_do_not_exceed() {
        let values: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        let at = |share| quantile(&values, share).as_millis();
        assert_eq!((at(0.5), at(0.99), at(1.0)), (50, 99, 100));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
