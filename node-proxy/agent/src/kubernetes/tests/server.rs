//! An API server of few words, over TLS on loopback.

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::kubernetes::ApiServer;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) token: String,
    pub(crate) body: Value,
}

pub(crate) type Answer = Response<Full<Bytes>>;

/// An answer.
pub(crate) fn answer(status: u16, body: &Value) -> Answer {
    let body = Full::new(body.to_string().into());
    Response::builder().status(status).body(body).unwrap()
}

/// The server. It ends with the test's runtime.
pub(crate) struct Server {
    asked: Arc<Mutex<Vec<Asked>>>,
    base: String,
    folder: tempfile::TempDir,
}

impl Server {
    /// Answers each request so, one after the other.
    pub(crate) fn start(answers: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        // Several crates of the build know more than one provider; this one counts.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), authority.cert.pem()).unwrap();
        std::fs::write(folder.path().join("token"), "first\n").unwrap();
        let key = PrivatePkcs8KeyDer::from(authority.signing_key.serialize_der());
        let tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![authority.cert.der().clone()], PrivateKeyDer::from(key))
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let base = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let answers = Arc::new(Mutex::new(answers));
        tokio::spawn(serve(
            TcpListener::from_std(listener).unwrap(),
            TlsAcceptor::from(Arc::new(tls)),
            Arc::clone(&asked),
            answers,
        ));
        Self {
            asked,
            base,
            folder,
        }
    }

    /// Where the token lies.
    pub(crate) fn token(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    pub(crate) fn client(&self) -> ApiServer {
        let roots = self.folder.path().join("ca.crt");
        ApiServer::new(&self.base, &roots, self.token()).unwrap()
    }

    /// What was asked since the last time.
    pub(crate) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<impl FnMut(&Asked) -> Answer + Send + 'static>>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, asked, answers) = (tls.clone(), Arc::clone(&asked), Arc::clone(&answers));
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request: Request<Incoming>| {
                let (asked, answers) = (Arc::clone(&asked), Arc::clone(&answers));
                async move {
                    let request = read(request).await;
                    let answer = (*answers.lock().unwrap())(&request);
                    asked.lock().unwrap().push(request);
                    Ok::<_, Infallible>(answer)
                }
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn read(request: Request<Incoming>) -> Asked {
    let (head, body) = request.into_parts();
    let header = |name| {
        let value = head.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    let body = body.collect().await.unwrap().to_bytes();
    Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        content_type: header(header::CONTENT_TYPE),
        token: header(header::AUTHORIZATION),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}
