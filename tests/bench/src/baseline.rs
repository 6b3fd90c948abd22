//! Ratios that were saved with an earlier report, so that a loss shows. It makes nothing fail.

use std::{fs, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// A ratio that is worse by more than this is marked.
const LOSS: f64 = 1.15;

/// What is saved.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Baseline {
    /// What was measured.
    pub(crate) revision: String,
    pub(crate) ratios: Vec<Entry>,
}

/// CPU of one path for each answer over that of a peer.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Entry {
    pub(crate) case: String,
    pub(crate) ours: String,
    pub(crate) peer: String,
    pub(crate) cpu: f64,
}

impl Entry {
    /// Whether both are of one case and the same paths.
    fn is_of_same(&self, other: &Self) -> bool {
        (&self.case, &self.ours, &self.peer) == (&other.case, &other.ours, &other.peer)
    }
}

impl Baseline {
    /// `None` if there is no such file. An error if it cannot be read: remove it, or save a new one.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Option<Self>> {
        if !file.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let baseline = serde_json::from_str(&text);
        Ok(Some(baseline.with_context(|| {
            format!("{} is no baseline of this bench", file.display())
        })?))
    }

    /// The table of then and now, of what is in both.
    pub(crate) fn markdown(&self, now: &[Entry]) -> String {
        let mut text = format!(
            "\n| case | CPU ratio | at {} | now | |\n|---|---|---|---|---|\n",
            self.revision
        );
        for entry in now {
            let Some(then) = self.ratios.iter().find(|then| then.is_of_same(entry)) else {
                continue;
            };
            let mark = if entry.cpu > then.cpu * LOSS {
                "loss"
            } else {
                ""
            };
            text += &format!(
                "| {} | {} / {} | {:.2} | {:.2} | {mark} |\n",
                entry.case, entry.ours, entry.peer, then.cpu, entry.cpu
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(case: &str, cpu: f64) -> Entry {
        Entry {
            case: case.to_owned(),
            ours: "Heddle".to_owned(),
            peer: "Envoy".to_owned(),
            cpu,
        }
    }

    #[test]
    fn a_ratio_that_is_a_sixth_worse_is_marked_and_a_tenth_is_not() {
        let then = Baseline {
            revision: "v1".to_owned(),
            ratios: vec![entry("a", 0.30), entry("b", 0.30)],
        };
        let text = then.markdown(&[entry("a", 0.33), entry("b", 0.35), entry("new", 9.0)]);
        let rows: Vec<_> = text.lines().skip(3).collect();
        assert_eq!(
            rows,
            [
                "| a | Heddle / Envoy | 0.30 | 0.33 |  |",
                "| b | Heddle / Envoy | 0.30 | 0.35 | loss |"
            ]
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_no_baseline() {
        assert!(Baseline::read(Path::new("/nowhere")).unwrap().is_none());
    }
}
