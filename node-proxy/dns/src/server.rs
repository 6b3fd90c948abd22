//! Serving one pod.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use heddle_config::SharedConfig;
use hickory_proto::{
    op::{Message, MessageType, Query, ResponseCode},
    rr::Name,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Zone,
    answer::{Outcome, answer},
    forward::{Dial, Transport, forward},
    message, resolvers,
};

/// Queries of one pod that may wait for a resolver at a time, by UDP; TCP connections of one pod, by TCP.
const CONCURRENCY: usize = 256;
/// A TCP client that says nothing for so long is left (RFC 7766 section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);

/// Datagrams that are taken from the socket after shutdown: more than one holds, and an end even if more come.
const MOST_QUEUED: usize = 1024;
/// How long after shutdown a query may begin on a TCP connection that is open.
const LINGER: Duration = Duration::from_millis(500);

/// Whether the pod's egress policy lets it send to at least one of these addresses.
pub type Allowed = Box<dyn Fn(Transport, &[SocketAddr]) -> bool + Send + Sync>;

/// What a pod's server needs.
pub struct Context {
    /// The proxy's configuration.
    pub config: SharedConfig,
    /// The names that we have the say over.
    pub zone: Zone,
    /// The cluster's resolvers, tried in order; of one that is a Service's address the pods behind it are asked.
    pub resolvers: Vec<SocketAddr>,
    /// Opens sockets towards them.
    pub dial: Box<dyn Dial>,
    /// Asked for each query.
    pub allowed: Allowed,
}

/// Serves a UDP socket until shutdown; returns when all that had come by then is answered. An error of one query never ends the server. What is known here is answered at once,
/// however many queries wait for a resolver; beyond [`CONCURRENCY`] of those, further ones fail.
pub async fn serve_udp(socket: UdpSocket, context: Arc<Context>, shutdown: CancellationToken) {
    let server = UdpServer {
        socket: Arc::new(socket),
        context,
        places: Arc::new(Semaphore::new(CONCURRENCY)),
        asked: TaskTracker::new(),
    };
    let mut buffer = vec![0; 65_535];
    loop {
        let received = tokio::select! {
            () = shutdown.cancelled() => break,
            received = server.socket.recv_from(&mut buffer) => received,
        };
        // Else it is an ICMP error of an earlier answer; the socket itself is fine.
        if let Ok((length, client)) = received {
            server.take(&buffer[..length], client).await;
        }
    }
    for _ in 0..MOST_QUEUED {
        match server.socket.try_recv_from(&mut buffer) {
            Ok((length, client)) => server.take(&buffer[..length], client).await,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(_) => {}
        }
    }
    server.asked.close();
    server.asked.wait().await;
}

struct UdpServer {
    socket: Arc<UdpSocket>,
    context: Arc<Context>,
    places: Arc<Semaphore>,
    /// Queries that wait for a resolver.
    asked: TaskTracker,
}

impl UdpServer {
    async fn take(&self, bytes: &[u8], client: SocketAddr) {
        let (query, outcome) = match decide(&self.context, bytes, Transport::Udp) {
            Step::Ask(query, outcome) => (query, outcome),
            Step::Send(query, response) => {
                return self
                    .send(client, encode(&query, &response, Transport::Udp))
                    .await;
            }
            Step::Ignore => return,
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let busy = message::error(&query, ResponseCode::ServFail);
            return self
                .send(client, encode(&query, &busy, Transport::Udp))
                .await;
        };
        let bytes = bytes.to_vec();
        let (socket, context) = (Arc::clone(&self.socket), Arc::clone(&self.context));
        self.asked.spawn(async move {
            let response = finish(&context, &bytes, &query, outcome, Transport::Udp).await;
            send(&socket, client, response).await;
            drop(place);
        });
    }

    async fn send(&self, client: SocketAddr, response: Option<Vec<u8>>) {
        send(&self.socket, client, response).await;
    }
}

async fn lingered(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(LINGER).await;
}

async fn send(socket: &UdpSocket, client: SocketAddr, response: Option<Vec<u8>>) {
    if let Some(response) = response {
        // The client may be gone; there is nobody to tell.
        let _ = socket.send_to(&response, client).await;
    }
}

/// Serves a TCP listener until shutdown; returns when the queries that had come by then are answered.
pub async fn serve_tcp(listener: TcpListener, context: Arc<Context>, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONCURRENCY));
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            break;
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, or a client that left already: do not spin.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (context, shutdown) = (Arc::clone(&context), shutdown.clone());
        open.spawn(async move {
            // However it ends: the client sees it.
            let _ = talk(stream, &context, &shutdown).await;
            drop(place);
        });
    }
    open.close();
    open.wait().await;
}

