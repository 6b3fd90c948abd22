//! Single requests to the API server, by the pod's own service account.

use std::{env, fs, path::PathBuf, sync::Arc};

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Where Kubernetes puts a pod's token and the roots of the API server's certificate.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// No answer that we read is longer, in bytes.
const LONGEST: usize = 4 << 20;

/// The API server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ApiServer {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: Arc<str>,
    token: Arc<PathBuf>,
}

impl ApiServer {
    /// As the environment of a pod says.
    ///
    /// # Errors
    /// This is no pod, or one without a service account's token.
    pub(crate) fn of_the_cluster() -> anyhow::Result<Self> {
        let variable =
            |name| env::var(name).with_context(|| format!("{name} is not set: is this a pod?"));
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host,
        };
        let folder = PathBuf::from(ACCOUNT);
        Self::new(
            &format!("https://{host}:{port}"),
            &folder.join("ca.crt"),
            folder.join("token"),
        )
    }

    /// At `base`, whose certificate must chain to the roots in a file. The token's file is read anew for each request: it changes.
    pub(super) fn new(base: &str, roots: &std::path::Path, token: PathBuf) -> anyhow::Result<Self> {
        let named = || format!("the API server's roots, {}", roots.display());
        let pem = fs::read(roots).with_context(named)?;
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            store.add(certificate.with_context(named)?)?;
        }
        let tls = ClientConfig::builder()
            .with_root_certificates(store)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            base: base.into(),
            token: Arc::new(token),
        })
    }

    /// Sends a request; whatever the server answers is no error.
    ///
    /// # Errors
    /// There is no token, no connection, or no end of the answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let token = fs::read_to_string(&*self.token)
            .with_context(|| format!("the token {}", self.token.display()))?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, format!("Bearer {}", token.trim()))
            .header(header::CONTENT_TYPE, content_type)
            .header(header::ACCEPT, "application/json")
            .body(Full::new(body.into()))?;
        let answer = self.client.request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
        Ok((status, body.to_bytes()))
    }
}
