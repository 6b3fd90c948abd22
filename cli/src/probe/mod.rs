//! `heddle probe`: small clients, to be run in a pod. Each prints JSON, one object a line.

mod connect;
mod health;
mod load;
mod tally;

use clap::Subcommand;

/// What to ask.
#[derive(Subcommand)]
pub(crate) enum Probe {
    /// Opens a connection (or sends a datagram), says something and tells what came back.
    Connect(connect::Arguments),
    /// Looks a name up as any program does, by the pod's resolv.conf.
    Resolve {
        /// The name.
        name: String,
    },
    /// Asks a program's unix socket whether it is healthy; the exit code tells.
    Health(health::Arguments),
    /// Sends HTTP requests over several connections and tells every interval who answered, how fast, and what failed.
    Load(load::Arguments),
}

pub(crate) async fn run(probe: Probe) -> anyhow::Result<()> {
    match probe {
        Probe::Connect(arguments) => connect::run(&arguments).await,
        Probe::Resolve { name } => resolve(&name).await,
        Probe::Health(arguments) => health::run(&arguments),
        Probe::Load(arguments) => load::run(arguments).await,
    }
}

async fn resolve(name: &str) -> anyhow::Result<()> {
    let answer = match tokio::net::lookup_host((name, 0)).await {
        Ok(addresses) => {
            let mut addresses: Vec<_> = addresses.map(|address| address.ip().to_string()).collect();
            addresses.sort();
            addresses.dedup();
            serde_json::json!({"name": name, "addresses": addresses})
        }
        Err(error) => {
            serde_json::json!({"name": name, "addresses": [], "error": error.to_string()})
        }
    };
    println!("{answer}");
    Ok(())
}
