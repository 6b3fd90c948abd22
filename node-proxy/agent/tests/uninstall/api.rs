//! An API server of few words, over TLS: it tells whether the DaemonSet is being deleted, and notes the pods' conditions.

use std::{
    convert::Infallible,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use bytes::Bytes;
use heddle_testbed::FABRIC_ADDRESS;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the server knows.
#[derive(Clone, Default)]
pub(crate) struct Api {
    /// The DaemonSet is being deleted.
    pub(crate) deleting: Arc<AtomicBool>,
    conditions: Arc<Mutex<Vec<Value>>>,
}

/// As a pod finds it.
pub(crate) const PORT: u16 = 6443;
/// In the testbed's own /run.
const ACCOUNT: &str = "/run/secrets/kubernetes.io/serviceaccount";

impl Api {
    /// Starts it in the fabric, and puts a service account where a pod has it.
    pub(crate) fn start() -> anyhow::Result<Self> {
        // Several crates of the build know more than one provider; this one counts.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let own = rcgen::generate_simple_self_signed([FABRIC_ADDRESS.to_string()])?;
        fs::create_dir_all(ACCOUNT)?;
        fs::write(Path::new(ACCOUNT).join("ca.crt"), own.cert.pem())?;
        fs::write(Path::new(ACCOUNT).join("token"), "token")?;
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], PrivateKeyDer::from(key))?;
        let api = Self::default();
        let listener =
            std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)))?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let serving = api.clone();
        thread::spawn(move || {
            runtime.block_on(serving.serve(listener, TlsAcceptor::from(Arc::new(tls))))
        });
        Ok(api)
    }

    /// Status and reason of the condition that was written last.
    pub(crate) fn last(&self) -> Option<(String, String)> {
        let conditions = self
            .conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let last = conditions.last()?;
        let text = |field: &str| last[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason")))
    }

    async fn serve(self, listener: std::net::TcpListener, tls: TlsAcceptor) {
        let listener = TcpListener::from_std(listener).expect("a runtime");
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let (api, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else {
                    return;
                };
                let service = service_fn(move |request| {
                    let api = api.clone();
                    async move { Ok::<_, Infallible>(api.answer(request).await) }
                });
                // A client that goes away is no matter.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let patched = request.method() == Method::PATCH;
        let body = request.into_body().collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut conditions = self
            .conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let answer = if patched {
            let new = &body["status"]["conditions"][0];
            if !new.is_null() {
                conditions.push(new.clone());
            }
            let last: Vec<_> = conditions.last().into_iter().collect();
            json!({"status": {"conditions": last}})
        } else if self.deleting.load(Ordering::SeqCst) {
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
        } else {
            json!({"metadata": {"name": "heddle-node-proxy"}})
        };
        Response::new(Full::new(answer.to_string().into()))
    }
}
