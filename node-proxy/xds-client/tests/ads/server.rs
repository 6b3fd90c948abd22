//! A control plane that does what the test says.

use std::net::SocketAddr;

use heddle_proto::{
    envoy::service::discovery::v3::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
        Resource,
        aggregated_discovery_service_server::{
            AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
        },
    },
    google::protobuf::Any,
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, ServerTlsConfig},
};

use crate::soon;

/// A stream that a client opened.
pub(crate) struct Stream {
    requests: Streaming<DeltaDiscoveryRequest>,
    responses: mpsc::UnboundedSender<Result<DeltaDiscoveryResponse, Status>>,
    pub(crate) authorization: Option<String>,
}

impl Stream {
    /// The next request.
    pub(crate) async fn request(&mut self) -> DeltaDiscoveryRequest {
        let message = soon("a request", self.requests.message()).await;
        message.expect("the stream stands").expect("not closed")
    }

    /// The next so many requests.
    pub(crate) async fn requests(&mut self, count: usize) -> Vec<DeltaDiscoveryRequest> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.request().await);
        }
        all
    }

    pub(crate) fn send(&self, response: DeltaDiscoveryResponse) {
        self.responses
            .send(Ok(response))
            .expect("the stream stands");
    }

    /// Ends the stream with an error.
    pub(crate) fn fail(self, status: Status) {
        self.responses.send(Err(status)).expect("the stream stands");
    }
}

/// A response whose nonce is its type's last word and the names.
pub(crate) fn response(type_url: &str, names: &[&str]) -> DeltaDiscoveryResponse {
    let resource = |name: &&str| Resource {
        name: (*name).to_owned(),
        version: format!("version of {name}"),
        resource: Some(Any {
            type_url: type_url.to_owned(),
            value: Vec::new(),
        }),
        ..Resource::default()
    };
    DeltaDiscoveryResponse {
        type_url: type_url.to_owned(),
        nonce: format!("nonce of {}", names.join(" ")),
        resources: names.iter().map(resource).collect(),
        ..DeltaDiscoveryResponse::default()
    }
}

struct Service {
    streams: mpsc::UnboundedSender<Stream>,
    refuse: Option<Status>,
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Service {
    type StreamAggregatedResourcesStream =
        UnboundedReceiverStream<Result<DiscoveryResponse, Status>>;
    type DeltaAggregatedResourcesStream =
        UnboundedReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("delta only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        if let Some(status) = &self.refuse {
            return Err(status.clone());
        }
        let header = request.metadata().get("authorization");
        let authorization = header.map(|value| value.to_str().expect("ASCII").to_owned());
        let (responses, receiver) = mpsc::unbounded_channel();
        let stream = Stream {
            requests: request.into_inner(),
            responses,
            authorization,
        };
        self.streams
            .send(stream)
            .map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(UnboundedReceiverStream::new(receiver)))
    }
}

/// A control plane on loopback.
pub(crate) struct ControlPlane {
    pub(crate) address: SocketAddr,
    streams: mpsc::UnboundedReceiver<Stream>,
    task: JoinHandle<()>,
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ControlPlane {
    pub(crate) async fn start() -> Self {
        Self::with(None, None).await
    }

    /// As [`start`](Self::start), on a socket that listens already.
    pub(crate) fn on(listener: TcpListener) -> Self {
        Self::serve(listener, None, None)
    }

    /// Answers every stream with this status.
    pub(crate) async fn refusing(status: Status) -> Self {
        Self::with(Some(status), None).await
    }

    pub(crate) async fn with_tls(tls: ServerTlsConfig) -> Self {
        Self::with(None, Some(tls)).await
    }

    async fn with(refuse: Option<Status>, tls: Option<ServerTlsConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::serve(listener, refuse, tls)
    }

    fn serve(listener: TcpListener, refuse: Option<Status>, tls: Option<ServerTlsConfig>) -> Self {
        let address = listener.local_addr().expect("an address");
        let (sender, streams) = mpsc::unbounded_channel();
        let service = AggregatedDiscoveryServiceServer::new(Service {
            streams: sender,
            refuse,
        });
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls).expect("a valid configuration");
        }
        let router = server.add_service(service);
        let task = tokio::spawn(async move {
            let _ = router
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await;
        });
        Self {
            address,
            streams,
            task,
        }
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next stream that a client opens.
    pub(crate) async fn stream(&mut self) -> Stream {
        soon("a stream", self.streams.recv())
            .await
            .expect("the server runs")
    }
}
