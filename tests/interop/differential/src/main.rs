//! The differential test: Envoy and the node proxy get the same listeners, routes, clusters and requests; what comes of it is compared.

mod backend;
mod case;
mod client;
mod compare;
mod known;
mod proxies;
mod report;
mod routes;
mod wire;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use futures::{StreamExt, stream};
use heddle_interop_xds::{fixed::Fixed, ports};
use heddle_proto::envoy::config::route::v3::RouteConfiguration;
use rand::{SeedableRng, rngs::StdRng};
use tokio::sync::Semaphore;

use crate::{backend::Record, case::Case, compare::Outcome, proxies::Proxy};

/// Arguments.
#[derive(Parser)]
struct Arguments {
    /// Envoy's program.
    #[arg(long)]
    envoy: PathBuf,
    /// The node proxy's program.
    #[arg(long)]
    node_proxy: PathBuf,
    /// How many requests.
    #[arg(long, default_value_t = 20_000)]
    cases: usize,
    /// What the routes and requests are made of.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many differences to make small and print.
    #[arg(long, default_value_t = 10)]
    show: usize,
}

/// Nobody listens there: tcpmux.
const REFUSES: u16 = 1;
/// Requests on their way at once.
const AT_ONCE: usize = 64;
/// Beside them: requests that wait for somebody who is silent. They cost time, but no work.
const SILENT_AT_ONCE: usize = 192;
/// How often a request whose outcomes differed is sent again, all at once, before the difference counts as one that does not repeat.
const REPEATS: usize = 4 * AT_ONCE;
/// How many differences of a run may be such: a machine that stands still makes one now and then, a race in a proxy makes more.
const STRAYS: usize = 3;

/// Both proxies, ready.
struct Bench {
    /// One for each table, at each proxy.
    envoy: Vec<SocketAddr>,
    heddle: Vec<SocketAddr>,
    tables: Vec<RouteConfiguration>,
    record: Record,
    next: AtomicU64,
    busy: Semaphore,
    silent: Semaphore,
    processes: [Proxy; 2],
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn start(arguments: &Arguments, random: &mut StdRng) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let record = Record::default();
        let mut clusters = Vec::new();
        for (name, http2) in [("one", false), ("two", false), ("http2", true)] {
            let port = backend::start(name, http2, record.clone()).await?;
            clusters.push(routes::cluster(name, Some(port), http2));
        }
        clusters.push(routes::cluster("empty", None, false));
        clusters.push(routes::cluster("refuses", Some(REFUSES), false));
        let tables: Vec<_> = (0..routes::TABLES)
            .map(|index| routes::table(index, random))
            .collect();
        // The same ports on two addresses: a redirect may name the port.
        let free = || ports::free(Ipv4Addr::UNSPECIFIED.into());
        let ports: Vec<_> = tables.iter().map(|_| free()).collect::<Result<_, _>>()?;
        let at = |host: u8| {
            let address = |port: &u16| SocketAddr::from(([127, 0, 0, host], *port));
            ports.iter().map(address).collect::<Vec<_>>()
        };
        let fixed = |at: &[SocketAddr]| {
            let both = at.iter().zip(&tables).enumerate();
            Fixed {
                listeners: both
                    .map(|(index, (at, table))| routes::listener(index, *at, table))
                    .collect(),
                clusters: clusters.clone(),
                ..Fixed::default()
            }
        };
        let (envoy, heddle) = (at(1), at(2));
        let mut first = proxies::envoy(&arguments.envoy, folder.path(), fixed(&envoy))?;
        let mut second =
            proxies::node_proxy(&arguments.node_proxy, folder.path(), &fixed(&heddle)).await?;
        first.listens(&envoy).await.context("Envoy")?;
        second.listens(&heddle).await.context("the node proxy")?;
        Ok(Self {
            envoy,
            heddle,
            tables,
            record,
            next: AtomicU64::new(10_000_000),
            busy: Semaphore::new(AT_ONCE),
            silent: Semaphore::new(SILENT_AT_ONCE),
            processes: [first, second],
            _folder: folder,
        })
    }

    async fn outcome(&self, letter: char, address: SocketAddr, case: &Case) -> Result<Outcome> {
        let id = format!("{letter}{}", self.next.fetch_add(1, Ordering::Relaxed));
        let answer = client::exchange(address, case, &id).await;
        let proxy = if letter == 'e' {
            "Envoy"
        } else {
            "the node proxy"
        };
        let answer =
            answer.with_context(|| format!("at {proxy}, of\n{}", report::request(case)))?;
        let tries = self.record.take(&id);
        Ok(compare::normalised(Outcome { answer, tries }))
    }

    /// As [`Bench::both`]; where a limit was met that nobody asked for, the machine stood still, and the request is sent again, once.
    async fn asked(&self, case: &Case) -> Result<(Outcome, Outcome)> {
        let places = if case.is_silent() {
            &self.silent
        } else {
            &self.busy
        };
        let _place = places.acquire().await?;
        let both = self.both(case).await?;
        let gave_up = |outcome: &Outcome| outcome.answer.status == 504;
        let stood_still = match case.is_silent() {
            true => known::explained(case, &both.0, &both.1).is_none(),
            false => gave_up(&both.0) != gave_up(&both.1),
        };
        if stood_still {
            return self.both(case).await;
        }
        Ok(both)
    }

    async fn both(&self, case: &Case) -> Result<(Outcome, Outcome)> {
        tokio::try_join!(
            self.outcome('e', self.envoy[case.table], case),
            self.outcome('h', self.heddle[case.table], case)
        )
    }

    /// Whether the difference comes again in any of many repetitions.
    async fn repeats(&self, case: &Case) -> Result<bool> {
        let mut again = stream::iter(0..REPEATS)
            .map(|_| self.asked(case))
            .buffer_unordered(AT_ONCE);
        while let Some(both) = again.next().await {
            let (envoy, heddle) = both?;
            if envoy != heddle && known::explained(case, &envoy, &heddle).is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The smallest request found that still makes an unexplained difference.
    async fn shrink(&self, mut case: Case) -> Result<Case> {
        'again: loop {
            for smaller in case.smaller() {
                let (envoy, heddle) = self.both(&smaller).await?;
                if envoy != heddle && known::explained(&smaller, &envoy, &heddle).is_none() {
                    case = smaller;
                    continue 'again;
                }
            }
            return Ok(case);
        }
    }
}

