//! Keeping a stream open.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use heddle_proto::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{
        DeltaDiscoveryRequest,
        aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, metadata::MetadataValue, transport::Channel};

use crate::{
    Status,
    session::{Handler, Session},
};

/// How the client behaves.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// First pause after a stream that brought nothing; doubles, with full jitter.
    pub min_backoff: Duration,
    /// Longest pause.
    pub max_backoff: Duration,
    /// For opening the connection and the stream.
    pub connect_timeout: Duration,
    /// Largest response, in bytes.
    pub max_message: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            max_message: 256 << 20,
        }
    }
}

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a stream needs anew each time: a connection (roots may have rotated) and the token (it expires).
pub trait Connect: Send + Sync {
    /// Connects to a control plane. The channel should have HTTP/2 keepalive, or a silent peer is not noticed.
    fn connect(&self) -> BoxFuture<'_, Result<Channel, ConnectError>>;
    /// The bearer token, if there is one.
    fn token(&self) -> Result<Option<String>, ConnectError>;
}

/// No stream, this time.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The connection failed.
    #[error("cannot connect to the control plane: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The token cannot be read or sent.
    #[error("the token cannot be used: {0}")]
    Token(String),
    /// Nothing in time.
    #[error("the control plane did not answer in time")]
    TimedOut,
    /// The control plane ended or refused the stream.
    #[error("{code:?}: {message}", code = .0.code(), message = .0.message())]
    Stream(#[from] tonic::Status),
    /// The control plane closed the stream properly.
    #[error("the control plane closed the stream")]
    Closed,
}

/// The client.
pub struct Client {
    connect: Box<dyn Connect>,
    node: Node,
    settings: ClientSettings,
    status: Arc<Status>,
}

impl Client {
    /// Puts a client together.
    pub fn new(connect: Box<dyn Connect>, node: Node, settings: ClientSettings) -> Self {
        Self {
            connect,
            node,
            settings,
            status: Arc::default(),
        }
    }

    /// How the stream is doing.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Keeps a stream open until shutdown.
    pub async fn run(self, mut handler: impl Handler, shutdown: CancellationToken) {
        let mut backoff = self.settings.min_backoff;
        loop {
            let mut worked = false;
            let error = tokio::select! {
                () = shutdown.cancelled() => return,
                error = self.stream(&mut handler, &mut worked) => error,
            };
            self.status.lost(&error.to_string());
            tracing::warn!(%error, "xDS stream lost; the last good configuration stays in force");
            if worked {
                // gRFC A57: a stream that brought a response is no failure; it may be opened again soon.
                backoff = self.settings.min_backoff;
            }
            let pause = backoff.mul_f64(rand::random_range(0.5..=1.0));
            backoff = (backoff * 2).min(self.settings.max_backoff);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One stream, to its end.
    async fn stream(&self, handler: &mut dyn Handler, worked: &mut bool) -> ConnectError {
        match self.follow(handler, worked).await {
            Ok(()) => ConnectError::Closed,
            Err(error) => error,
        }
    }

    async fn follow(
        &self,
        handler: &mut dyn Handler,
        worked: &mut bool,
    ) -> Result<(), ConnectError> {
        let patience = self.settings.connect_timeout;
        let channel = timeout(patience, self.connect.connect())
            .await
            .map_err(|_| ConnectError::TimedOut)??;
        let mut session = Session::new(self.node.clone());
        // Answers are few and small next to what comes; a full channel only makes us read later.
        let (sender, requests) = mpsc::channel(64);
        for request in session.subscribe(handler) {
            send(&sender, request).await?;
        }
        let mut request = Request::new(ReceiverStream::new(requests));
        if let Some(token) = self.connect.token()? {
            let value = MetadataValue::try_from(format!("Bearer {token}")).map_err(|_| {
                ConnectError::Token("it has characters that no header may hold".into())
            })?;
            request.metadata_mut().insert("authorization", value);
        }
        let mut client = AggregatedDiscoveryServiceClient::new(channel)
            .max_decoding_message_size(self.settings.max_message);
        let mut responses = timeout(patience, client.delta_aggregated_resources(request))
            .await
            .map_err(|_| ConnectError::TimedOut)??
            .into_inner();
        self.status.connected();
        tracing::info!("xDS stream opened");
        while let Some(response) = responses.message().await? {
            *worked = true;
            let type_url = response.type_url.clone();
            let (answer, refusals) = session.answer(response, handler);
            for refusal in &refusals {
                tracing::warn!(resource = refusal.name, %type_url, reason = refusal.message, "refused");
            }
            self.status.answered(&type_url, &refusals);
            send(&sender, answer).await?;
            for request in session.subscribe(handler) {
                send(&sender, request).await?;
            }
        }
        Ok(())
    }
}

async fn send(
    sender: &mpsc::Sender<DeltaDiscoveryRequest>,
    request: DeltaDiscoveryRequest,
) -> Result<(), ConnectError> {
    sender.send(request).await.map_err(|_| ConnectError::Closed)
}
