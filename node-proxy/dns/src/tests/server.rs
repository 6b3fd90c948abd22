//! A pod's server with real sockets on loopback.

use std::{io, net::SocketAddr, sync::Arc};

use heddle_config::{ProxyConfig, SharedConfig};
use hickory_proto::{
    op::{Edns, Message, MessageType, ResponseCode},
    rr::{RData, RecordType},
};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

use super::{headless, lesson, query};
use crate::{BoxFuture, Context, Dial, Transport, Zone, serve_tcp, serve_udp};

/// An egress policy that allows everything.
pub(super) fn anybody(_: Transport, _: &[SocketAddr]) -> bool {
    true
}

/// An egress policy that allows nothing.
pub(super) fn nobody(_: Transport, _: &[SocketAddr]) -> bool {
    false
}

/// Sockets of this namespace.
pub(super) struct Here;

impl Dial for Here {
    fn udp(&self, resolver: SocketAddr) -> io::Result<UdpSocket> {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        socket.connect(resolver)?;
        UdpSocket::from_std(socket)
    }

    fn tcp(&self, resolver: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(resolver))
    }
}

/// A pod's server on loopback, and the token that ends it.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    shutdown: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(super) async fn serve(
    config: ProxyConfig,
    resolvers: Vec<SocketAddr>,
    allowed: impl Fn(Transport, &[SocketAddr]) -> bool + Send + Sync + 'static,
) -> Server {
    let context = Arc::new(Context {
        config: SharedConfig::new(arc_swap::ArcSwap::from_pointee(config)),
        zone: Zone::new("cluster.local"),
        resolvers,
        dial: Box::new(Here),
        allowed: Box::new(allowed),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(serve_udp(socket, Arc::clone(&context), shutdown.clone()));
    tokio::spawn(serve_tcp(listener, context, shutdown.clone()));
    Server { address, shutdown }
}

pub(super) async fn ask_udp(server: SocketAddr, query: &[u8]) -> Vec<u8> {
    let socket = Here.udp(server).unwrap();
    socket.send(query).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).await.unwrap();
    buffer.truncate(length);
    buffer
}

pub(super) async fn ask_tcp(server: SocketAddr, query: &[u8]) -> Vec<u8> {
    crate::forward::forward(&Here, &[server], Transport::Tcp, query)
        .await
        .unwrap()
}

/// A resolver that knows one name, and answers any question with one address.
pub(super) async fn resolver() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let name = query.queries[0].name().clone();
            let mut response = Message::response(query.metadata.id, query.metadata.op_code);
            response.add_queries(query.queries);
            let data = RData::A("203.0.113.10".parse().unwrap());
            response.add_answer(hickory_proto::rr::Record::from_rdata(name, 30, data));
            socket
                .send_to(&response.to_vec().unwrap(), client)
                .await
                .unwrap();
        }
    });
    address
}

#[tokio::test]
async fn names_outside_are_forwarded_and_the_answer_comes_back_byte_for_byte() {
    let resolver = resolver().await;
    let server = serve(lesson(), vec![resolver], anybody).await;
    let question = query("example.com.", RecordType::A).to_vec().unwrap();
    let direct = ask_udp(resolver, &question).await;
    assert_eq!(ask_udp(server.address, &question).await, direct);
}

#[tokio::test]
async fn an_external_name_is_answered_with_the_alias_and_where_it_leads() {
    let server = serve(lesson(), vec![resolver().await], anybody).await;
    let question = query("my-database.default.svc.cluster.local.", RecordType::A);
    let bytes = ask_udp(server.address, &question.to_vec().unwrap()).await;
    let response = Message::from_vec(&bytes).unwrap();
    let answers: Vec<_> = response
        .answers
        .iter()
        .map(|r| r.data.to_string())
        .collect();
    assert_eq!(answers, ["mydb.rds.amazonaws.com.", "203.0.113.10"]);
}

