use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;

use super::*;

/// An API server that answers the requests in this order, whatever they are; and what it was asked.
fn server(answers: &[(u16, &str)]) -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let answers: Vec<_> = answers
        .iter()
        .rev()
        .map(|(status, body)| (*status, (*body).to_owned()))
        .collect();
    let (noted, answers) = (Arc::clone(&asked), Arc::new(Mutex::new(answers)));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (noted, answers) = (Arc::clone(&noted), Arc::clone(&answers));
        async move {
            let line = format!("{} {}", request.method(), request.uri().path());
            let deletes = request.method() == Method::DELETE;
            let body = request.into_body().collect().await?.to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            let line = if deletes {
                format!("{line} {body}")
            } else {
                line
            };
            noted.lock().unwrap().push(line);
            let (status, body) = answers.lock().unwrap().pop().expect("no more requests");
            let answer = Response::builder()
                .status(status)
                .body(Body::from(body.into_bytes()));
            Ok::<_, kube::Error>(answer.unwrap())
        }
    });
    (Client::new(service, "default"), asked)
}

fn arguments(timeout: Duration) -> Arguments {
    Arguments {
        namespace: "mesh".to_owned(),
        daemonset: "heddle-node-proxy".to_owned(),
        timeout,
    }
}

const GONE: (u16, &str) = (
    404,
    r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":404,"reason":"NotFound","message":"not found"}"#,
);
const RUNNING: (u16, &str) = (
    200,
    r#"{"kind":"DaemonSet","apiVersion":"apps/v1","metadata":{"name":"heddle-node-proxy"},"spec":{"selector":{},"template":{}},
        "status":{"currentNumberScheduled":3,"desiredNumberScheduled":3,"numberMisscheduled":0,"numberReady":1}}"#,
);
const PATH: &str = "/apis/apps/v1/namespaces/mesh/daemonsets/heddle-node-proxy";

#[tokio::test]
async fn one_that_is_not_there_is_gone_already() {
    let (client, asked) = server(&[GONE]);
    uninstall(client, &arguments(Duration::ZERO)).await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn it_is_deleted_in_the_foreground_and_waited_for() {
    let (client, asked) = server(&[RUNNING, RUNNING, GONE]);
    uninstall(client, &arguments(Duration::from_secs(60)))
        .await
        .unwrap();
    let asked = asked.lock().unwrap();
    assert!(
        asked[0].starts_with(&format!("DELETE {PATH} ")),
        "{asked:?}"
    );
    assert!(
        asked[0].contains(r#""propagationPolicy":"Foreground""#),
        "{asked:?}"
    );
    assert_eq!(asked[1..], [format!("GET {PATH}"), format!("GET {PATH}")]);
}

#[tokio::test]
async fn whoever_waits_in_vain_is_told_how_many_still_run() {
    let (client, _) = server(&[RUNNING, RUNNING]);
    let error = uninstall(client, &arguments(Duration::ZERO))
        .await
        .unwrap_err();
    assert!(
        error.to_string().starts_with("3 node proxies still run"),
        "{error}"
    );
}

#[tokio::test]
async fn a_refusal_is_no_success() {
    let (client, _) = server(&[(
        403,
        r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":403,"reason":"Forbidden","message":"no"}"#,
    )]);
    let error = uninstall(client, &arguments(Duration::ZERO))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("deleting mesh/heddle-node-proxy"),
        "{error}"
    );
}

#[test]
fn a_time_is_in_seconds_or_minutes() {
    assert_eq!(duration("120s"), Ok(Duration::from_secs(120)));
    assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
    assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
    for wrong in ["", "s", "1h", "-1s", "soon"] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
}
