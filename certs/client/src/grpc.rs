//! The control plane (or Istio, or istio-csr) as issuer, over gRPC.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use heddle_identity::SpiffeId;
use heddle_proto::{
    google::protobuf::{Struct, Value, value::Kind},
    istio::auth::{
        IstioCertificateRequest, istio_certificate_service_client::IstioCertificateServiceClient,
    },
};
use tonic::{
    Code, Request, Status,
    metadata::AsciiMetadataValue,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::{Issue, IssueError};

/// The metadata field that says on whose behalf a node asks.
const IMPERSONATED_IDENTITY: &str = "ImpersonatedIdentity";
/// Limit for one request.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Limit for connecting.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where the bearer token that proves this node comes from. Read for each request: tokens rotate.
#[derive(Clone)]
pub enum Token {
    /// A file; white space around it is ignored.
    File(PathBuf),
    /// A function.
    Function(Arc<dyn Fn() -> std::io::Result<String> + Send + Sync>),
}

impl Token {
    fn read(&self) -> std::io::Result<String> {
        let text = match self {
            Self::File(path) => std::fs::read_to_string(path)?,
            Self::Function(function) => function()?,
        };
        Ok(text.trim().to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "Token({})", path.display()),
            Self::Function(_) => f.write_str("Token(function)"),
        }
    }
}

/// The roots that the issuer's certificate must chain to, PEM.
#[derive(Clone, Debug)]
pub enum Roots {
    /// These.
    Pem(String),
    /// Those in a file. Looked at for each request: when they have changed, a new connection is made.
    File(PathBuf),
}

impl Roots {
    fn read(&self) -> Result<String, IssueError> {
        match self {
            Self::Pem(pem) => Ok(pem.clone()),
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| {
                IssueError::Unavailable(format!("its roots {}: {error}", path.display()))
            }),
        }
    }
}

type Client = IstioCertificateServiceClient<Channel>;

/// Asks an `istio.v1.auth.IstioCertificateService`.
#[derive(Clone, Debug)]
pub struct GrpcIssuer {
    way: Way,
    token: Token,
}

/// How the service is reached.
#[derive(Clone, Debug)]
enum Way {
    /// Over a connection of somebody else's.
    Given(Client),
    Own(Arc<Own>),
}

#[derive(Debug)]
struct Own {
    address: String,
    server_name: String,
    roots: Roots,
    /// The connection, with the roots that it was made with. Taken for moments only.
    made: Mutex<Option<(String, Client)>>,
}

impl GrpcIssuer {
    /// For the service at `address` (`https://heddle-control-plane.heddle-system.svc:15012`), whose certificate must chain to the roots and
    /// name `server_name`. Connects when first used, and again by itself.
    pub fn new(
        address: impl Into<String>,
        roots: Roots,
        server_name: impl Into<String>,
        token: Token,
    ) -> Self {
        let own = Own {
            address: address.into(),
            server_name: server_name.into(),
            roots,
            made: Mutex::default(),
        };
        Self {
            way: Way::Own(Arc::new(own)),
            token,
        }
    }

    /// Over a connection that somebody else made (tests, or one that is shared with xDS).
    pub fn over(channel: Channel, token: Token) -> Self {
        Self {
            way: Way::Given(IstioCertificateServiceClient::new(channel)),
            token,
        }
    }

    fn client(&self) -> Result<Client, IssueError> {
        match &self.way {
            Way::Given(client) => Ok(client.clone()),
            Way::Own(own) => own.client(),
        }
    }

    fn authorization(&self) -> Result<AsciiMetadataValue, IssueError> {
        let token = self
            .token
            .read()
            .map_err(|e| IssueError::Token(e.to_string()))?;
        let mut value = AsciiMetadataValue::try_from(format!("Bearer {token}"))
            .map_err(|_| IssueError::Token("it is not ASCII text".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Own {
    fn client(&self) -> Result<Client, IssueError> {
        // Whole at any moment, also after a panic.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let roots = match (self.roots.read(), &*made) {
            (Ok(roots), _) => roots,
            // What was read before is still what there is.
            (Err(error), Some((_, client))) => {
                tracing::warn!(%error, "the former roots stay in force");
                return Ok(client.clone());
            }
            (Err(error), None) => return Err(error),
        };
        if let Some((with, client)) = &*made
            && *with == roots
        {
            return Ok(client.clone());
        }
        let client = self.connect(&roots)?;
        *made = Some((roots, client.clone()));
        Ok(client)
    }

    fn connect(&self, roots: &str) -> Result<Client, IssueError> {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(roots))
            .domain_name(&self.server_name);
        let endpoint = Endpoint::from_shared(self.address.clone())
            .and_then(|endpoint| endpoint.tls_config(tls))
            .map_err(|error| IssueError::Unavailable(format!("{}: {error}", self.address)))?;
        let channel = endpoint
            .connect_timeout(CONNECT_LIMIT)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_while_idle(true)
            .connect_lazy();
        Ok(IstioCertificateServiceClient::new(channel))
    }
}

impl Issue for GrpcIssuer {
    async fn issue(
        &self,
        csr_pem: String,
        identity: &SpiffeId,
        validity: Duration,
    ) -> Result<Vec<String>, IssueError> {
        let mut request = Request::new(IstioCertificateRequest {
            csr: csr_pem,
            validity_duration: i64::try_from(validity.as_secs()).unwrap_or(i64::MAX),
            metadata: Some(on_behalf_of(identity)),
        });
        request.set_timeout(REQUEST_LIMIT);
        request
            .metadata_mut()
            .insert("authorization", self.authorization()?);
        let answer =
            tokio::time::timeout(REQUEST_LIMIT, self.client()?.create_certificate(request))
                .await
                .map_err(|_| {
                    IssueError::Unavailable(format!("no answer within {REQUEST_LIMIT:?}"))
                })?;
        answer
            .map(|response| response.into_inner().cert_chain)
            .map_err(|status| refusal(&status))
    }
}

fn on_behalf_of(identity: &SpiffeId) -> Struct {
    let value = Value {
        kind: Some(Kind::StringValue(identity.to_string())),
    };
    Struct {
        fields: [(IMPERSONATED_IDENTITY.to_owned(), value)].into(),
    }
}

fn refusal(status: &Status) -> IssueError {
    let text = format!("{}: {}", status.code(), status.message());
    match status.code() {
        Code::InvalidArgument
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::Unimplemented => IssueError::Denied(text),
        _ => IssueError::Unavailable(text),
    }
}