/// What came of all requests.
#[derive(Default)]
struct Tally {
    cases: usize,
    forwarded: usize,
    retried: usize,
    /// Answered 504, or with the answer cut off.
    limited: usize,
    /// Trailers passed on, of a request or an answer.
    trailers: usize,
    explained: BTreeMap<String, usize>,
    different: Vec<(Case, Outcome, Outcome)>,
}

impl Tally {
    fn count(&mut self, case: Case, envoy: &Outcome, heddle: &Outcome) {
        self.cases += 1;
        self.forwarded += usize::from(!envoy.tries.is_empty());
        self.retried += usize::from(envoy.tries.len() > 1);
        let limited = envoy.answer.status == 504 || envoy.answer.body.is_none();
        self.limited += usize::from(case.is_silent() && limited);
        let sent_on = envoy.tries.iter().any(|seen| !seen.trailers.is_empty());
        self.trailers += usize::from(sent_on || !envoy.answer.trailers.is_empty());
        if envoy == heddle {
            return;
        }
        match known::explained(&case, envoy, heddle) {
            Some(reason) => *self.explained.entry(reason).or_default() += 1,
            None => {
                let both = (case, envoy.clone(), heddle.clone());
                self.different.push(both);
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!(
        "seed {} (DIFFERENTIAL_SEED), {} cases (DIFFERENTIAL_CASES)",
        arguments.seed, arguments.cases
    );
    let mut random = StdRng::seed_from_u64(arguments.seed);
    let mut bench = Bench::start(&arguments, &mut random).await?;
    let running = Arc::new(&bench);
    let mut tally = Tally::default();
    let cases = (0..arguments.cases).map(|_| Case::generate(&mut random));
    let mut results = stream::iter(cases)
        .map(|case| {
            let bench = Arc::clone(&running);
            async move {
                let both = bench.asked(&case).await;
                (case, both)
            }
        })
        .buffer_unordered(AT_ONCE + SILENT_AT_ONCE);
    while let Some((case, result)) = results.next().await {
        let (envoy, heddle) = result?;
        tally.count(case, &envoy, &heddle);
    }
    drop(results);
    let strays = sift(&arguments, &bench, &tally).await?;
    for process in &mut bench.processes {
        process.still_runs()?;
    }
    conclude(&arguments, &tally, strays)
}

/// Prints the differences, and tells how many of them do not repeat. Those beyond the ones that are shown count as repeating.
async fn sift(arguments: &Arguments, bench: &Bench, tally: &Tally) -> Result<usize> {
    let mut strays = 0;
    for (case, envoy, heddle) in tally.different.iter().take(arguments.show) {
        let table = &bench.tables[case.table];
        if !bench.repeats(case).await? {
            strays += 1;
            println!("-- differed once, and in none of {REPEATS} repetitions:");
            report::difference(case, table, envoy, heddle);
            println!("  Envoy: {envoy:?}\n  the node proxy: {heddle:?}");
            continue;
        }
        let small = bench.shrink(case.clone()).await?;
        let (still_envoy, still_heddle) = bench.both(&small).await?;
        let is_known = known::explained(&small, &still_envoy, &still_heddle).is_some();
        if is_known || still_envoy == still_heddle {
            println!("-- differs at times:");
            report::difference(case, table, envoy, heddle);
        } else {
            report::difference(&small, table, &still_envoy, &still_heddle);
        }
    }
    Ok(strays)
}

fn conclude(arguments: &Arguments, tally: &Tally, strays: usize) -> Result<()> {
    for (reason, count) in &tally.explained {
        println!("{count:>6}  {reason}");
    }
    let known: usize = tally.explained.values().sum();
    println!(
        "seed {}: {} reached a backend, {} more than once; {} ended at a time limit, {} had trailers",
        arguments.seed, tally.forwarded, tally.retried, tally.limited, tally.trailers
    );
    println!(
        "{} cases, {} unexplained differences ({strays} of them did not repeat), {known} explained",
        tally.cases,
        tally.different.len()
    );
    ensure!(
        tally.different.len() == strays,
        "Envoy and the node proxy differ"
    );
    ensure!(
        strays <= STRAYS,
        "{strays} differences did not repeat, more than the {STRAYS} that a busy machine may make: a race"
    );
    ensure!(
        tally.forwarded > tally.cases / 4,
        "too few requests reached a backend for the comparison to mean something"
    );
    let enough = tally.cases / 500;
    ensure!(
        tally.limited >= enough && tally.trailers >= enough && tally.retried >= enough,
        "too few retries, time limits or trailers for the comparison to mean something"
    );
    Ok(())
}
