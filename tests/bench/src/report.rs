//! What came out: Markdown for people, JSON for comparisons.

use std::{collections::BTreeSet, fmt, fs, path::Path, time::Duration};

use anyhow::Context;
use serde::Serialize;

use crate::{
    bars,
    baseline::{Baseline, Entry},
    cases::Case,
    chart,
    envoy::{ENVOY_PATH, NODE_ENVOY_PATH, TLS_NODE_ENVOY_PATH},
    heddle::{HEDDLE_PATH, READING_PATH},
    machine::{Machine, load_average},
    memory::{self, Resident},
    paths::MeasuredPath,
    rounds::{Measurement, Plan},
    shown,
    single::{HAPROXY_PATH, NGINX_PATH},
};

/// The whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    /// Load averages at the end.
    load_after: String,
    revision: String,
    versions: Vec<String>,
    rounds: u16,
    seconds_of_a_measurement: f64,
    seconds_of_the_run: f64,
    rows: Vec<Row>,
    ratios: Vec<Ratio>,
    memory: Vec<Resident>,
    /// Files that show how everything was configured.
    configurations: Vec<String>,
    /// Every single measurement.
    measurements: Vec<Measurement>,
}

/// What a run has brought.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) measurements: Vec<Measurement>,
    pub(crate) memory: Vec<Resident>,
    /// Names of the files that show them.
    pub(crate) configurations: Vec<String>,
}

/// One case on one path, over all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    case: &'static str,
    title: &'static str,
    path: &'static str,
    pub(crate) cpu_us: Option<Spread>,
    p50_ms: Spread,
    pub(crate) p99_ms: Spread,
    p999_ms: Spread,
    rate: Spread,
    failed: u64,
    /// How much of their core the proxies used, 0 to 1.
    used: Option<Spread>,
    resident_mb: Option<Spread>,
}

/// Heddle's median over a peer's.
#[derive(Debug, Serialize)]
struct Ratio {
    case: &'static str,
    title: &'static str,
    ours: &'static str,
    peer: &'static str,
    cpu: f64,
    p50: f64,
    p99: f64,
    rate: f64,
}

/// Over the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// `None` of nothing.
    fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = values[values.len() / 2];
        let lower = values[(values.len() - 1) / 2];
        Some(Self {
            median: f64::midpoint(lower, upper),
            min,
            max,
        })
    }
}

impl fmt::Display for Spread {
    /// `61.2 (60.1-64.0)`; the precision is that of the format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        let Self { median, min, max } = self;
        write!(f, "{median:.digits$} ({min:.digits$}-{max:.digits$})")
    }
}

/// The paths that ratios are of, and the peers that they are to.
const OURS: [&str; 2] = [HEDDLE_PATH, READING_PATH];
const PEERS: [&str; 5] = [
    ENVOY_PATH,
    NODE_ENVOY_PATH,
    TLS_NODE_ENVOY_PATH,
    HAPROXY_PATH,
    NGINX_PATH,
];

/// Of all paths, in their order, each once.
fn names(paths: &[MeasuredPath]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for path in paths {
        if !names.contains(&path.name) {
            names.push(path.name);
        }
    }
    names
}

impl Report {
    pub(crate) fn new(
        machine: Machine,
        revision: String,
        plan: &Plan,
        paths: &[MeasuredPath],
        found: Found,
        took: Duration,
    ) -> Self {
        let Found {
            measurements,
            memory,
            configurations,
        } = found;
        let rows: Vec<_> = plan
            .cases
            .iter()
            .flat_map(|case| names(paths).into_iter().map(move |path| (case, path)))
            .filter_map(|(case, path)| Row::of(case, path, &measurements))
            .collect();
        let ratios = plan.cases.iter();
        let pairs = OURS.map(|ours| PEERS.map(|peer| (ours, peer))).concat();
        let ratios = ratios
            .flat_map(|case| pairs.iter().map(move |pair| (case, *pair)))
            .filter_map(|(case, (ours, peer))| Ratio::of(case, ours, peer, &rows))
            .collect();
        let versions: BTreeSet<_> = paths.iter().map(|path| path.version.clone()).collect();
        Self {
            machine,
            load_after: load_average(),
            revision,
            versions: versions
                .into_iter()
                .filter(|version| !version.is_empty())
                .collect(),
            rounds: plan.rounds,
            seconds_of_a_measurement: plan.span.as_secs_f64(),
            seconds_of_the_run: took.as_secs_f64().round(),
            rows,
            ratios,
            memory,
            configurations,
            measurements,
        }
    }

