//! What the tour found.

use std::{fmt::Write, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Finding;

/// All checks.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    passed: bool,
    seconds: f64,
    checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Check {
    name: String,
    passed: bool,
    seconds: f64,
    /// The figures and answers that it rests on; `error` if it could not be made.
    seen: Value,
}

impl Check {
    pub(super) fn new(name: &str, finding: Finding, took: Duration) -> Self {
        let (passed, seen) = match finding {
            Ok(found) => found,
            Err(error) => (false, json!({ "error": format!("{error:#}") })),
        };
        Self {
            name: name.to_owned(),
            passed,
            seconds: rounded(took),
            seen,
        }
    }

    /// A line for people.
    pub(super) fn summary(&self) -> String {
        if self.passed {
            format!("ok ({} s)", self.seconds)
        } else {
            format!("FAILED ({} s): {}", self.seconds, self.seen)
        }
    }
}

impl Report {
    pub(super) fn add(&mut self, check: Check) {
        self.checks.push(check);
        self.passed = self.checks.iter().all(|check| check.passed);
    }

    pub(super) fn passed(&self) -> bool {
        self.passed
    }

    pub(super) fn finish(&mut self, took: Duration) {
        self.seconds = rounded(took);
    }

    /// For a terminal.
    pub(super) fn in_words(&self) -> String {
        let mut text = String::new();
        for check in &self.checks {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{}: {}", check.name, check.summary());
        }
        let failed = self.checks.iter().filter(|check| !check.passed).count();
        let passed = self.checks.len() - failed;
        let _ = write!(text, "{passed} passed, {failed} failed, {} s", self.seconds);
        text
    }
}

fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_check_fails_the_tour() {
        let mut report = Report::default();
        report.add(Check::new("a", Ok((true, Value::Null)), Duration::ZERO));
        assert!(report.passed());
        report.add(Check::new(
            "b",
            Err(anyhow::anyhow!("no way")),
            Duration::ZERO,
        ));
        report.add(Check::new("c", Ok((true, Value::Null)), Duration::ZERO));
        assert!(!report.passed());
        assert!(
            report
                .in_words()
                .contains("b: FAILED (0 s): {\"error\":\"no way\"}")
        );
        assert!(report.in_words().ends_with("2 passed, 1 failed, 0 s"));
    }
}
