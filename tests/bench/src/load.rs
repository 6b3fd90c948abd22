//! The clients: one thread each, with blocking sockets, so that a request is sent when it is due and not when a timer ticks.
//!
//! With a rate the schedule is fixed beforehand, and a latency counts from the moment at which the request was due, not from
//! the moment at which the client got round to sending it: a proxy that stalls is charged for all that it held up.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;
use heddle_redirect::Netns;

use crate::{
    cases::{CLIENTS, Case, Connections},
    wire::{self, Exchange},
};

/// The same load before the measurement begins: connections are opened, pools are filled.
const WARM_UP: Duration = Duration::from_millis(500);
/// For an answer; later is a failure.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a failure at full speed, so that a path that is down is not hammered.
const PAUSE: Duration = Duration::from_millis(10);

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const DONE: u8 = 2;

/// What the clients saw while it was measured.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Exchanges that ended well.
    pub(crate) answered: u64,
    /// By error.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Microseconds.
    pub(crate) latencies: Histogram<u64>,
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            answered: 0,
            failed: BTreeMap::new(),
            latencies: Histogram::new_with_max(60_000_000, 3)?,
        })
    }

    fn count(&mut self, result: io::Result<()>, took: Duration) {
        match result {
            Ok(()) => {
                self.answered += 1;
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                self.latencies.saturating_record(micros.max(1));
            }
            Err(error) => *self.failed.entry(error.to_string()).or_default() += 1,
        }
    }

    fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.answered += other.answered;
        for (error, count) in other.failed {
            *self.failed.entry(error).or_default() += count;
        }
        self.latencies.add(other.latencies)?;
        Ok(())
    }
}

/// What came of a load, with the counters at its beginning and end.
pub(crate) struct Observed<T> {
    pub(crate) tally: Tally,
    pub(crate) before: T,
    pub(crate) after: T,
    pub(crate) span: Duration,
}

/// Sends a case's load from a pod's namespace, and reads `counters` around the measured part of it.
pub(crate) fn run<T>(
    netns: &Netns,
    target: SocketAddr,
    case: &Case,
    span: Duration,
    counters: impl Fn() -> anyhow::Result<T>,
) -> anyhow::Result<Observed<T>> {
    let phase = AtomicU8::new(WARMING);
    let start = Instant::now();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|index| {
                let phase = &phase;
                scope.spawn(move || -> anyhow::Result<Tally> {
                    let client = Client::new(case, target, Schedule::of(case.rate, index, start));
                    netns.run(|| client.work(phase))?
                })
            })
            .collect();
        thread::sleep(WARM_UP);
        let (before, begin) = (counters(), Instant::now());
        phase.store(MEASURING, Ordering::SeqCst);
        thread::sleep(span);
        phase.store(DONE, Ordering::SeqCst);
        let (after, span) = (counters(), begin.elapsed());
        let mut tally = Tally::new()?;
        for client in clients {
            let of_one = client.join().map_err(|_| anyhow!("a client broke"))??;
            tally.add(of_one)?;
        }
        Ok(Observed {
            tally,
            before: before?,
            after: after?,
            span,
        })
    })
}

/// When a client's exchanges are due.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    next: Instant,
    /// Between two; `None`: at once.
    every: Option<Duration>,
}

impl Schedule {
    /// The clients' turns are spread evenly.
    fn of(rate: Option<f64>, index: u32, start: Instant) -> Self {
        let every = rate.map(|rate| Duration::from_secs_f64(f64::from(CLIENTS) / rate));
        Self {
            next: start + every.map_or(Duration::ZERO, |every| every * index / CLIENTS),
            every,
        }
    }

    /// Waits for the next turn and tells when it was due.
    fn wait(&mut self) -> Instant {
        let Some(every) = self.every else {
            return Instant::now();
        };
        let due = self.next;
        self.next += every;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due
    }
}

struct Client<'a> {
    case: &'a Case,
    target: SocketAddr,
    schedule: Schedule,
    wire: wire::Client,
    kept: Option<TcpStream>,
}

impl<'a> Client<'a> {
    fn new(case: &'a Case, target: SocketAddr, schedule: Schedule) -> Self {
        Self {
            case,
            target,
            schedule,
            wire: wire::Client::new(case.exchange, wire::ROUTED, "load"),
            kept: None,
        }
    }

    fn work(mut self, phase: &AtomicU8) -> anyhow::Result<Tally> {
        // Timers of a thread are otherwise up to 50 us late (prctl(2), PR_SET_TIMERSLACK).
        nix::sys::prctl::set_timerslack(1).context("timer slack")?;
        let mut tally = Tally::new()?;
        loop {
            let due = self.schedule.wait();
            if phase.load(Ordering::Relaxed) == DONE {
                return Ok(tally);
            }
            let result = self.once();
            if result.is_err() && self.case.rate.is_none() {
                thread::sleep(PAUSE);
            }
            if phase.load(Ordering::Relaxed) == MEASURING {
                tally.count(result, due.elapsed());
            }
        }
    }

    fn once(&mut self) -> io::Result<()> {
        let mut stream = match self.kept.take() {
            Some(stream) => stream,
            None => connect(self.target)?,
        };
        self.wire.once(&mut stream)?;
        if self.case.connections == Connections::Kept {
            self.kept = Some(stream);
        }
        Ok(())
    }
}

fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// One exchange on a connection of its own, with a mark in it.
pub(crate) fn once(
    netns: &Netns,
    target: SocketAddr,
    exchange: Exchange,
    path: &str,
    mark: &str,
) -> anyhow::Result<()> {
    let mut stream = netns.run(|| connect(target))??;
    wire::Client::new(exchange, path, mark).once(&mut stream)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_turns_are_spread_over_the_interval() {
        let start = Instant::now();
        let due = |index| Schedule::of(Some(1600.0), index, start).next - start;
        assert_eq!(due(0), Duration::ZERO);
        assert_eq!(due(1), Duration::from_micros(625));
        assert_eq!(due(15), Duration::from_micros(9375));
    }

    #[test]
    fn a_late_client_is_charged_from_the_moment_its_turn_was_due() {
        let start = Instant::now() - Duration::from_secs(1);
        let mut schedule = Schedule::of(Some(1600.0), 0, start);
        assert_eq!(schedule.wait(), start);
        assert_eq!(schedule.wait(), start + Duration::from_millis(10));
    }
}
