//! The gRPC services, with responses that are encoded already.
//!
//! Written by hand because generated code would force the responses into structs that are encoded anew for each client.

use std::{
    convert::Infallible,
    fmt,
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use heddle_snapshot::TypeUrl;
use http::header::CONTENT_TYPE;
use tonic::{Request, Status, body::Body, codegen::Service, server::NamedService};

use super::{
    Inner,
    api::Api,
    body::Responses,
    driver,
    protocol::{Delta, Protocol, StateOfTheWorld},
    requests::Messages,
};

/// One discovery service. Cheap to clone.
pub struct DiscoveryService<A>(Arc<Inner>, PhantomData<A>);

impl<A> Clone for DiscoveryService<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), PhantomData)
    }
}

impl<A: Api> fmt::Debug for DiscoveryService<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(A::NAME)
    }
}

impl<A: Api> DiscoveryService<A> {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self(inner, PhantomData)
    }
}

async fn serve<P: Protocol>(
    inner: Arc<Inner>,
    only: Option<TypeUrl>,
    request: http::Request<Body>,
) -> http::Response<Body> {
    let limit = inner.settings.request_bytes;
    let request = request.map(|body| Messages::new(body, limit));
    match driver::start::<P>(inner, only, Request::from_http(request)).await {
        Ok(responses) => {
            let mut response = http::Response::new(Body::new(Responses::new(responses)));
            let grpc = http::HeaderValue::from_static("application/grpc");
            response.headers_mut().insert(CONTENT_TYPE, grpc);
            response
        }
        Err(status) => status.into_http(),
    }
}

impl<A: Api> NamedService for DiscoveryService<A> {
    const NAME: &'static str = A::NAME;
}

impl<A: Api> Service<http::Request<Body>> for DiscoveryService<A> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        let path = request.uri().path();
        if path == A::STATE_OF_THE_WORLD {
            Box::pin(async { Ok(serve::<StateOfTheWorld>(inner, A::ONLY, request).await) })
        } else if path == A::DELTA {
            Box::pin(async { Ok(serve::<Delta>(inner, A::ONLY, request).await) })
        } else {
            // Fetch* is polling over REST: there is no one who needs it beside the streams.
            Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) })
        }
    }
}
