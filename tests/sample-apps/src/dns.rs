//! The DNS server outside the mesh: what a cluster's DNS forwards to.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{RData, Record, RecordType, rdata::A},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

use crate::listen;

/// `mydb.rds.amazonaws.com`, the lesson's external database: an address of TEST-NET-3 (RFC 5737).
const DATABASE: (&str, Ipv4Addr) = ("mydb.rds.amazonaws.com.", Ipv4Addr::new(203, 0, 113, 10));

pub(crate) async fn run(port: u16) -> anyhow::Result<()> {
    let socket = match UdpSocket::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(socket) => socket,
        Err(_) => UdpSocket::bind(("0.0.0.0", port)).await?,
    };
    let listener = listen(port).await?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_tcp(stream));
        }
    });
    let mut buffer = vec![0; 65_536];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await?;
        if let Some(response) = answer(&buffer[..length]) {
            let _ = socket.send_to(&response, client).await;
        }
    }
}

/// Messages with a length in front (RFC 1035 section 4.2.2).
async fn serve_tcp(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let Some(response) = answer(&query) else {
            return Ok(());
        };
        stream
            .write_u16(u16::try_from(response.len()).unwrap_or(0))
            .await?;
        stream.write_all(&response).await?;
    }
}

fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let question = query.queries.first()?.clone();
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.metadata.message_type = MessageType::Response;
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.add_query(question.clone());
    let (name, address) = DATABASE;
    if !question.name().to_string().eq_ignore_ascii_case(name) {
        response.metadata.response_code = ResponseCode::NXDomain;
    } else if question.query_type() == RecordType::A {
        let record = Record::from_rdata(question.name().clone(), 30, RData::A(A(address)));
        response.add_answer(record);
    }
    response.to_vec().ok()
}
