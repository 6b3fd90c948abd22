//! An API server that keeps objects by their path, counts requests and answers TokenReviews.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};

#[derive(Default)]
pub(super) struct State {
    version: u64,
    pub(super) objects: BTreeMap<String, Value>,
    pub(super) asked: Vec<String>,
    /// The status of every TokenReview.
    pub(super) review: Value,
    /// What all requests are answered with, if not 0.
    pub(super) fault: u16,
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
    ) -> Result<Response<Body>, std::convert::Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (code, mut value) =
            self.with(|state| state.serve(&parts.method, parts.uri.path(), body));
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
            .body(Body::from(value.to_string().into_bytes()))
            .unwrap())
    }
}

impl State {
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
        let present = self.objects.get(path).cloned();
        match (method, present) {
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
