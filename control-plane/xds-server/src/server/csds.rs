//! The Client Status Discovery Service (`envoy.service.status.v3`): who is connected, what each should have, and what it has.
//!
//! One `ClientConfig` for each stream. For each resource, as a client itself would tell it (gRFC A40), `xds_config` and `version_info` are
//! what the client accepted last. Where it should have something else, `error_state` holds that (`failed_configuration`, `version_info`),
//! with the words of the refusal if it refused; `config_status` says how far it is. With `exclude_resource_contents` only resources that
//! are not in sync are listed, so that an overview of many clients stays small. `node.metadata["dev.heddle.status"]` sums each client up.
//!
//! Whoever serves it decides who may ask: it tells the whole configuration of all clients. Keys never are in it.

mod matching;
mod summary;

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use futures::{Stream, StreamExt};
use heddle_proto::{
    Message,
    envoy::{
        admin::v3::{ClientResourceStatus, UpdateFailureState},
        service::status::v3::{
            ClientConfig, ClientStatusRequest, ClientStatusResponse, ConfigStatus,
            client_config::GenericXdsConfig,
            client_status_discovery_service_server::{
                ClientStatusDiscoveryService, ClientStatusDiscoveryServiceServer,
            },
        },
    },
    google::protobuf::Any,
};
use heddle_snapshot::Resource;
use tonic::{Request, Response, Status, Streaming};

use super::{ClientState, Server};
use crate::session::{Progress, Running, Standing};
use matching::Matcher;

/// The largest answer, in bytes.
const ANSWER_BYTES: usize = 64 << 20;

/// When the next certificate of a client's node or workload runs out, if that is known.
pub type Expiry = Arc<dyn Fn(&str) -> Option<SystemTime> + Send + Sync>;

/// The service.
#[derive(Clone)]
pub struct ClientStatusService {
    server: Arc<OnceLock<Server>>,
    expiry: Expiry,
}

impl std::fmt::Debug for ClientStatusService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientStatusService")
    }
}

impl ClientStatusService {
    /// Tells about the clients of a server, once there is one. `expiry` is asked with the name that a client's token or certificate gives.
    pub fn new(server: Arc<OnceLock<Server>>, expiry: Expiry) -> Self {
        Self { server, expiry }
    }

    /// For a router.
    pub fn into_service(self) -> ClientStatusDiscoveryServiceServer<Self> {
        ClientStatusDiscoveryServiceServer::new(self).max_decoding_message_size(1 << 20)
    }

    async fn answer(&self, request: &ClientStatusRequest) -> Result<ClientStatusResponse, Status> {
        let server = self.server.get().ok_or_else(|| {
            Status::unavailable("no proxy is served yet; /readyz says what is waited for")
        })?;
        let matcher = Matcher::of(&request.node_matchers)?;
        let contents = !request.exclude_resource_contents;
        let mut response = ClientStatusResponse::default();
        let mut room = ANSWER_BYTES;
        for client in server.clients() {
            if !matcher.matches(&client) {
                continue;
            }
            // One that has ended since is no client any more.
            let Some(account) = server.0.clients.account(client.stream) else {
                continue;
            };
            let config = ClientConfig {
                node: Some(summary::node(
                    &client,
                    &account,
                    (self.expiry)(&client.node),
                )),
                generic_xds_configs: account
                    .standings
                    .iter()
                    .filter(|standing| contents || standing.progress != Progress::Synced)
                    .map(|standing| resource(standing, contents))
                    .collect(),
                client_scope: format!("stream {}", client.stream),
                ..ClientConfig::default()
            };
            room = room
                .checked_sub(config.encoded_len())
                .ok_or_else(too_much)?;
            response.config.push(config);
            // Hundreds of clients take a while; others want to be served as well.
            tokio::task::yield_now().await;
        }
        Ok(response)
    }
}

fn too_much() -> Status {
    let limit = ANSWER_BYTES >> 20;
    Status::resource_exhausted(format!(
        "the answer has more than {limit} MiB: name clients with node_matchers, or set exclude_resource_contents"
    ))
}

fn resource(standing: &Standing, contents: bool) -> GenericXdsConfig {
    let body = |resource: &Arc<Resource>| {
        contents.then(|| Any {
            type_url: resource.type_url.to_owned(),
            value: resource.body.to_vec(),
        })
    };
    let running = match &standing.running {
        Running::Resource(resource) => body(resource),
        Running::Nothing | Running::Unknown | Running::Version(_) => None,
    };
    let (config_status, details) = match standing.progress {
        Progress::Synced => (ConfigStatus::Synced, None),
        Progress::NotSent => (ConfigStatus::NotSent, Some("not sent yet")),
        Progress::Unanswered => (ConfigStatus::Stale, Some("sent, not answered yet")),
        Progress::Refused => (ConfigStatus::Error, Some("refused")),
    };
    let details = match &standing.refusal {
        Some(refusal) => Some(format!(
            "{} (made from {})",
            refusal.message,
            refusal.origin.join(", ")
        )),
        None => details.map(str::to_owned),
    };
    GenericXdsConfig {
        type_url: standing.type_url.to_owned(),
        name: standing.name.to_string(),
        version_info: standing.running.version().unwrap_or_default().to_owned(),
        xds_config: running,
        config_status: config_status.into(),
        client_status: client_status(standing).into(),
        error_state: details.map(|details| UpdateFailureState {
            failed_configuration: standing.wanted.as_ref().and_then(body),
            version_info: standing
                .wanted
                .as_ref()
                .map(|wanted| wanted.version.as_str().to_owned())
                .unwrap_or_default(),
            details,
            ..UpdateFailureState::default()
        }),
        ..GenericXdsConfig::default()
    }
}

fn client_status(standing: &Standing) -> ClientResourceStatus {
    match (&standing.wanted, &standing.running, standing.progress) {
        (_, _, Progress::Refused) => ClientResourceStatus::Nacked,
        (None, Running::Nothing, _) => ClientResourceStatus::DoesNotExist,
        (_, Running::Nothing, _) => ClientResourceStatus::Requested,
        (_, Running::Unknown, _) => ClientResourceStatus::Unknown,
        (_, Running::Version(_) | Running::Resource(_), _) => ClientResourceStatus::Acked,
    }
}

type Responses = Pin<Box<dyn Stream<Item = Result<ClientStatusResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ClientStatusDiscoveryService for ClientStatusService {
    type StreamClientStatusStream = Responses;

    /// One answer for each request.
    async fn stream_client_status(
        &self,
        request: Request<Streaming<ClientStatusRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let service = self.clone();
        let answers = request.into_inner().then(move |request| {
            let service = service.clone();
            async move { service.answer(&request?).await }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn fetch_client_status(
        &self,
        request: Request<ClientStatusRequest>,
    ) -> Result<Response<ClientStatusResponse>, Status> {
        self.answer(request.get_ref()).await.map(Response::new)
    }
}

/// The name under which a client goes: what it calls itself, else whose token it has.
pub(super) fn name(client: &ClientState) -> &str {
    let told = client.info.as_ref().map(|info| info.id.as_str());
    told.filter(|id| !id.is_empty()).unwrap_or(&client.node)
}
