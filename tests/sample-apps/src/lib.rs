//! Small servers that stand in for a user's applications in `heddle demo` and in the scenarios.
//!
//! They know nothing of the mesh: ordinary sockets, ordinary protocols. `heddle app KIND` runs one as a process of its own.

mod dns;
mod echo;
mod lines;
mod udp;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

pub use echo::EchoAnswer;

/// Which application to run.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum App {
    /// HTTP/1.1 and HTTP/2 server that tells what it saw, as JSON.
    Echo {
        /// Ports to listen on.
        #[arg(long, value_delimiter = ',', default_value = "8080")]
        http: Vec<u16>,
        /// What it calls its version.
        #[arg(long, default_value = "v1")]
        version: String,
    },
    /// TCP server that speaks first, as PostgreSQL's and MySQL's neighbours do: a greeting, then it echoes lines.
    ServerFirst {
        /// Port to listen on.
        #[arg(long, default_value_t = 5432)]
        port: u16,
    },
    /// TCP server that waits for the client, as Redis does: `PING` is answered `+PONG <pod>`, other lines are echoed.
    Redis {
        /// Port to listen on.
        #[arg(long, default_value_t = 6379)]
        port: u16,
    },
    /// UDP server that sends back what it gets, behind its pod's name.
    UdpEcho {
        /// Port to listen on.
        #[arg(long, default_value_t = 9999)]
        port: u16,
    },
    /// DNS server for the names outside the cluster that the lesson uses.
    Dns {
        /// Port to listen on (UDP and TCP).
        #[arg(long, default_value_t = 53)]
        port: u16,
    },
    /// Does nothing, as a pod that is only a client.
    Idle,
}

/// Runs an application until it is ended. The pod's name comes from `POD_NAME`, its namespace from `POD_NAMESPACE`.
pub async fn run(app: App) -> anyhow::Result<()> {
    let pod = Pod::from_environment();
    match app {
        App::Echo { http, version } => echo::run(&pod, &http, &version).await,
        App::ServerFirst { port } => lines::run(&pod, port, lines::Manner::ServerFirst).await,
        App::Redis { port } => lines::run(&pod, port, lines::Manner::ClientFirst).await,
        App::UdpEcho { port } => udp::run(&pod, port).await,
        App::Dns { port } => dns::run(port).await,
        App::Idle => std::future::pending().await,
    }
}

/// Which pod the application runs in.
#[derive(Clone, Debug)]
struct Pod {
    name: String,
    namespace: String,
}

impl Pod {
    fn from_environment() -> Self {
        let variable = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
        Self {
            name: variable("POD_NAME", "unknown"),
            namespace: variable("POD_NAMESPACE", "default"),
        }
    }
}

/// All addresses of both families, or of IPv4 alone where the kernel has no IPv6.
async fn listen(port: u16) -> std::io::Result<tokio::net::TcpListener> {
    match tokio::net::TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => Ok(listener),
        Err(_) => tokio::net::TcpListener::bind(("0.0.0.0", port)).await,
    }
}

/// An IPv4 address that came in on an IPv6 socket, in its own form.
fn plain(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V6(v6) => v6.to_canonical(),
        v4 => v4,
    };
    SocketAddr::new(ip, address.port())
}
