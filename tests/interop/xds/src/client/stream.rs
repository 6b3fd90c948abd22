//! One gRPC stream.

use std::collections::HashMap;

use anyhow::{Context, Result};
use heddle_proto::{
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
        },
    },
    google::{
        protobuf::{Struct, Value, value::Kind},
        rpc,
    },
};
use heddle_snapshot::TypeUrl;
use http::uri::PathAndQuery;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

use super::Answer;
use crate::variant::Protocol;

/// A request in either protocol; each takes what it has a field for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// State of the world: the whole subscription.
    pub names: Vec<String>,
    /// State of the world: the last accepted version.
    pub version: String,
    /// Delta: names to add.
    pub subscribe: Vec<String>,
    /// Delta: names to drop.
    pub unsubscribe: Vec<String>,
    /// Delta: what the client has of old.
    pub initial: HashMap<String, String>,
    /// The response that it answers.
    pub nonce: String,
    /// Makes it a NACK.
    pub error: Option<rpc::Status>,
    /// A type other than that of the resources.
    pub other_type: Option<String>,
}

/// The responses of a call. Some servers send headers only with their first response, so that the call must not be waited for.
#[derive(Debug)]
enum Incoming<R> {
    Called(JoinHandle<Result<Response<Streaming<R>>, Status>>),
    Open(Streaming<R>),
}

impl<R> Incoming<R> {
    /// The next message. Nothing is lost if the future is dropped.
    async fn message(&mut self) -> Result<Option<R>, Status> {
        loop {
            match self {
                Self::Open(responses) => return responses.message().await,
                Self::Called(call) => {
                    let called = call.await;
                    let called = called.map_err(|error| Status::internal(error.to_string()))?;
                    *self = Self::Open(called?.into_inner());
                }
            }
        }
    }
}

#[derive(Debug)]
enum Ends {
    World(mpsc::Sender<DiscoveryRequest>, Incoming<DiscoveryResponse>),
    Delta(
        mpsc::Sender<DeltaDiscoveryRequest>,
        Incoming<DeltaDiscoveryResponse>,
    ),
}

/// A stream.
#[derive(Debug)]
pub struct Stream {
    ends: Ends,
    /// To be sent with the next request; only with the first.
    node: Option<Node>,
}

/// Who a client says it is: a node proxy.
pub fn node(id: &str, features: &[String]) -> Node {
    let role = Value {
        kind: Some(Kind::StringValue("node".to_owned())),
    };
    Node {
        id: id.to_owned(),
        metadata: Some(Struct {
            fields: [("role".to_owned(), role)].into_iter().collect(),
        }),
        client_features: features.to_vec(),
        ..Node::default()
    }
}

async fn call<Q, R>(
    channel: Channel,
    path: &'static str,
    token: &str,
) -> Result<(mpsc::Sender<Q>, Incoming<R>), Status>
where
    Q: prost::Message + Send + Sync + 'static,
    R: prost::Message + Default + Send + Sync + 'static,
{
    let (sender, receiver) = mpsc::channel(64);
    let mut grpc = Grpc::new(channel).max_decoding_message_size(64 << 20);
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = tonic::Request::new(ReceiverStream::new(receiver));
    let bearer = format!("Bearer {token}");
    let header = bearer
        .parse()
        .map_err(|_| Status::invalid_argument("a node id that no header can hold"))?;
    request.metadata_mut().insert("authorization", header);
    let codec = ProstCodec::<Q, R>::default();
    let path = PathAndQuery::from_static(path);
    let call = tokio::spawn(async move { grpc.streaming(request, path, codec).await });
    Ok((sender, Incoming::Called(call)))
}

impl Stream {
    /// Opens a stream; `token` is the node that it may speak for.
    pub async fn open(
        channel: Channel,
        path: &'static str,
        protocol: Protocol,
        token: &str,
        features: &[String],
    ) -> Result<Self, Status> {
        let ends = match protocol {
            Protocol::World => {
                let (sender, responses) = call(channel, path, token).await?;
                Ends::World(sender, responses)
            }
            Protocol::Delta => {
                let (sender, responses) = call(channel, path, token).await?;
                Ends::Delta(sender, responses)
            }
        };
        Ok(Self {
            ends,
            node: Some(node(token, features)),
        })
    }

    /// Says another name in the first request than the token's.
    pub fn claim(&mut self, id: &str) {
        self.node = Some(node(id, &[]));
    }

    /// Sends a request.
    pub async fn send(&mut self, type_url: TypeUrl, request: Request) -> Result<()> {
        let type_url = request.other_type.unwrap_or_else(|| type_url.to_owned());
        let node = self.node.take();
        let sent = match &self.ends {
            Ends::World(sender, _) => sender
                .send(DiscoveryRequest {
                    node,
                    type_url,
                    resource_names: request.names,
                    version_info: request.version,
                    response_nonce: request.nonce,
                    error_detail: request.error,
                    ..Default::default()
                })
                .await
                .is_ok(),
            Ends::Delta(sender, _) => sender
                .send(DeltaDiscoveryRequest {
                    node,
                    type_url,
                    resource_names_subscribe: request.subscribe,
                    resource_names_unsubscribe: request.unsubscribe,
                    initial_resource_versions: request.initial.into_iter().collect(),
                    response_nonce: request.nonce,
                    error_detail: request.error,
                    ..Default::default()
                })
                .await
                .is_ok(),
        };
        sent.then_some(()).context("the stream is closed")
    }

    /// The next response.
    pub async fn receive(&mut self) -> Result<Answer> {
        match &mut self.ends {
            Ends::World(_, responses) => {
                Answer::of_world(responses.message().await?.context("the stream ended")?)
            }
            Ends::Delta(_, responses) => {
                Answer::of_delta(responses.message().await?.context("the stream ended")?)
            }
        }
    }

    /// Reads to the end, and tells how it ended.
    pub async fn ended(&mut self) -> Status {
        loop {
            let more = match &mut self.ends {
                Ends::World(_, responses) => responses.message().await.map(|m| m.is_some()),
                Ends::Delta(_, responses) => responses.message().await.map(|m| m.is_some()),
            };
            match more {
                Ok(true) => {}
                Ok(false) => return Status::ok(""),
                Err(status) => return status,
            }
        }
    }
}
