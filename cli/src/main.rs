//! `heddle`: the command line.

mod probe;

use clap::{Parser, Subcommand};

/// A service mesh for Kubernetes without sidecars.
#[derive(Parser)]
#[command(name = "heddle", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Asks a service something, once or under load, and prints what came of it as JSON.
    #[command(subcommand)]
    Probe(probe::Probe),
    /// Runs one of the demo's sample applications.
    #[command(subcommand, hide = true)]
    App(heddle_sample_apps::App),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Probe(probe) => probe::run(probe).await,
        Command::App(app) => heddle_sample_apps::run(app).await,
    }
}
