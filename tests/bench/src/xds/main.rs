//! `heddle-load`: what the control plane costs under many streams that change all the time.
//!
//! ```text
//! objects ─▶ resolve ─▶ translate ─▶ snapshot ─▶ xds-server ═ gRPC, plain text, loopback ═▶ N streams, a connection each
//! └──────────────────── a process of its own ────────────┘                               └── this process ──┘
//! ```
//!
//! A change is an object that is replaced; it counts as arrived when the last stream has what it led to and has sent its ACK. Only
//! the server's process is charged for CPU time and memory. It prints figures and judges none.

mod churn;
mod client;
mod fleet;
mod objects;
mod report;
mod server;

#[path = "../counters.rs"]
mod counters;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};

/// The control plane's, whose part a process of this program plays.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Case {
    /// One endpoint of one Service after the other.
    Endpoints,
    /// One route of a Gateway after the other.
    Routes,
}

/// Which protocol the streams speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// Increments.
    Delta,
    /// State of the world.
    World,
}

/// Size of the mesh.
#[derive(clap::Args, Clone, Copy, Debug)]
struct Size {
    /// Services, each with one port and no selector.
    #[arg(long, default_value_t = 1000)]
    services: usize,
    /// Endpoints of each Service.
    #[arg(long, default_value_t = 10)]
    endpoints: usize,
    /// HTTPRoutes of one Gateway.
    #[arg(long, default_value_t = 0)]
    routes: usize,
}

impl Size {
    /// Whether there is something to change; in the error what to ask for instead.
    fn check(self, case: Case) -> Result<(), &'static str> {
        match case {
            _ if self.services == 0 && self.routes > 0 => {
                Err("--services 0: routes need a Service to lead to, ask for one at least")
            }
            Case::Endpoints if self.services == 0 => Err(
                "--services 0: there is no Service whose endpoints could change, ask for one at least",
            ),
            Case::Endpoints if self.endpoints == 0 => Err(
                "--endpoints 0: there is no endpoint to change, ask for one of each Service at least",
            ),
            Case::Routes if self.routes == 0 => {
                Err("--case routes: there is no route to change, ask for some by --routes")
            }
            Case::Endpoints | Case::Routes => Ok(()),
        }
    }
}

/// Measures the control plane's stream under load, on loopback.
#[derive(Parser, Clone, Debug)]
#[command(name = "heddle-load", version)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    size: Size,
    /// Streams, one connection each.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=2000))]
    streams: u16,
    /// The protocol that they speak.
    #[arg(long, value_enum, default_value_t = Protocol::Delta)]
    protocol: Protocol,
    /// What is changed.
    #[arg(long, value_enum, default_value_t = Case::Endpoints)]
    case: Case,
    /// Changes a second.
    #[arg(long, value_delimiter = ',', default_value = "1,100", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rates: Vec<u32>,
    /// How long each rate is kept up.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=300))]
    seconds: u32,
}

#[derive(Clone, Debug, Subcommand)]
enum Part {
    /// The server's process; started by the measurement itself. Changes objects as its standard input says, and ends with it.
    #[command(hide = true)]
    Serve {
        #[command(flatten)]
        size: Size,
    },
}

impl Arguments {
    /// Reads a command line; what could not be measured is an error of it.
    fn read(
        words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> clap::error::Result<Self> {
        let arguments = Self::try_parse_from(words)?;
        if arguments.part.is_none() {
            let checked = arguments.size.check(arguments.case);
            checked.map_err(|text| Self::command().error(ErrorKind::ValueValidation, text))?;
        }
        Ok(arguments)
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match arguments.part {
        Some(Part::Serve { size }) => runtime.block_on(server::run(size))?,
        None => runtime.block_on(report::run(&arguments))?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