#[tokio::test]
async fn without_a_resolver_a_name_outside_is_a_server_failure() {
    let server = serve(lesson(), Vec::new(), anybody).await;
    let question = query("example.com.", RecordType::A).to_vec().unwrap();
    let response = Message::from_vec(&ask_udp(server.address, &question).await).unwrap();
    assert_eq!(response.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn a_pod_whose_policy_forbids_dns_is_refused() {
    let server = serve(lesson(), Vec::new(), nobody).await;
    let question = query("my-api.production.svc.cluster.local.", RecordType::A);
    let bytes = ask_udp(server.address, &question.to_vec().unwrap()).await;
    let response = Message::from_vec(&bytes).unwrap();
    assert_eq!(response.metadata.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn an_answer_too_long_for_udp_is_cut_and_whole_by_tcp() {
    let mut config = lesson();
    let pods: Vec<String> = (0..100).map(|i| format!("10.244.3.{i}")).collect();
    let pods: Vec<_> = pods
        .iter()
        .map(|address| (address.as_str(), None))
        .collect();
    headless(&mut config, "many.default", &pods);
    let server = serve(config, Vec::new(), anybody).await;
    let mut question = query("many.default.svc.cluster.local.", RecordType::A);
    let plain = question.to_vec().unwrap();
    let cut = Message::from_vec(&ask_udp(server.address, &plain).await).unwrap();
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let whole = Message::from_vec(&ask_tcp(server.address, &plain).await).unwrap();
    assert_eq!(whole.answers.len(), 100);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    question.set_edns(edns);
    let large = ask_udp(server.address, &question.to_vec().unwrap()).await;
    assert_eq!(Message::from_vec(&large).unwrap().answers.len(), 100);
}

#[tokio::test]
async fn bytes_that_are_no_query_do_not_end_the_server() {
    let server = serve(lesson(), Vec::new(), anybody).await;
    let socket = Here.udp(server.address).unwrap();
    for garbage in [&b"\x00"[..], b"\xff\xff\xff\xff", &[0; 300]] {
        socket.send(garbage).await.unwrap();
    }
    let question = query("my-api.production.svc.cluster.local.", RecordType::A);
    let bytes = ask_udp(server.address, &question.to_vec().unwrap()).await;
    assert_eq!(Message::from_vec(&bytes).unwrap().answers.len(), 1);
}

#[tokio::test]
async fn an_answer_is_not_answered() {
    let server = serve(lesson(), Vec::new(), anybody).await;
    let socket = Here.udp(server.address).unwrap();
    let mut question = query("my-api.production.svc.cluster.local.", RecordType::A);
    question.metadata.message_type = MessageType::Response;
    question.metadata.id = 1;
    socket.send(&question.to_vec().unwrap()).await.unwrap();
    question.metadata.message_type = MessageType::Query;
    question.metadata.id = 2;
    socket.send(&question.to_vec().unwrap()).await.unwrap();
    let mut buffer = vec![0; 512];
    let length = socket.recv(&mut buffer).await.unwrap();
    let first = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(first.metadata.id, 2);
}

/// Takes every query and answers none.
pub(super) async fn silent_resolver() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

#[tokio::test]
async fn names_of_ours_are_answered_while_others_wait_for_their_resolver() {
    let silent = silent_resolver().await;
    let server = serve(lesson(), vec![silent.local_addr().unwrap()], anybody).await;
    let socket = Here.udp(server.address).unwrap();
    let mut outside = query("example.com.", RecordType::A);
    let mut buffer = vec![0; 512];
    // One more than can wait: it fails at once, and so tells that all places are taken.
    let mut refused = None;
    for id in 0..=256 {
        outside.metadata.id = 1000 + id;
        socket.send(&outside.to_vec().unwrap()).await.unwrap();
        if id < 256 {
            silent.recv_from(&mut buffer).await.unwrap();
        } else {
            let length = socket.recv(&mut buffer).await.unwrap();
            refused = Some(Message::from_vec(&buffer[..length]).unwrap());
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.metadata.id, 1256);
    assert_eq!(refused.metadata.response_code, ResponseCode::ServFail);
    let ours = query("my-api.production.svc.cluster.local.", RecordType::A);
    socket.send(&ours.to_vec().unwrap()).await.unwrap();
    let length = socket.recv(&mut buffer).await.unwrap();
    let response = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(response.metadata.id, 7);
    assert_eq!(response.answers.len(), 1);
}
