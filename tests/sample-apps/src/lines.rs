//! TCP servers that speak in lines.

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{Pod, listen, plain};

/// Who speaks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The server, with a greeting.
    ServerFirst,
    /// The client.
    ClientFirst,
}

pub(crate) async fn run(pod: &Pod, port: u16, manner: Manner) -> anyhow::Result<()> {
    let listener = listen(port).await?;
    loop {
        let (stream, client) = listener.accept().await?;
        let (pod, client) = (pod.name.clone(), plain(client));
        tokio::spawn(async move {
            // A client that goes away in the middle is its own affair.
            let _ = talk(stream, &pod, &client.to_string(), manner).await;
        });
    }
}

async fn talk(
    mut stream: TcpStream,
    pod: &str,
    client: &str,
    manner: Manner,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.split();
    if manner == Manner::ServerFirst {
        write
            .write_all(format!("HELLO {client} from {pod}\n").as_bytes())
            .await?;
    }
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match (manner, line.as_str()) {
            (Manner::ClientFirst, "PING") => format!("+PONG {pod}\n"),
            _ => format!("{line}\n"),
        };
        write.write_all(answer.as_bytes()).await?;
    }
    write.shutdown().await
}
