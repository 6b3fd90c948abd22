//! A health check over a unix socket, for a kubelet's exec probes: two node proxies of a node share their ports for a while, and each must be
//! asked by itself.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail};

/// What to ask.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The socket.
    #[arg(long)]
    socket: PathBuf,
    /// The path of the check.
    #[arg(long, default_value = "/readyz")]
    path: String,
}

/// No answer within this time is none.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let answer =
        ask(arguments).with_context(|| format!("asking {}", arguments.socket.display()))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        bail!("{}", body.trim());
    }
    Ok(())
}

fn ask(arguments: &Arguments) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(&arguments.socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let path = &arguments.path;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
