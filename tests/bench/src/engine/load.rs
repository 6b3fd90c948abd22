//! The clients.
//!
//! With a rate the [schedule](Schedule) is fixed beforehand, and a latency counts from the moment at which the request was due, not from
//! the moment at which a connection was free for it: a proxy that stalls is charged for all that it held up.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use rustix::event::{
    Timespec,
    epoll::{self, CreateFlags},
};

use super::{
    Talk,
    connection::{CHUNK, Connection},
    schedule::Schedule,
};
use crate::tls;

/// The same load before the measurement begins: connections are opened, pools are filled.
pub(super) const WARM_UP: Duration = Duration::from_millis(500);
/// So many errors in one measurement mean that there is nothing to measure.
pub(super) const FAILURES: u64 = 1000;
/// Nothing is waited for longer than this, so that the end of a measurement is seen.
const LOOK: Duration = Duration::from_millis(50);
/// For a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How often something is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Each client asks again as soon as it has the answer.
    Full,
    /// So many times a second over all clients.
    Rate(f64),
}

/// What the clients do.
pub(crate) struct Load<'a> {
    pub(crate) target: SocketAddr,
    /// Open at once.
    pub(crate) connections: usize,
    /// Questions on their way at once on each.
    pub(crate) streams: usize,
    /// Whether each question has a connection of its own.
    pub(crate) anew: bool,
    pub(crate) pace: Pace,
    pub(crate) span: Duration,
    /// If TLS is spoken.
    pub(crate) tls: Option<&'a tls::Clients>,
    pub(crate) talk: &'a (dyn Fn() -> Box<dyn Talk> + Sync),
}

/// What the clients saw, with the counters at the beginning and end.
pub(crate) struct Observed<T> {
    /// Exchanges that ended well.
    pub(crate) answered: u64,
    /// By error.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Microseconds.
    pub(crate) latencies: Histogram<u64>,
    /// Exchanges that were due while the clients stood still by themselves, and were given up.
    pub(crate) missed: u64,
    pub(crate) before: T,
    pub(crate) after: T,
    pub(crate) span: Duration,
}

/// Does the load in this thread's network namespace, and reads `counters` around the measured part of it.
pub(crate) fn run<T>(
    load: &Load<'_>,
    counters: impl Fn() -> anyhow::Result<T>,
) -> anyhow::Result<Observed<T>> {
    let mut clients = Clients::new(load)?;
    clients.until(Instant::now() + WARM_UP.min(load.span))?;
    let (before, begin) = (counters()?, Instant::now());
    clients.forget()?;
    clients.until(begin + load.span)?;
    let (after, span) = (counters()?, begin.elapsed());
    Ok(Observed {
        answered: clients.latencies.len(),
        failed: clients.failed,
        latencies: clients.latencies,
        missed: clients.schedule.as_mut().map_or(0, Schedule::missed),
        before,
        after,
        span,
    })
}

struct Clients<'a> {
    load: &'a Load<'a>,
    epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    /// Per connection and question on it, when it was due; `None`: nothing is asked.
    due: Vec<Vec<Option<Instant>>>,
    /// Connections and questions that are free, when there is a rate; the one that waited longest comes first.
    free: std::collections::VecDeque<(usize, usize)>,
    /// If there is a rate.
    schedule: Option<Schedule>,
    failed: BTreeMap<String, u64>,
    latencies: Histogram<u64>,
}

impl<'a> Clients<'a> {
    fn new(load: &'a Load<'a>) -> anyhow::Result<Self> {
        let mut clients = Self {
            load,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            connections: (0..load.connections).map(|_| None).collect(),
            due: vec![vec![None; load.streams]; load.connections],
            free: std::collections::VecDeque::new(),
            schedule: None,
            failed: BTreeMap::new(),
            latencies: Histogram::new_with_max(60_000_000, 3)?,
        };
        for place in 0..load.connections {
            clients.open(place).context("no connection")?;
        }
        if let Pace::Rate(rate) = load.pace {
            clients.schedule = Some(Schedule::new(rate, Instant::now()));
        }
        for place in 0..load.connections {
            for number in 0..load.streams {
                clients.is_free(place, number);
            }
        }
        Ok(clients)
    }

    fn forget(&mut self) -> anyhow::Result<()> {
        let failed: u64 = self.failed.values().sum();
        if self.latencies.is_empty() && failed > 0 {
            bail!("nothing but errors: {:?}", self.failed);
        }
        self.latencies.reset();
        self.failed.clear();
        if let Some(schedule) = &mut self.schedule {
            schedule.missed();
        }
        Ok(())
    }

