//! Counting, in libtest's words.

use std::process::ExitCode;

/// A scenario's name and how it went.
pub type Outcome = (String, anyhow::Result<()>);

/// Prints all outcomes and the counts.
pub fn conclude(outcomes: &[Outcome]) -> ExitCode {
    println!("\nrunning {} tests", outcomes.len());
    for (name, outcome) in outcomes {
        match outcome {
            Ok(()) => println!("test {name} ... ok"),
            Err(error) => println!("test {name} ... FAILED\n{error:#}"),
        }
    }
    let failed = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.is_err())
        .count();
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out",
        outcomes.len() - failed
    );
    ExitCode::from(u8::from(failed > 0))
}
