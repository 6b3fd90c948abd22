//! One stream: asks as a node proxy would for routing, acknowledges everything, and tells what came.
//!
//! Resources are not decoded: this process shares the machine with the server that is measured.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use heddle_interop_xds::{
    client::{connect, node as node_of},
    variant::{DELTA_ADS, WORLD_ADS},
};
use heddle_proto::{
    Message,
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
    },
    google::protobuf::Any,
    type_url::{CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, ROUTE_CONFIGURATION},
};
use prost::bytes::{Buf, Bytes};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::Protocol;

/// Largest response taken, in bytes: a state-of-the-world response has everything.
const LARGEST: usize = 256 << 20;

/// What came.
#[derive(Debug)]
pub(crate) struct Told {
    /// Type of all its resources.
    pub(crate) type_url: String,
    /// Their names.
    pub(crate) names: Vec<String>,
    /// How many names there is nothing of.
    pub(crate) missing: usize,
    /// Bytes of the message.
    pub(crate) bytes: usize,
}

/// Either response, as far as it is looked at: field numbers are the same in both (`discovery.proto`).
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    resources: Vec<Bytes>,
    #[prost(string, tag = "4")]
    type_url: String,
    #[prost(string, tag = "5")]
    nonce: String,
    /// Delta alone: names that there is nothing of. (The state of the world has one message here, of the control plane.)
    #[prost(bytes = "bytes", repeated, tag = "6")]
    removed: Vec<Bytes>,
}

/// The name of a delta resource (field 3), or of the message in a state-of-the-world one.
#[derive(Clone, PartialEq, Message)]
struct DeltaName {
    #[prost(string, tag = "3")]
    name: String,
}

/// Listener, Cluster, RouteConfiguration and ClusterLoadAssignment all have their name in field 1.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

/// Requests as messages, responses as bytes.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put(buffer, item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}

/// An open stream.
pub(crate) struct Client {
    protocol: Protocol,
    node: Option<Node>,
    requests: mpsc::Sender<Bytes>,
    responses: Streaming<Bytes>,
    /// The subscription to endpoints and to routes, which a state-of-the-world client repeats with each request.
    names: [Vec<String>; 2],
}

impl Client {
    /// Opens a stream on a connection of its own.
    pub(crate) async fn open(address: SocketAddr, protocol: Protocol, node: &str) -> Result<Self> {
        let channel = connect(address).await?;
        let (requests, stream) = mpsc::channel(16);
        let mut request = tonic::Request::new(ReceiverStream::new(stream));
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {node}").parse()?);
        let variant = match protocol {
            Protocol::Delta => DELTA_ADS,
            Protocol::World => WORLD_ADS,
        };
        let mut grpc = Grpc::new(channel).max_decoding_message_size(LARGEST);
        grpc.ready().await?;
        let path = http::uri::PathAndQuery::from_static(variant.path(CLUSTER));
        let responses = grpc.streaming(request, path, Raw).await?.into_inner();
        Ok(Self {
            protocol,
            node: Some(node_of(node, &[])),
            requests,
            responses,
            names: Default::default(),
        })
    }

    fn names(&mut self, type_url: &str) -> Option<&mut Vec<String>> {
        match type_url {
            CLUSTER_LOAD_ASSIGNMENT => Some(&mut self.names[0]),
            ROUTE_CONFIGURATION => Some(&mut self.names[1]),
            _ => None,
        }
    }

    /// Asks for names, or without them for everything.
    pub(crate) async fn ask(&mut self, type_url: &str, names: Vec<String>) -> Result<()> {
        if let Some(known) = self.names(type_url) {
            known.clone_from(&names);
        }
        self.request(type_url, names, "", "").await
    }

    async fn request(
        &mut self,
        type_url: &str,
        subscribe: Vec<String>,
        nonce: &str,
        version: &str,
    ) -> Result<()> {
        let type_url = type_url.to_owned();
        let node = self.node.take();
        let encoded = match self.protocol {
            Protocol::Delta => DeltaDiscoveryRequest {
                node,
                type_url,
                resource_names_subscribe: subscribe,
                response_nonce: nonce.to_owned(),
                ..Default::default()
            }
            .encode_to_vec(),
            Protocol::World => DiscoveryRequest {
                node,
                resource_names: self.names(&type_url).cloned().unwrap_or_default(),
                type_url,
                response_nonce: nonce.to_owned(),
                version_info: version.to_owned(),
                ..Default::default()
            }
            .encode_to_vec(),
        };
        let sent = self.requests.send(encoded.into()).await;
        sent.ok().context("the stream is closed")
    }

    /// Receives the next response and acknowledges it.
    pub(crate) async fn take(&mut self) -> Result<Told> {
        let message = self.responses.message().await?;
        let message = message.context("the server ended the stream")?;
        let bytes = message.len();
        let response = Response::decode(message)?;
        let mut names = Vec::with_capacity(response.resources.len());
        for resource in response.resources {
            names.push(match self.protocol {
                Protocol::Delta => DeltaName::decode(resource)?.name,
                Protocol::World => Named::decode(&*Any::decode(resource)?.value)?.name,
            });
        }
        self.request(
            &response.type_url,
            Vec::new(),
            &response.nonce,
            &response.version,
        )
        .await?;
        Ok(Told {
            type_url: response.type_url,
            names,
            missing: response.removed.len(),
            bytes,
        })
    }

    /// Asks for everything that there is and comes back when all of it is there; gives the bytes that it took.
    pub(crate) async fn synchronize(&mut self) -> Result<usize> {
        let clusters = self.everything(CLUSTER).await?;
        let endpoints = self.by_name(CLUSTER_LOAD_ASSIGNMENT, clusters.0).await?;
        let listeners = self.everything(LISTENER).await?;
        let routes = self.by_name(ROUTE_CONFIGURATION, listeners.0).await?;
        Ok(clusters.1 + endpoints + listeners.1 + routes)
    }

    async fn everything(&mut self, type_url: &str) -> Result<(Vec<String>, usize)> {
        self.ask(type_url, Vec::new()).await?;
        // An answer comes in as many responses as it needs: the first that is not full is the last. The state of the world is one.
        let world = self.protocol == Protocol::World;
        let is_last = |_, last: usize| world || last < NEARLY_FULL;
        self.gather(type_url, is_last).await
    }

    async fn by_name(&mut self, type_url: &str, names: Vec<String>) -> Result<usize> {
        if names.is_empty() {
            return Ok(0);
        }
        let wanted = names.len();
        self.ask(type_url, names).await?;
        // In the state of the world nobody says what is not there: the first response counts.
        let world = self.protocol == Protocol::World;
        let all = |told: usize, _| world || told >= wanted;
        Ok(self.gather(type_url, all).await?.1)
    }

    /// Takes responses until `is_all` says so of the number of names that were told of and the bytes of the last response.
    async fn gather(
        &mut self,
        type_url: &str,
        is_all: impl Fn(usize, usize) -> bool,
    ) -> Result<(Vec<String>, usize)> {
        let (mut names, mut missing, mut bytes) = (Vec::new(), 0, 0);
        loop {
            let told = self.take().await?;
            missing += told.missing;
            anyhow::ensure!(told.type_url == type_url, "{} came", told.type_url);
            bytes += told.bytes;
            names.extend(told.names);
            if is_all(names.len() + missing, told.bytes) {
                return Ok((names, bytes));
            }
        }
    }
}

/// The server's bound of a response (2 MiB) less than the largest Listener or Cluster.
const NEARLY_FULL: usize = (2 << 20) - (64 << 10);
