pub(crate) mod server;

use serde_json::json;

use super::*;
use server::{Answer, Server, answer};

const NAMESPACE: &str = "mesh";
const DAEMONSET: &str = "heddle-node-proxy";

fn status(code: u16, message: &str) -> Answer {
    answer(code, &json!({"kind": "Status", "message": message}))
}

async fn taken_away(answers: impl FnMut(&server::Asked) -> Answer + Send + 'static) -> bool {
    let server = Server::start(answers);
    is_taken_away(&server.client(), NAMESPACE, DAEMONSET).await
}

#[tokio::test]
async fn the_mesh_is_taken_away_when_its_daemonset_is_deleted_or_gone_or_our_account_is() {
    assert!(taken_away(|_| status(404, "not found")).await);
    assert!(taken_away(|_| status(401, "unauthorized")).await);
    let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    assert!(taken_away(move |_| answer(200, &deleted)).await);
}

#[tokio::test]
async fn in_all_other_cases_everything_stays_for_the_successor() {
    let there = json!({"metadata": {"name": "heddle-node-proxy"}});
    assert!(!taken_away(move |_| answer(200, &there)).await);
    for code in [403, 429, 500, 503] {
        assert!(!taken_away(move |_| status(code, "no")).await, "{code}");
    }
    let odd = json!({"metadata": {"deletionTimestamp": null}});
    assert!(!taken_away(move |_| answer(200, &odd)).await);
}

#[tokio::test]
async fn without_an_api_server_everything_stays() {
    let folder = tempfile::tempdir().unwrap();
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let roots = folder.path().join("ca.crt");
    std::fs::write(&roots, authority.cert.pem()).unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a").unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://localhost:{}", closed.local_addr().unwrap().port());
    drop(closed);
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let api = ApiServer::new(&base, &roots, token.clone()).unwrap();
    assert!(!is_taken_away(&api, NAMESPACE, DAEMONSET).await);
    std::fs::remove_file(token).unwrap();
    assert!(!is_taken_away(&api, NAMESPACE, DAEMONSET).await);
}

#[tokio::test]
async fn it_asks_for_the_daemonset_with_the_token_of_this_moment() {
    let server = Server::start(|_| status(404, "not found"));
    let api = server.client();
    is_taken_away(&api, NAMESPACE, DAEMONSET).await;
    std::fs::write(server.token(), "second\n").unwrap();
    is_taken_away(&api, NAMESPACE, DAEMONSET).await;
    let asked = server.take();
    let path = "/apis/apps/v1/namespaces/mesh/daemonsets/heddle-node-proxy";
    for (request, token) in asked.iter().zip(["Bearer first", "Bearer second"]) {
        assert_eq!(
            (
                request.method.as_str(),
                request.path.as_str(),
                request.token.as_str()
            ),
            ("GET", path, token)
        );
    }
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn a_server_with_another_certificate_is_not_believed() {
    let (server, other) = (
        Server::start(|_| status(404, "not found")),
        Server::start(|_| status(404, "not found")),
    );
    let roots = other.token().with_file_name("ca.crt");
    std::fs::copy(roots, server.token().with_file_name("ca.crt")).unwrap();
    assert!(!is_taken_away(&server.client(), NAMESPACE, DAEMONSET).await);
    assert!(server.take().is_empty());
}
