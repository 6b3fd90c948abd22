//! A UDP echo.

use std::net::{Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use crate::Pod;

pub(crate) async fn run(pod: &Pod, port: u16) -> anyhow::Result<()> {
    let socket = match UdpSocket::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(socket) => socket,
        Err(_) => UdpSocket::bind(("0.0.0.0", port)).await?,
    };
    let mut buffer = vec![0; 65_536];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await?;
        let mut answer = format!("{}: ", pod.name).into_bytes();
        answer.extend_from_slice(&buffer[..length]);
        // An ICMP error of an earlier answer must not end the server.
        let _ = socket.send_to(&answer, client).await;
    }
}
