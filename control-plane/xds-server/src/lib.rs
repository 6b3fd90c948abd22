//! The xDS server: ADS and the services of one type, in both variants, to every kind of client.
//!
//! [`Session`](session::Session) is the protocol of one stream as a pure state machine; [`Server`] authenticates clients, feeds their
//! sessions with requests, snapshots and the time, and sends what they say. Resources come encoded, in snapshots; this crate never
//! decodes or changes one, knows no Kubernetes, and decides nothing about who may see what beyond asking
//! [`View`](heddle_snapshot::View). The control plane runs it.
//!
//! # How to wire it
//!
//! ```no_run
//! use std::sync::Arc;
//! use heddle_snapshot::Snapshot;
//! use heddle_xds_server::{BootstrapTokens, Server, Settings, http2, session::Event};
//! use tokio::sync::watch;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // Whoever translates sends each new snapshot here.
//! let (snapshots, newest) = watch::channel(Arc::new(Snapshot::default()));
//!
//! let tokens = Arc::new(BootstrapTokens::open("/etc/heddle/tokens.yaml")?);
//! let server = Server::with_observer(newest, Arc::clone(&tokens), Settings::default(), |notice| {
//!     // For the status of the objects in `refusal.origin`. Must not block: hand it over.
//!     match &notice.event {
//!         Event::Refused(refusal) => tracing::warn!(node = %notice.node, "{}", refusal.message),
//!         Event::Cleared(_) => {}
//!     }
//! });
//!
//! // TLS is the caller's: `.tls_config(...)`, or `serve_with_incoming` of accepted TLS streams.
//! let services = server.clone().into_routes();
//! let shutdown = server.clone();
//! http2(tonic::transport::Server::builder())
//!     .add_routes(services)
//!     .serve_with_shutdown("0.0.0.0:15012".parse()?, async move {
//!         let _ = tokio::signal::ctrl_c().await;
//!         shutdown.drain().await;
//!     })
//!     .await?;
//!
//! // For /debug/clients.
//! for client in server.clients() {
//!     println!("{} {:?} {:?}", client.node, client.role, client.types);
//! }
//! # drop(snapshots);
//! # Ok(()) }
//! ```
//!
//! The certificate service can share `tokens`: `tokens.authenticate(&Token::from_metadata(metadata)?).await?.node`.
//!
//! # What a client should know
//! To lose no request while routes change, a client asks for what a response refers to (the endpoints of its clusters) before or
//! soon after it accepts that response; and when it connects again it asks in the order of
//! [`PUSH_ORDER`](heddle_proto::type_url::PUSH_ORDER). The first answer to a delta wildcard always comes, if only to say that there is
//! nothing new.

mod auth;
mod blocks;
mod diffs;
pub mod server;
pub mod session;
mod shared;
mod tokens;
mod wire;

pub use auth::{AuthError, Authenticate, Credential, NodeIdentity, Token};
pub use blocks::Blocks;
pub use diffs::Diffs;
pub use server::{
    ClientState, ClientStatusService, ConnectionLimits, Connections, Expiry, Notice, Server,
    Settings, http2,
};
pub use shared::Shared;
pub use tokens::{BootstrapTokens, TokensError};
