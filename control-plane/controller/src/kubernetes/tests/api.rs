//! An API server that keeps objects by their path, counts requests, answers TokenReviews and lets objects be watched.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::body::{Body as Answer, Bytes};
use futures::{StreamExt, stream};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::sync::watch;

#[derive(Default)]
pub(super) struct State {
    version: u64,
    pub(super) objects: BTreeMap<String, Value>,
    pub(super) asked: Vec<String>,
    /// The status of every TokenReview.
    pub(super) review: Value,
    /// What all requests are answered with, if not 0.
    pub(super) fault: u16,
    /// Kinds, by their plural, that it does not know.
    pub(super) unknown: Vec<&'static str>,
    /// Ends all watches when it changes.
    watches: watch::Sender<u64>,
    /// Requests (`METHOD path`) that contain this are forbidden.
    pub(super) refused: Option<&'static str>,
}

#[derive(Clone, Default)]
pub(super) struct ApiServer(Arc<Mutex<State>>);

impl ApiServer {
    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.answer(request).await }
        });
        Client::new(service, "default")
    }

    /// From now on all requests are answered with this status, and watches end; 0: it works again.
    pub(super) fn fail(&self, fault: u16) {
        self.with(|state| {
            state.fault = fault;
            state.watches.send_modify(|generation| *generation += 1);
        });
    }

    /// Stores what the YAML says.
    pub(super) fn put(&self, path: &str, object: Value) {
        self.with(|state| state.store(path.to_owned(), object));
        self.with(|state| state.watches.send_modify(|generation| *generation += 1));
    }

    /// Does something with the state.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    pub(super) fn get(&self, path: &str) -> Value {
        self.with(|state| state.objects.get(path).cloned().unwrap_or_default())
    }

    pub(super) fn count(&self, text: &str) -> usize {
        self.with(|state| {
            state
                .asked
                .iter()
                .filter(|asked| asked.contains(text))
                .count()
        })
    }

    async fn answer(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Answer>, std::convert::Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let query = parts.uri.query().unwrap_or_default();
        let is_watch = parts.method == Method::GET && query.contains("watch=true");
        let (code, mut value) = self.with(|state| match is_watch {
            true => state.list(parts.uri.path()),
            false => state.serve(&parts.method, parts.uri.path(), body),
        });
        if is_watch && code == 200 {
            let ends = self.with(|state| state.watches.subscribe());
            // Whoever resumes gets everything again, which is what a server may do, and all that is left out here is gone.
            let initial = query.contains("sendInitialEvents=true");
            return Ok(Response::new(stream(&value, initial, ends)));
        }
        if code >= 400 {
            let reason = match code {
                404 => "NotFound",
                409 => "AlreadyExists",
                _ => "Forbidden",
            };
            value = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": reason, "code": code});
        }
        Ok(Response::builder()
            .status(code)
            .body(Answer::from(value.to_string().into_bytes()))
            .unwrap())
    }
}

/// The events of a watch, which then stays open until the server has news.
fn stream(list: &Value, initial: bool, mut ends: watch::Receiver<u64>) -> Answer {
    let event =
        |kind: &str, object: &Value| format!("{}\n", json!({"type": kind, "object": object}));
    let objects = list["items"].as_array().unwrap();
    let mut text: String = objects.iter().map(|one| event("ADDED", one)).collect();
    let metadata = json!({
        "resourceVersion": list["metadata"]["resourceVersion"],
        "annotations": {"k8s.io/initial-events-end": "true"},
    });
    if initial {
        let types = (&list["apiVersion"], &list["kind"]);
        text += &event(
            "BOOKMARK",
            &json!({"apiVersion": types.0, "kind": types.1, "metadata": metadata}),
        );
    }
    ends.mark_unchanged();
    let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from(text))]);
    let end = stream::once(async move {
        let _ = ends.changed().await;
        Err(std::io::Error::other("the connection is reset"))
    });
    Answer::from_stream(first.chain(end))
}

impl State {
    /// All objects of a kind, by the plural at the end of the path.
    fn list(&mut self, path: &str) -> (u16, Value) {
        self.asked.push(format!("WATCH {path}"));
        let plural = path.rsplit('/').next().unwrap_or_default();
        if self.fault != 0 {
            return (self.fault, Value::Null);
        }
        if self.refused.is_some_and(|refused| path.contains(refused)) {
            return (403, Value::Null);
        }
        if self.unknown.contains(&plural) {
            return (404, Value::Null);
        }
        let of_kind = |path: &&String| path.rsplit('/').nth(1) == Some(plural);
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(path, _)| of_kind(path))
            .map(|(_, object)| object)
            .collect();
        let version = self.version.to_string();
        (
            200,
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": version}, "items": items}),
        )
    }

    fn serve(&mut self, method: &Method, path: &str, mut body: Value) -> (u16, Value) {
        self.asked.push(format!("{method} {path}"));
        if self.fault != 0 {
            return (self.fault, Value::Null);
        }
        if let (Some(refused), Some(asked)) = (self.refused, self.asked.last())
            && asked.contains(refused)
        {
            return (403, Value::Null);
        }
        if path.ends_with("/tokenreviews") {
            body["status"] = self.review.clone();
            return (201, body);
        }
        if *method == Method::POST {
            let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
            if self.objects.contains_key(&path) {
                return (409, Value::Null);
            }
            return (201, self.store(path, body));
        }
        let of_status = path.strip_suffix("/status");
        let path = of_status.unwrap_or(path);
        let present = self.objects.get(path).cloned();
        match (method, present) {
            (&Method::PATCH, Some(mut present)) if of_status.is_some() => {
                for (name, value) in body["status"].as_object().unwrap() {
                    present["status"][name] = value.clone();
                }
                (200, self.store(path.to_owned(), present))
            }
            // Server-side apply makes what is not there.
            (&Method::PATCH, _) => (200, self.store(path.to_owned(), body)),
            (_, None) => (404, Value::Null),
            (&Method::GET, Some(present)) => (200, present),
            (_, Some(present)) => {
                if present["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
                    return (409, Value::Null);
                }
                (200, self.store(path.to_owned(), body))
            }
        }
    }

    fn store(&mut self, path: String, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(path, object.clone());
        object
    }
}