    /// Its ratios, as they are saved and drawn.
    fn entries(&self) -> Vec<Entry> {
        let entry = |ratio: &Ratio| Entry {
            case: ratio.case.to_owned(),
            ours: ratio.ours.to_owned(),
            peer: ratio.peer.to_owned(),
            cpu: ratio.cpu,
        };
        self.ratios.iter().map(entry).collect()
    }

    /// Then and now.
    pub(crate) fn compared(&self, then: &Baseline) -> String {
        then.markdown(&self.entries())
    }

    /// Writes `bench.md`, `bench.json`, `ratios.svg` and `baseline.json`.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let baseline = Baseline {
            revision: self.revision.clone(),
            ratios: self.entries(),
        };
        for (name, text) in [
            ("ratios.svg", chart::svg(&baseline.ratios)),
            (
                "baseline.json",
                serde_json::to_string_pretty(&baseline)? + "\n",
            ),
            ("bench.md", self.markdown()),
            ("bench.json", serde_json::to_string_pretty(self)? + "\n"),
        ] {
            let file = folder.join(name);
            fs::write(&file, text).with_context(|| file.display().to_string())?;
            eprintln!("written: {}", file.display());
        }
        Ok(())
    }

    /// The tables.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "# Heddle beside its peers\n\n\
             {} ({}), revision {}. {} rounds in turns, {} s for each measurement, {} s in all. \
             Medians, with the least and the most.\n\n\
             Machine: {}, after it {}. {}\n\n",
            HEDDLE_PATH,
            self.versions.join("; "),
            self.revision,
            self.rounds,
            self.seconds_of_a_measurement,
            self.seconds_of_the_run,
            self.machine,
            self.load_after,
            self.disturbances(),
        );
        text += "| case | path | CPU, us per answer | p50 ms | p99 ms | p99.9 ms | answers/s | core used, % | failed | memory, MB |\n";
        text += "|---|---|---|---|---|---|---|---|---|---|\n";
        for row in &self.rows {
            text += &row.markdown();
        }
        if !self.ratios.is_empty() {
            text += "\n| case | ratio | CPU | p50 | p99 | answers/s |\n|---|---|---|---|---|---|\n";
            for ratio in &self.ratios {
                text += &ratio.markdown();
            }
        }
        text += &memory::markdown(&self.memory);
        text += &bars::markdown(&self.rows, &self.memory);
        text + &self.configurations()
    }

    fn configurations(&self) -> String {
        let link = |name: &String| format!("[{name}]({}/{name})", shown::FOLDER);
        let links: Vec<_> = self.configurations.iter().map(link).collect();
        format!(
            "\nConfigurations as they were (keys taken out; lists that repeat themselves cut): {}.\n",
            links.join(", ")
        )
    }

    fn disturbances(&self) -> String {
        let spread = |share: fn(&Measurement) -> f64| {
            Spread::of(self.measurements.iter().map(|one| share(one) * 100.0))
        };
        let (Some(others), Some(missed)) =
            (spread(|one| one.disturbance), spread(|one| one.missed))
        else {
            return String::new();
        };
        format!(
            "Others took {others:.0} % of the proxies' core while they were measured. At fixed rates, clients that stood still \
             because of others gave up {:.1} % of what was due at most.",
            missed.max
        )
    }
}

impl Row {
    pub(crate) fn is_of(&self, case: &str, path: &str) -> bool {
        self.case == case && self.path == path
    }

