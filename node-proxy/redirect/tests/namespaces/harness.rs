//! What libtest does, for a binary that first has to enter namespaces.

use std::{
    os::unix::process::CommandExt,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, exit},
};

/// A test: its name and what it does.
pub(crate) type Test = (&'static str, fn());

const INSIDE: &str = "HEDDLE_TEST_INSIDE";

/// Runs this binary again inside namespaces, unless it already is.
pub(crate) fn enter_namespaces() {
    if std::env::var_os(INSIDE).is_some() {
        return;
    }
    let mut unshare = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let error = unshare
        .args(["--mount", "--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    panic!("cannot run `unshare` (Debian, Ubuntu: apt-get install util-linux): {error}");
}

/// Runs the tests whose names contain an argument (all, if there is none), one after the other.
pub(crate) fn run(tests: &[Test]) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in tests {
            println!("{name}: test");
        }
        return;
    }
    let filters: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(*f));
    let chosen: Vec<&Test> = tests.iter().filter(|(name, _)| wanted(name)).collect();
    println!("\nrunning {} tests", chosen.len());
    let mut failed = Vec::new();
    for (name, test) in &chosen {
        // Each test has a thread of its own: one that fails inside a namespace takes nobody with it.
        let outcome = std::thread::scope(|scope| {
            scope
                .spawn(|| catch_unwind(AssertUnwindSafe(test)))
                .join()
                .unwrap()
        });
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("test {name} ... {word}");
        if outcome.is_err() {
            failed.push(*name);
        }
    }
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out\n",
        chosen.len() - failed.len(),
        failed.len(),
        tests.len() - chosen.len(),
    );
    if !failed.is_empty() {
        println!("failures: {failed:?}");
        exit(101);
    }
}