    fn open(&mut self, place: usize) -> io::Result<()> {
        if let Some(schedule) = &mut self.schedule {
            schedule.may_be_held_up();
        }
        let stream = TcpStream::connect_timeout(&self.load.target, PATIENCE)?;
        let tls = self.load.tls.map(|clients| clients.connection());
        let tls = tls.transpose().map_err(io::Error::other)?;
        let connection = Connection::new(&self.epoll, stream, place, tls, (self.load.talk)())?;
        self.connections[place] = Some(connection);
        Ok(())
    }

    /// Asks at once, or when the schedule says.
    fn is_free(&mut self, place: usize, number: usize) {
        if self.schedule.is_some() {
            self.free.push_back((place, number));
        } else {
            self.ask(place, number, Instant::now());
        }
    }

    fn ask(&mut self, place: usize, number: usize, due: Instant) {
        self.due[place][number] = Some(due);
        if let Some(connection) = &mut self.connections[place] {
            connection.talk.ask(number, &mut connection.output);
            // What breaks here is seen, and counted, by the next reading.
            let _ = connection.flush(&self.epoll, place);
        }
    }

    fn until(&mut self, end: Instant) -> anyhow::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let mut events = Vec::with_capacity(256);
        let mut answered = Vec::new();
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            let wait = self.ask_what_is_due(now).min(end - now);
            let wait = Timespec::try_from(wait)?;
            events.clear();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&wait),
            ) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let place = usize::try_from(event.data.u64())?;
                self.exchange(place, &mut chunk, &mut answered)?;
            }
        }
    }

    /// Tells how long nothing is due.
    fn ask_what_is_due(&mut self, now: Instant) -> Duration {
        if let Some(schedule) = &mut self.schedule {
            schedule.look(now);
        }
        while let Some(schedule) = self.schedule.as_mut().filter(|one| one.is_due(now)) {
            let Some((place, number)) = self.free.pop_front() else {
                return LOOK;
            };
            let due = schedule.take();
            self.ask(place, number, due);
        }
        let is_ready = !self.free.is_empty();
        let schedule = self.schedule.as_mut();
        schedule.map_or(LOOK, |schedule| LOOK.min(schedule.wait(now, is_ready)))
    }

    fn exchange(
        &mut self,
        place: usize,
        chunk: &mut [u8],
        answered: &mut Vec<usize>,
    ) -> anyhow::Result<()> {
        let Some(connection) = &mut self.connections[place] else {
            return Ok(());
        };
        let read = connection.read(chunk, answered);
        for number in answered.drain(..) {
            if let Some(due) = self.due[place][number].take() {
                let micros = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.latencies.saturating_record(micros.max(1));
            }
            if self.load.anew {
                self.connections[place] = None;
                if let Err(error) = self.open(place) {
                    return self.broke(place, &error);
                }
            }
            self.is_free(place, number);
        }
        let Some(connection) = &mut self.connections[place] else {
            return Ok(());
        };
        match read.and_then(|()| connection.flush(&self.epoll, place)) {
            Ok(()) => Ok(()),
            Err(error) => self.broke(place, &error),
        }
    }

    fn broke(&mut self, place: usize, error: &io::Error) -> anyhow::Result<()> {
        *self.failed.entry(error.to_string()).or_default() += 1;
        if self.failed.values().sum::<u64>() >= FAILURES {
            bail!("too many errors: {:?}", self.failed);
        }
        self.connections[place] = None;
        self.open(place)
            .with_context(|| format!("no connection after {error}"))?;
        for number in 0..self.load.streams {
            // With a rate, what was not asked is in the row already.
            if self.due[place][number].take().is_some() || self.schedule.is_none() {
                self.is_free(place, number);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;
    use crate::engine::EchoClient;

    /// Sends back what comes on one connection, and sleeps once, when so many bytes have come.
    fn stall_once(listener: &TcpListener, after: usize, stall: Duration) -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let (mut chunk, mut come) = ([0; 64], 0);
        loop {
            let length = stream.read(&mut chunk)?;
            if length == 0 {
                return Ok(());
            }
            if (come..come + length).contains(&after) {
                thread::sleep(stall);
            }
            come += length;
            stream.write_all(&chunk[..length])?;
        }
    }

    #[test]
    fn whoever_holds_up_one_answer_is_charged_for_all_that_was_due_meanwhile() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let server =
            thread::spawn(move || stall_once(&listener, 600, Duration::from_millis(50)).unwrap());
        let load = Load {
            target,
            connections: 1,
            streams: 1,
            anew: false,
            pace: Pace::Rate(1000.0),
            span: Duration::from_millis(400),
            tls: None,
            talk: &|| Box::new(EchoClient::new(vec![b'-'])),
        };
        let observed = run(&load, || Ok(())).unwrap();
        server.join().unwrap();
        // Of the fifty that were due, those of the first forty milliseconds waited for ten or more.
        let late = observed.latencies.count_between(10_000, 60_000_000);
        assert!(late >= 35, "{late} late");
    }
}
