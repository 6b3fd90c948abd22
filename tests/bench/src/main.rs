//! `heddle-bench`: Heddle's data path beside Envoy's, in one run, on one machine.
//!
//! ```text
//! client pod ─▶ proxy ═ mutual TLS ═▶ proxy ─▶ server pod     Heddle: two node proxies; Envoy: one beside each pod
//! client pod ───────────────────────────────▶ server pod     direct: no proxy, a control for the latencies
//! ```
//!
//! Three such pairs of pods stand in one testbed; the same load goes through one after the other, in turns. All proxies share one core;
//! this process, which is client and server of all of them, has another. What is told is the proxies' CPU time for each unit of
//! work, from the kernel's own counters. It judges nothing: no figure makes it fail, only a path that is not what it claims to be does.

mod awake;
mod bars;
mod baseline;
mod cases;
mod chart;
mod counters;
mod engine;
mod envoy;
mod heddle;
mod machine;
mod memory;
mod paths;
mod policy;
mod report;
mod rounds;
mod server;
mod shown;
mod single;
mod site;
mod tls;
mod wire;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;

use crate::{
    awake::Awake,
    baseline::Baseline,
    cases::Case,
    envoy::Envoys,
    heddle::Mesh,
    machine::{Cores, Machine},
    paths::MeasuredPath,
    report::{Found, Report},
    rounds::Plan,
    single::{Peers, Single},
    site::{CONTROLS, Site},
};

/// Measures Heddle beside its peers.
#[derive(Parser, Clone, Debug)]
#[command(name = "heddle-bench", version)]
struct Arguments {
    /// Folder of Heddle's built programs; without it, the folder of this one.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Envoy's program; without it, everything is measured without Envoy.
    #[arg(long)]
    envoy: Option<PathBuf>,
    /// haproxy's program; without it, one proxy is measured without haproxy.
    #[arg(long)]
    haproxy: Option<PathBuf>,
    /// nginx' program; without it, one proxy is measured without nginx.
    #[arg(long)]
    nginx: Option<PathBuf>,
    /// Folder for `bench.md`, `bench.json`, `ratios.svg` and `baseline.json`; the last one given counts.
    #[arg(long, overrides_with = "out")]
    out: PathBuf,
    /// How often everything is measured, in turns.
    #[arg(long, env = "BENCH_ROUNDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Seconds of each measurement, after half a second of the same load.
    #[arg(long, env = "BENCH_SECONDS", default_value_t = 2.5)]
    seconds: f64,
    /// Only the cases whose names begin with one of these.
    #[arg(long, env = "BENCH_CASES", value_delimiter = ',')]
    cases: Vec<String>,
    /// Ratios of an earlier run to compare with; if there is no such file, nothing is compared.
    #[arg(long)]
    baseline: Option<PathBuf>,
    /// Asks the programs to end when all is measured, in place of killing them: those that were built to count write then what they counted.
    #[arg(long)]
    let_end: bool,
    /// What is measured, for the report: a tag or commit.
    #[arg(long, default_value = "unknown")]
    revision: String,
}

/// How long a program that was asked to end may take: more than a node proxy's drain.
const LONGEST_END: Duration = Duration::from_secs(90);

impl Arguments {
    fn peers(&self) -> Peers {
        Peers {
            envoy: self.envoy.clone(),
            haproxy: self.haproxy.clone(),
            nginx: self.nginx.clone(),
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if heddle_testbed::is_inside() {
        inside(&arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    fs::create_dir_all(&arguments.out)
        .with_context(|| format!("cannot make {}", arguments.out.display()))?;
    heddle_testbed::enter()
}

/// The part in the namespaces.
fn inside(arguments: &Arguments) -> anyhow::Result<()> {
    let begin = Instant::now();
    let earlier = arguments.baseline.as_deref().map(Baseline::read);
    let earlier = earlier.transpose()?.flatten();
    let cores = Cores::choose()?;
    // All that is started from here on inherits it; the proxies are put elsewhere.
    cores.keep_this_process_off_the_proxies()?;
    let cases = cases::chosen(&arguments.cases)?;
    let mut site = Site::build()?;
    let awake = Awake::keep();
    let machine = Machine::read(&cores, awake.is_some());
    eprintln!("{machine}");
    let running = Running::start(&mut site, arguments, &cases, &cores)?;
    // What has another's limit is the direct path once more.
    let ways = running.paths.iter().filter(|path| path.limit_of.is_none());
    for path in ways {
        path.check().with_context(|| {
            let logs = site.last_words();
            format!("the path {} is not as it should be\n{logs}", path.name)
        })?;
    }
    let plan = Plan {
        rounds: arguments.rounds,
        span: Duration::from_secs_f64(arguments.seconds.clamp(0.1, 600.0)),
        cases,
        cores,
    };
    let found = Found {
        memory: memory::measure(&running.paths)?,
        measurements: rounds::run(&plan, &running.paths)?,
        configurations: site.shown.names(),
    };
    if arguments.let_end {
        site.let_end(LONGEST_END)?;
    }
    let report = Report::new(
        machine,
        arguments.revision.clone(),
        &plan,
        &running.paths,
        found,
        begin.elapsed(),
    );
    report.write(&arguments.out)?;
    site.shown.write(&arguments.out)?;
    println!("{}", report.markdown());
    if let Some(earlier) = &earlier {
        println!("{}", report.compared(earlier));
    }
    Ok(())
}

/// All that is measured, and what it needs to run.
struct Running {
    paths: Vec<MeasuredPath>,
    _single: Option<Single>,
}

impl Running {
    /// Starts what the cases need; it may not be ready yet.
    fn start(
        site: &mut Site,
        arguments: &Arguments,
        cases: &[Case],
        cores: &Cores,
    ) -> anyhow::Result<Self> {
        let programs = programs(arguments)?;
        let peers = arguments.peers();
        let mut paths = Vec::new();
        let mut single = None;
        if cases.iter().any(|case| !case.door.is_mesh()) {
            let mut all = Single::start(site, &programs, &peers, cores)?;
            paths.append(&mut all.paths);
            single = Some(all);
        }
        if cases.iter().any(|case| case.door.is_mesh()) {
            paths.extend(Mesh::start(site, &programs, cores)?.paths(site)?);
            if let Some(program) = &peers.envoy {
                paths.extend(Envoys::start(site, program, cores)?.paths(site)?);
            }
            for (name, limit_of) in CONTROLS {
                // A peer that is missing has no limit.
                if limit_of.is_none_or(|of| paths.iter().any(|path| path.name == of)) {
                    paths.push(site.direct(name, limit_of)?);
                }
            }
        }
        Ok(Self {
            paths,
            _single: single,
        })
    }
}

fn programs(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &arguments.programs {
        return Ok(folder.clone());
    }
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    Ok(own.parent().unwrap_or_else(|| Path::new("/")).to_owned())
}
