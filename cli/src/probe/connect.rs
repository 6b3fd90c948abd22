//! One connection or datagram: does it get through?

use std::{io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// What to connect to, and what to say.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// `host:port`.
    target: String,
    /// A datagram instead of a connection.
    #[arg(long)]
    udp: bool,
    /// What to send; a TCP line gets its end. Without it the server has to speak first.
    #[arg(long)]
    say: Option<String>,
    /// Seconds to wait for the connection and for the answer.
    #[arg(long, default_value_t = 2.0)]
    patience: f64,
}

/// What came of it.
#[derive(Debug, serde::Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
enum Outcome {
    /// An answer came.
    Answered { answer: String, milliseconds: f64 },
    /// The other side, or a policy, closed without an answer.
    Closed,
    /// Refused, reset, unreachable or no such name.
    Failed { error: String },
    /// Nothing came in time.
    TimedOut,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let patience = Duration::from_secs_f64(arguments.patience.clamp(0.01, 600.0));
    let begin = std::time::Instant::now();
    let attempt = async {
        if arguments.udp {
            by_udp(arguments).await
        } else {
            by_tcp(arguments).await
        }
    };
    let outcome = match timeout(patience, attempt).await {
        Err(_) => Outcome::TimedOut,
        Ok(Err(error)) => Outcome::Failed {
            error: error.to_string(),
        },
        Ok(Ok(answer)) if answer.is_empty() => Outcome::Closed,
        Ok(Ok(answer)) => Outcome::Answered {
            answer,
            milliseconds: begin.elapsed().as_secs_f64() * 1000.0,
        },
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

async fn by_tcp(arguments: &Arguments) -> io::Result<String> {
    let mut stream = TcpStream::connect(&arguments.target).await?;
    if let Some(words) = &arguments.say {
        stream.write_all(format!("{words}\n").as_bytes()).await?;
    }
    let mut line = String::new();
    BufReader::new(stream)
        .take(65_536)
        .read_line(&mut line)
        .await?;
    Ok(line.trim_end().to_owned())
}

async fn by_udp(arguments: &Arguments) -> io::Result<String> {
    let addresses = tokio::net::lookup_host(&arguments.target).await?;
    let target = addresses
        .into_iter()
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address"))?;
    let local = if target.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(target).await?;
    socket
        .send(arguments.say.as_deref().unwrap_or("hello").as_bytes())
        .await?;
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).await?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}
