//! The two protocols, as far as the driver tells them apart.

use std::time::Instant;

use heddle_proto::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
};

use crate::{
    session::{Response, Session, Variant, Violation},
    wire,
};

pub(super) trait Protocol: Send + Sync + 'static {
    const VARIANT: Variant;
    type Request: prost::Message + Default + Send + 'static;
    /// A response without its resources.
    type Response: prost::Message;

    fn node(request: &Self::Request) -> Option<&Node>;
    fn type_url(request: &mut Self::Request) -> &mut String;
    fn feed(session: &mut Session, request: &Self::Request, now: Instant) -> Result<(), Violation>;
    fn without_resources(response: &Response) -> Self::Response;
}

pub(super) struct StateOfTheWorld;

impl Protocol for StateOfTheWorld {
    const VARIANT: Variant = Variant::StateOfTheWorld;
    type Request = DiscoveryRequest;
    type Response = wire::StateOfTheWorld;

    fn node(request: &DiscoveryRequest) -> Option<&Node> {
        request.node.as_ref()
    }

    fn type_url(request: &mut DiscoveryRequest) -> &mut String {
        &mut request.type_url
    }

    fn feed(
        session: &mut Session,
        request: &DiscoveryRequest,
        now: Instant,
    ) -> Result<(), Violation> {
        session.state_of_the_world(request, now)
    }

    fn without_resources(response: &Response) -> wire::StateOfTheWorld {
        response.state_of_the_world()
    }
}

pub(super) struct Delta;

impl Protocol for Delta {
    const VARIANT: Variant = Variant::Delta;
    type Request = DeltaDiscoveryRequest;
    type Response = wire::Delta;

    fn node(request: &DeltaDiscoveryRequest) -> Option<&Node> {
        request.node.as_ref()
    }

    fn type_url(request: &mut DeltaDiscoveryRequest) -> &mut String {
        &mut request.type_url
    }

    fn feed(
        session: &mut Session,
        request: &DeltaDiscoveryRequest,
        now: Instant,
    ) -> Result<(), Violation> {
        session.delta(request, now)
    }

    fn without_resources(response: &Response) -> wire::Delta {
        response.delta()
    }
}
