//! `envoy.service.discovery.v3.AggregatedDiscoveryService`, with responses that are encoded already.
//!
//! Written by hand because generated code would force the responses into structs that are encoded anew for each client.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{Stream, future::BoxFuture};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::{Body as HttpBody, Service, StdError, http},
    server::{Grpc, NamedService, StreamingService},
};
use tonic_prost::ProstCodec;

use super::{
    Inner, driver,
    protocol::{Delta, Protocol, StateOfTheWorld},
};

const STATE_OF_THE_WORLD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const DELTA: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// The gRPC service. Cheap to clone.
#[derive(Clone)]
pub struct AdsService(Arc<Inner>);

impl std::fmt::Debug for AdsService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdsService")
    }
}

impl AdsService {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    async fn serve<P, B>(inner: Arc<Inner>, request: http::Request<B>) -> http::Response<Body>
    where
        P: Protocol,
        B: HttpBody + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        let limit = inner.settings.request_bytes;
        let method = Method::<P>(inner, std::marker::PhantomData);
        Grpc::new(ProstCodec::<P::Response, P::Request>::default())
            .apply_max_message_size_config(Some(limit), None)
            .streaming(method, request)
            .await
    }
}

impl NamedService for AdsService {
    const NAME: &'static str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
}

impl<B> Service<http::Request<B>> for AdsService
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        match request.uri().path() {
            STATE_OF_THE_WORLD => {
                Box::pin(async { Ok(Self::serve::<StateOfTheWorld, B>(inner, request).await) })
            }
            DELTA => Box::pin(async { Ok(Self::serve::<Delta, B>(inner, request).await) }),
            _ => Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) }),
        }
    }
}

struct Method<P>(Arc<Inner>, std::marker::PhantomData<P>);

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl<P: Protocol> StreamingService<P::Request> for Method<P> {
    type Response = P::Response;
    type ResponseStream = Responses<P::Response>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<P::Request>>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let responses = driver::start::<P>(inner, request).await?;
            let responses: Self::ResponseStream = Box::pin(ReceiverStream::new(responses));
            Ok(Response::new(responses))
        })
    }
}
