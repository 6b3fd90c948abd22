//! `heddle`: the command line.

mod demo;
mod grpc_bootstrap;
mod looking;
mod probe;
mod uninstall;
mod verify;

use std::process::ExitCode;

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
    /// Runs the whole mesh on this machine, from a folder of Kubernetes YAML, without a cluster.
    Demo(demo::Arguments),
    /// Shows who is connected to the control plane, how far each client is, and what it refuses.
    Status(looking::Status),
    /// Shows the configuration of one client: what it should have, and what it has.
    Config(looking::Config),
    /// Writes what a gRPC program needs to be in the mesh by itself: its bootstrap file, certificate, key and roots; with --watch keeps them fresh.
    GrpcBootstrap(grpc_bootstrap::Arguments),
    /// Asks a service something, once or under load, and prints what came of it as JSON.
    #[command(subcommand)]
    Probe(probe::Probe),
    /// Checks one thing that a mesh must do, from inside a pod; `helm test` runs these.
    Verify(verify::Arguments),
    /// Takes the node proxies away, and waits until each has given its pods' networking back; `helm uninstall` runs it.
    UninstallNodes(uninstall::Arguments),
    /// Runs one of the demo's sample applications.
    #[command(subcommand, hide = true)]
    App(heddle_sample_apps::App),
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        // Before any thread is made: it may go into namespaces of its own.
        Command::Demo(demo) => demo::run(&demo),
        Command::Status(arguments) => {
            tokio::runtime::Runtime::new()?.block_on(looking::status(arguments))
        }
        Command::Config(arguments) => {
            tokio::runtime::Runtime::new()?.block_on(looking::config(arguments))
        }
        Command::GrpcBootstrap(arguments) => asynchronous(grpc_bootstrap::run(arguments)),
        Command::Probe(probe) => asynchronous(probe::run(probe)),
        Command::Verify(arguments) => asynchronous(verify::run(arguments)),
        Command::UninstallNodes(arguments) => asynchronous(uninstall::run(arguments)),
        Command::App(app) => asynchronous(heddle_sample_apps::run(app)),
    }
}

fn asynchronous(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Runtime::new()?.block_on(work)?;
    Ok(ExitCode::SUCCESS)
}
