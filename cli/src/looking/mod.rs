//! Looking in: who is connected to the control plane, what each client should have, and what it has.
//!
//! ```text
//! reach: loopback of each control plane ─▶ ask: CSDS ─▶ client: one value for each stream ─▶ status, config
//! ```

mod ask;
mod certificates;
mod client;
mod config;
mod kinds;
mod reach;
mod status;
mod text;

pub(crate) use config::Arguments as Config;
pub(crate) use status::Arguments as Status;

use std::process::ExitCode;

/// What scripts can tell from the exit code: something was found that a person should look at.
const FINDINGS: u8 = 79;

pub(crate) async fn status(arguments: Status) -> anyhow::Result<ExitCode> {
    status::run(arguments).await
}

pub(crate) async fn config(arguments: Config) -> anyhow::Result<ExitCode> {
    config::run(arguments).await
}

#[cfg(test)]
mod tests;