/// Messages with their length in front (RFC 1035 section 4.2.2), one after the other. After shutdown one more, if it comes at once.
async fn talk(
    mut stream: TcpStream,
    context: &Context,
    shutdown: &CancellationToken,
) -> std::io::Result<()> {
    loop {
        let read = async {
            tokio::select! {
                read = timeout(IDLE, stream.read_u16()) => read.ok(),
                () = lingered(shutdown) => None,
            }
        };
        let Some(length) = read.await else {
            return Ok(());
        };
        let mut query = vec![0; usize::from(length?)];
        let Ok(read) = timeout(IDLE, stream.read_exact(&mut query)).await else {
            return Ok(());
        };
        read?;
        let Some(response) = respond(context, &query, Transport::Tcp).await else {
            return Ok(());
        };
        let Ok(length) = u16::try_from(response.len()) else {
            return Ok(());
        };
        stream.write_u16(length).await?;
        stream.write_all(&response).await?;
    }
}

/// The bytes of the answer; `None`: bytes that deserve none.
async fn respond(context: &Context, bytes: &[u8], transport: Transport) -> Option<Vec<u8>> {
    match decide(context, bytes, transport) {
        Step::Send(query, response) => encode(&query, &response, transport),
        Step::Ask(query, outcome) => finish(context, bytes, &query, outcome, transport).await,
        Step::Ignore => None,
    }
}

/// What is to be done next.
enum Step {
    /// Send this answer to the query.
    Send(Message, Message),
    /// A resolver has to be asked.
    Ask(Message, Outcome),
    /// No query, or nothing that can be read: an answer to an answer could go on for ever.
    Ignore,
}

/// All that can be done without waiting.
fn decide(context: &Context, bytes: &[u8], transport: Transport) -> Step {
    let Ok(query) = Message::from_vec(bytes) else {
        return match message::format_error(bytes) {
            Some(error) => Step::Send(error.clone(), error),
            None => Step::Ignore,
        };
    };
    if query.metadata.message_type != MessageType::Query {
        return Step::Ignore;
    }
    let config = context.config.load();
    if !(context.allowed)(transport, &resolvers::all(&config, context, transport)) {
        let refused = message::error(&query, ResponseCode::Refused);
        return Step::Send(query, refused);
    }
    match answer(&query, &config, &context.zone) {
        Outcome::Local(response) => Step::Send(query, response),
        outcome => Step::Ask(query, outcome),
    }
}

/// Asks a resolver for what is missing.
async fn finish(
    context: &Context,
    bytes: &[u8],
    query: &Message,
    outcome: Outcome,
    transport: Transport,
) -> Option<Vec<u8>> {
    let response = match outcome {
        Outcome::Local(response) => response,
        Outcome::Alias { message, target } => complete(context, message, &target).await,
        Outcome::Forward => match ask(context, transport, query.metadata.id, bytes).await {
            Some(answer) => return Some(answer),
            None => message::error(query, ResponseCode::ServFail),
        },
    };
    encode(query, &response, transport)
}

fn encode(query: &Message, response: &Message, transport: Transport) -> Option<Vec<u8>> {
    let encoded = match transport {
        Transport::Udp => message::encode_for_udp(query, response),
        Transport::Tcp => response.to_vec(),
    };
    encoded.ok()
}

/// `id`: the query's; it is random, so each of several resolvers gets its turn to be asked first.
async fn ask(context: &Context, transport: Transport, id: u16, bytes: &[u8]) -> Option<Vec<u8>> {
    let targets = resolvers::targets(context, transport, id);
    match forward(context.dial.as_ref(), &targets, transport, bytes).await {
        Ok(answer) => Some(answer),
        Err(error) => {
            tracing::debug!(%error, "a DNS query was not answered");
            None
        }
    }
}

/// Asks for the name that an alias leads to and puts the answers behind it, as CoreDNS does. If the resolver fails, the alias
/// alone is still a right answer.
async fn complete(context: &Context, mut message: Message, target: &str) -> Message {
    let Some(question) = message.queries.first() else {
        return message;
    };
    let Ok(name) = Name::from_ascii(format!("{target}.")) else {
        return message;
    };
    let mut query = Message::query();
    query.metadata.id = message.metadata.id;
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name, question.query_type()));
    let Ok(bytes) = query.to_vec() else {
        return message;
    };
    // By TCP, so that nothing is cut on the way; what is too long for our client is cut for it later.
    let id = query.metadata.id;
    let mut further = ask(context, Transport::Tcp, id, &bytes).await;
    if further.is_none() {
        further = ask(context, Transport::Udp, id, &bytes).await;
    }
    if let Some(answer) = further.and_then(|bytes| Message::from_vec(&bytes).ok()) {
        message.add_answers(answer.answers);
    }
    message
}
