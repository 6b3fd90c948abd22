//! A small test harness: one test for each folder, so that `cargo test` counts and names them. Speaks as much of libtest's command line as cargo and people use:
//! a filter, `--exact`, `--skip`, `--list`, and `--format terse`; other flags are ignored.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// One golden folder.
pub(crate) struct Case {
    /// `<topic>/<case>`.
    pub(crate) name: String,
    /// The folder.
    pub(crate) folder: PathBuf,
    /// The folder above it.
    pub(crate) topic: PathBuf,
}

/// Runs all cases below a folder.
pub(crate) fn run(root: &Path, check: fn(&Case) -> Result<(), String>) -> ExitCode {
    let arguments = Arguments::read();
    let all = cases(root);
    let chosen: Vec<&Case> = all
        .iter()
        .filter(|case| arguments.wants(&case.name))
        .collect();
    if arguments.list {
        chosen
            .iter()
            .for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let mut failures = Vec::new();
    for case in &chosen {
        let outcome = catch_unwind(AssertUnwindSafe(|| check(case)))
            .unwrap_or_else(|_| Err("it panicked".to_owned()));
        println!(
            "test {} ... {}",
            case.name,
            if outcome.is_ok() { "ok" } else { "FAILED" }
        );
        if let Err(message) = outcome {
            failures.push((case.name.clone(), message));
        }
    }
    for (name, message) in &failures {
        println!("\n---- {name} ----\n{message}");
    }
    let verdict = if failures.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out\n",
        chosen.len() - failures.len(),
        failures.len(),
        all.len() - chosen.len(),
    );
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[derive(Default)]
struct Arguments {
    filters: Vec<String>,
    skips: Vec<String>,
    exact: bool,
    list: bool,
    ignored: bool,
}

impl Arguments {
    fn read() -> Self {
        let mut read = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--exact" => read.exact = true,
                "--list" => read.list = true,
                "--ignored" => read.ignored = true,
                "--skip" => read.skips.extend(arguments.next()),
                "--format" | "--test-threads" | "--color" | "--logfile" => {
                    arguments.next();
                }
                flag if flag.starts_with('-') => {}
                filter => read.filters.push(filter.to_owned()),
            }
        }
        read
    }

    fn wants(&self, name: &str) -> bool {
        let fits = |filter: &String| {
            if self.exact {
                name == filter
            } else {
                name.contains(filter.as_str())
            }
        };
        !self.ignored
            && (self.filters.is_empty() || self.filters.iter().any(fits))
            && !self.skips.iter().any(fits)
    }
}

fn cases(root: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for topic in folders(root) {
        for folder in folders(&topic) {
            let name = |path: &Path| {
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned()
            };
            cases.push(Case {
                name: format!("{}/{}", name(&topic), name(&folder)),
                folder,
                topic: topic.clone(),
            });
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// Compares outputs with the files of a case, or rewrites them where `HEDDLE_UPDATE_GOLDEN=1` asks for it. An empty output is no file.
pub(crate) fn compare(case: &Case, outputs: &[(&str, String)]) -> Result<(), String> {
    let update = std::env::var_os("HEDDLE_UPDATE_GOLDEN").is_some_and(|value| value == "1");
    let mut differences = Vec::new();
    for (name, new) in outputs {
        let path = case.folder.join(name);
        let old = fs::read_to_string(&path).unwrap_or_default();
        if old == *new {
            continue;
        }
        if update {
            let written = if new.is_empty() {
                fs::remove_file(&path)
            } else {
                fs::write(&path, new)
            };
            written.map_err(|error| format!("{}: {error}", path.display()))?;
        } else {
            differences.push(format!(
                "{name} (- expected, + got):\n{}",
                difference(&old, new)
            ));
        }
    }
    for stale in stale(&case.folder, outputs) {
        if update {
            fs::remove_file(&stale).map_err(|error| format!("{}: {error}", stale.display()))?;
        } else {
            differences.push(format!("{} is an output of nothing", stale.display()));
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    differences.push(
        "HEDDLE_UPDATE_GOLDEN=1 rewrites the files; read the difference before you commit it"
            .to_owned(),
    );
    Err(differences.join("\n"))
}

fn stale(folder: &Path, outputs: &[(&str, String)]) -> Vec<PathBuf> {
    let files = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path());
    files
        .filter(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            name.starts_with("out.") && !outputs.iter().any(|(output, _)| *output == name)
        })
        .collect()
}

/// A line difference: common lines at both ends are cut to three, what is between is a longest common subsequence.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut lengths = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            lengths[i][j] = if a == b {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(format!("  {}", old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && lengths[i + 1][j] >= lengths[i][j + 1]) {
            lines.push(format!("- {}", old[i]));
            i += 1;
        } else {
            lines.push(format!("+ {}", new[j]));
            j += 1;
        }
    }
    let near = |at: usize| {
        lines[at.saturating_sub(3)..(at + 4).min(lines.len())]
            .iter()
            .any(|line| !line.starts_with(' '))
    };
    let shown: Vec<&str> = (0..lines.len())
        .filter(|at| near(*at))
        .map(|at| lines[at].as_str())
        .collect();
    shown.join("\n")
}
