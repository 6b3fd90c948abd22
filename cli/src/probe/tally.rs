//! Counting answers.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

/// Who answered, how often and how fast, and what failed, within one interval.
pub(crate) struct Tally {
    backends: BTreeMap<Backend, u64>,
    errors: BTreeMap<String, u64>,
    microseconds: Histogram<u64>,
}

/// Who answered, and whom it saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) struct Backend {
    pub(crate) pod: String,
    pub(crate) version: String,
    pub(crate) identity: String,
    /// The caller's address as the server saw it, without the port.
    pub(crate) client: String,
}

/// One interval, as printed.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Report {
    /// Answers below status 400.
    ok: u64,
    /// Everything else.
    failed: u64,
    p50_ms: f64,
    p99_ms: f64,
    backends: Vec<Count>,
    errors: BTreeMap<String, u64>,
}

#[derive(Debug, serde::Serialize)]
struct Count {
    #[serde(flatten)]
    backend: Backend,
    count: u64,
}

/// Slower answers count as this slow.
const SLOWEST: u64 = 60_000_000;

impl Tally {
    /// Nothing counted yet. The histogram has two significant digits, up to a minute.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            backends: BTreeMap::new(),
            errors: BTreeMap::new(),
            microseconds: Histogram::new_with_bounds(1, SLOWEST, 2)?,
        })
    }

    pub(crate) fn answered(&mut self, backend: Backend, took: Duration) {
        *self.backends.entry(backend).or_default() += 1;
        let micros = u64::try_from(took.as_micros()).unwrap_or(SLOWEST);
        self.microseconds
            .saturating_record(micros.clamp(1, SLOWEST));
    }

    pub(crate) fn failed(&mut self, error: String) {
        *self.errors.entry(error).or_default() += 1;
    }

    /// What was counted since the last time; begins anew.
    pub(crate) fn take(&mut self) -> Report {
        let milliseconds = |quantile| self.microseconds.value_at_quantile(quantile) as f64 / 1000.0;
        let (p50_ms, p99_ms) = (milliseconds(0.5), milliseconds(0.99));
        self.microseconds.reset();
        let backends = std::mem::take(&mut self.backends);
        let errors = std::mem::take(&mut self.errors);
        Report {
            ok: backends.values().sum(),
            failed: errors.values().sum(),
            p50_ms,
            p99_ms,
            backends: backends
                .into_iter()
                .map(|(backend, count)| Count { backend, count })
                .collect(),
            errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_counts_by_backend_and_begins_anew() {
        let mut tally = Tally::new().unwrap();
        let v1 = Backend {
            pod: "a".into(),
            ..Backend::default()
        };
        tally.answered(v1.clone(), Duration::from_millis(2));
        tally.answered(v1, Duration::from_millis(2));
        tally.failed("status 503".into());
        let report = tally.take();
        assert_eq!((report.ok, report.failed), (2, 1));
        assert_eq!(report.backends.len(), 1);
        assert!((1.9..2.1).contains(&report.p50_ms), "{}", report.p50_ms);
        let report = tally.take();
        assert_eq!((report.ok, report.failed), (0, 0));
    }
}