    fn of(case: &Case, path: &'static str, measurements: &[Measurement]) -> Option<Self> {
        let fits = |measured: &&Measurement| measured.case == case.name && measured.path == path;
        let all: Vec<_> = measurements.iter().filter(fits).collect();
        let spread = |value: fn(&Measurement) -> f64| Spread::of(all.iter().map(|&one| value(one)));
        let resident = spread(|one| one.memory.resident_kb as f64 / 1000.0);
        Some(Self {
            case: case.name,
            title: case.title,
            path,
            cpu_us: Spread::of(all.iter().filter_map(|one| one.cpu_us)),
            p50_ms: spread(|one| one.p50_ms)?,
            p99_ms: spread(|one| one.p99_ms)?,
            p999_ms: spread(|one| one.p999_ms)?,
            rate: spread(|one| one.rate)?,
            failed: all.iter().flat_map(|one| one.failed.values()).sum(),
            used: Spread::of(all.iter().filter_map(|one| one.used)),
            resident_mb: resident.filter(|spread| spread.max > 0.0),
        })
    }

    fn markdown(&self) -> String {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        format!(
            "| {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.0} | {} | {} | {} |\n",
            self.title,
            self.path,
            or_dash(self.cpu_us.map(|cpu| cpu.to_string())),
            self.p50_ms,
            self.p99_ms,
            self.p999_ms,
            self.rate,
            or_dash(self.used.map(|used| format!("{:.0}", used.median * 100.0))),
            self.failed,
            or_dash(
                self.resident_mb
                    .map(|memory| format!("{:.0}", memory.median))
            ),
        )
    }
}

impl Ratio {
    fn of(case: &Case, ours: &'static str, peer: &'static str, rows: &[Row]) -> Option<Self> {
        let row = |path: &str| {
            rows.iter()
                .find(|row| row.case == case.name && row.path == path)
        };
        let (own, other) = (row(ours)?, row(peer)?);
        let quotient =
            |value: fn(&Row) -> Option<Spread>| Some(value(own)?.median / value(other)?.median);
        Some(Self {
            case: case.name,
            title: case.title,
            ours,
            peer,
            cpu: quotient(|row| row.cpu_us)?,
            p50: quotient(|row| Some(row.p50_ms))?,
            p99: quotient(|row| Some(row.p99_ms))?,
            rate: quotient(|row| Some(row.rate))?,
        })
    }

    fn markdown(&self) -> String {
        let Self {
            title,
            ours,
            peer,
            cpu,
            p50,
            p99,
            rate,
            ..
        } = self;
        format!("| {title} | {ours} / {peer} | {cpu:.2} | {p50:.2} | {p99:.2} | {rate:.2} |\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_median_with_the_least_and_the_most() {
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (2.0, 1.0, 3.0));
        let spread = Spread::of([4.0, 1.0]).unwrap();
        assert_eq!(spread.to_string(), "2.5 (1.0-4.0)");
        assert_eq!(format!("{spread:.0}"), "2 (1-4)");
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_heddles_median_over_the_peers() {
        let case = crate::cases::chosen(&["mesh-l7-paced".to_owned()]).unwrap()[0];
        let measured = |path, round, cpu| Measurement {
            case: case.name,
            path,
            round,
            answered: 10,
            failed: [("reset".to_owned(), 2)].into(),
            rate: 2000.0,
            cpu_us: Some(cpu),
            p50_ms: 1.0,
            p99_ms: 2.0,
            p999_ms: 3.0,
            used: None,
            disturbance: 0.0,
            missed: 0.0,
            memory: crate::counters::Memory::default(),
        };
        let all = [
            measured(HEDDLE_PATH, 1, 10.0),
            measured(ENVOY_PATH, 1, 40.0),
            measured(HEDDLE_PATH, 2, 30.0),
            measured(ENVOY_PATH, 2, 40.0),
        ];
        let rows: Vec<_> = [HEDDLE_PATH, ENVOY_PATH]
            .iter()
            .filter_map(|path| Row::of(&case, path, &all))
            .collect();
        assert_eq!(rows[0].failed, 4);
        let ratio = Ratio::of(&case, HEDDLE_PATH, ENVOY_PATH, &rows).unwrap();
        assert_eq!((ratio.cpu, ratio.p99), (0.5, 1.0));
        assert!(Ratio::of(&case, HEDDLE_PATH, ENVOY_PATH, &rows[..1]).is_none());
    }
}
