//! What goes over the wire to an issuer.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use heddle_proto::{
    google::protobuf::value::Kind,
    istio::auth::{
        IstioCertificateRequest, IstioCertificateResponse,
        istio_certificate_service_server::{
            IstioCertificateService, IstioCertificateServiceServer,
        },
    },
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    transport::{Endpoint, Identity, ServerTlsConfig},
};

use super::authority::id;
use crate::{GrpcIssuer, Issue, IssueError, Roots, Token};

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

/// Bearer token, identity, seconds.
type Seen = (String, String, i64);

#[derive(Clone, Default)]
struct Service(Arc<Mutex<Vec<Seen>>>);

#[tonic::async_trait]
impl IstioCertificateService for Service {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let bearer = request
            .metadata()
            .get("authorization")
            .and_then(|v| v.to_str().ok());
        let bearer = bearer.unwrap_or_default().to_owned();
        let request = request.into_inner();
        let identity = request
            .metadata
            .and_then(|m| m.fields.get("ImpersonatedIdentity").cloned());
        let Some(Kind::StringValue(identity)) = identity.and_then(|value| value.kind) else {
            return Err(Status::invalid_argument("no identity"));
        };
        let mut seen = self.0.lock().expect("no panic");
        seen.push((bearer, identity, request.validity_duration));
        if seen.len() > 1 {
            return Err(Status::permission_denied("not on this node"));
        }
        Ok(Response::new(IstioCertificateResponse {
            cert_chain: vec![request.csr],
        }))
    }
}

#[tokio::test]
async fn a_request_names_the_identity_and_carries_the_token_of_this_moment() {
    let service = Service::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(IstioCertificateServiceServer::new(service.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "first").expect("written");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let issuer = GrpcIssuer::over(endpoint.connect_lazy(), Token::File(file.path().to_owned()));

    let day = Duration::from_secs(86_400);
    let chain = issuer.issue("csr".to_owned(), &id(CART), day).await;
    assert_eq!(chain, Ok(vec!["csr".to_owned()]));

    std::fs::write(file.path(), "second").expect("written");
    let refused = issuer.issue("csr".to_owned(), &id(CART), day).await;
    assert!(matches!(refused, Err(IssueError::Denied(text)) if text.contains("not on this node")));

    let seen = service.0.lock().expect("no panic");
    let bearers: Vec<&str> = seen.iter().map(|s| s.0.as_str()).collect();
    assert_eq!(bearers, ["Bearer first", "Bearer second"]);
    assert_eq!((seen[0].1.as_str(), seen[0].2), (CART, 86_400));
}

#[tokio::test]
async fn a_token_that_cannot_be_read_is_told() {
    let endpoint = Endpoint::from_static("http://127.0.0.1:1");
    let issuer = GrpcIssuer::over(
        endpoint.connect_lazy(),
        Token::File("/does/not/exist".into()),
    );
    let error = issuer
        .issue("csr".to_owned(), &id(CART), Duration::from_secs(1))
        .await
        .expect_err("no token");
    assert!(matches!(error, IssueError::Token(_)), "{error}");
}

/// A server with a certificate of its own for `localhost`, which is its root as well: both PEM.
async fn with_tls(service: Service) -> (String, String) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let identity = Identity::from_pem(own.cert.pem(), own.signing_key.serialize_pem());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback");
    let address = format!("https://{}", listener.local_addr().expect("bound"));
    let tls = ServerTlsConfig::new().identity(identity);
    let mut server = tonic::transport::Server::builder()
        .tls_config(tls)
        .expect("a configuration");
    tokio::spawn(
        server
            .add_service(IstioCertificateServiceServer::new(service))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    (address, own.cert.pem())
}

#[tokio::test]
async fn roots_that_change_in_their_file_are_followed() {
    let (address, root) = with_tls(Service::default()).await;
    let (_, another) = with_tls(Service::default()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (roots, token) = (folder.path().join("roots"), folder.path().join("token"));
    std::fs::write(&token, "a").expect("written");
    let issuer = GrpcIssuer::new(
        address,
        Roots::File(roots.clone()),
        "localhost",
        Token::File(token),
    );
    let cart = id(CART);
    let issue = || issuer.issue("csr".to_owned(), &cart, Duration::from_secs(1));
    let missing = issue().await.expect_err("no roots");
    assert!(missing.to_string().contains("its roots"), "{missing}");
    std::fs::write(&roots, another).expect("written");
    let untrusted = issue().await.expect_err("another root");
    assert!(
        matches!(untrusted, IssueError::Unavailable(_)),
        "{untrusted}"
    );
    std::fs::write(&roots, root).expect("written");
    assert_eq!(issue().await, Ok(vec!["csr".to_owned()]));
    // What is trusted stays so while the file is away.
    std::fs::remove_file(&roots).expect("removed");
    let refused = issue().await.expect_err("the second is refused");
    assert!(matches!(refused, IssueError::Denied(_)), "{refused}");
}
