//! The two variants of the protocol, as the client sees them.

use heddle_proto::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
        ResourceError, aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
};
use tonic::{Request, Response, Status, Streaming, transport::Channel};

use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{Handler, Reaction, Session, WorldSession};

/// How resources are told (xDS protocol, "Four Variants"; both on an aggregated stream).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// What changed.
    #[default]
    Delta,
    /// All of a type. What a type has must be named in its first field, which is so for all of Envoy's.
    StateOfTheWorld,
}

pub(crate) type Requests<R> = Request<UnboundedReceiverStream<R>>;

/// One stream of a variant: a session without I/O, and the call that it is for.
pub(crate) trait Talk: Sized {
    type Request: Send + 'static;
    type Response: Default + Send + 'static;

    fn begin(node: Node, wildcards: Vec<String>) -> Self;
    fn open(&mut self, handler: &impl Handler) -> Vec<Self::Request>;
    fn answer(
        &mut self,
        response: Self::Response,
        handler: &mut impl Handler,
    ) -> Reaction<Self::Request>;
    fn is_complete(&self) -> bool;
    fn give_up(&mut self);
    /// Whether an answer is held back. A delta server sends again what has changed, and only that: there it never is.
    fn holds(&self) -> bool {
        false
    }
    fn release(&mut self) -> Vec<Self::Request> {
        Vec::new()
    }
    fn about(response: &Self::Response) -> (&str, &[ResourceError]);
    fn call(
        client: &mut AggregatedDiscoveryServiceClient<Channel>,
        requests: Requests<Self::Request>,
    ) -> impl Future<Output = Result<Response<Streaming<Self::Response>>, Status>> + Send;
}

impl Talk for Session {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    fn begin(node: Node, wildcards: Vec<String>) -> Self {
        Self::new(node, wildcards)
    }

    fn open(&mut self, handler: &impl Handler) -> Vec<Self::Request> {
        self.open(handler)
    }

    fn answer(
        &mut self,
        response: Self::Response,
        handler: &mut impl Handler,
    ) -> Reaction<Self::Request> {
        self.answer(response, handler)
    }

    fn is_complete(&self) -> bool {
        self.is_complete()
    }

    fn give_up(&mut self) {
        self.give_up();
    }

    fn about(response: &Self::Response) -> (&str, &[ResourceError]) {
        (&response.type_url, &response.resource_errors)
    }

    async fn call(
        client: &mut AggregatedDiscoveryServiceClient<Channel>,
        requests: Requests<Self::Request>,
    ) -> Result<Response<Streaming<Self::Response>>, Status> {
        client.delta_aggregated_resources(requests).await
    }
}

impl Talk for WorldSession {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn begin(node: Node, wildcards: Vec<String>) -> Self {
        Self::new(node, wildcards)
    }

    fn open(&mut self, handler: &impl Handler) -> Vec<Self::Request> {
        self.open(handler)
    }

    fn answer(
        &mut self,
        response: Self::Response,
        handler: &mut impl Handler,
    ) -> Reaction<Self::Request> {
        self.answer(response, handler)
    }

    fn is_complete(&self) -> bool {
        self.is_complete()
    }

    fn give_up(&mut self) {
        self.give_up();
    }

    fn holds(&self) -> bool {
        self.holds()
    }

    fn release(&mut self) -> Vec<Self::Request> {
        self.release()
    }

    fn about(response: &Self::Response) -> (&str, &[ResourceError]) {
        (&response.type_url, &response.resource_errors)
    }

    async fn call(
        client: &mut AggregatedDiscoveryServiceClient<Channel>,
        requests: Requests<Self::Request>,
    ) -> Result<Response<Streaming<Self::Response>>, Status> {
        client.stream_aggregated_resources(requests).await
    }
}
