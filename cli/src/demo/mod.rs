//! `heddle demo`: the whole mesh on this machine, from a folder of Kubernetes YAML.
//!
//! Two nodes and their pods are network namespaces; the control plane, the node proxies and the pods' servers are ordinary processes
//! in them. Nothing is simulated but the wire between the nodes, which is a bridge, and the kubelet, whose place the demo takes.
//!
//! The process runs twice: the one outside makes the namespaces and waits, the one inside does everything else. All that the one
//! inside made ends with it, by the kernel's hand.

mod check;
mod exec;
mod lesson;
mod live;
mod matrix;
mod mesh;
mod probes;
mod programs;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::LazyLock,
};

use anyhow::Context;

/// Where everything of a running demo lies, inside: a file system of its own that vanishes with it.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| PathBuf::from("/run/heddle-demo"));

/// What to do.
#[derive(clap::Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Folder of Kubernetes YAML.
    #[arg(long, default_value = "examples/lesson")]
    manifests: PathBuf,
    /// Take the tour: check everything by itself, on a copy of the folder, and end.
    #[arg(long)]
    check: bool,
    /// Print one JSON object at the end, and nothing else, to the standard output.
    #[arg(long, requires = "check")]
    json: bool,
    /// Copy the logs of all programs into this folder at the end of the tour.
    #[arg(long, requires = "check")]
    logs_to: Option<PathBuf>,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Command {
    /// Runs a command in a pod of the running demo: `heddle demo exec client -- curl http://my-api.production/`
    Exec(exec::Arguments),
    /// Prints the log of a program of the running demo: `control-plane`, `node-a`, or a pod as `production_my-api-0`.
    Logs {
        /// The program.
        name: String,
        /// Which demo, if several run: the process id of `heddle demo`.
        #[arg(long)]
        demo: Option<u32>,
    },
}

/// Runs it. Must be called before any thread is made.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Some(Command::Exec(exec)) => return exec::run(exec),
        Some(Command::Logs { name, demo }) => return exec::logs(name, *demo),
        None => {}
    }
    if heddle_testbed::is_inside() {
        return inside(arguments);
    }
    let manifests = &arguments.manifests;
    if !manifests.is_dir() {
        anyhow::bail!(
            "there is no folder {}; name one with --manifests",
            manifests.display()
        );
    }
    programs::Programs::find()?;
    if arguments.check {
        check::outside(arguments.json)
    } else {
        let ended = heddle_testbed::enter()?;
        println!("The demo has ended; nothing is left of it.");
        Ok(ended)
    }
}

fn inside(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.check {
        check::inside(&arguments.manifests, arguments.logs_to.as_deref())
    } else {
        live::run(&absolute(&arguments.manifests)?)
    }
}

fn absolute(folder: &Path) -> anyhow::Result<PathBuf> {
    folder
        .canonicalize()
        .with_context(|| folder.display().to_string())
}
