//! An API server in memory: objects by their path, with versions, and with conflicts and failures on request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::sync::watch;

#[derive(Default)]
pub(crate) struct State {
    version: u64,
    pub(crate) objects: BTreeMap<String, Value>,
    /// `METHOD path`, in their order.
    pub(crate) asked: Vec<String>,
    /// Answers for requests whose `METHOD path` contains the text, each given once; before that the change is made in the object.
    pub(crate) faults: Vec<(&'static str, Fault)>,
}

pub(crate) enum Fault {
    /// Answers with this status.
    Status(u16),
    /// Never answers.
    Hang,
    /// Somebody else writes this field of the object first.
    Write(&'static str, Value),
}

#[derive(Clone)]
pub(crate) struct Server {
    state: Arc<Mutex<State>>,
    /// Counts requests that were answered.
    answered: watch::Sender<usize>,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::default(),
            answered: watch::Sender::new(0),
        }
    }

    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.answer(request).await }
        });
        Client::new(service, "default")
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let mut state = self.state();
        state.version += 1;
        object["metadata"]["resourceVersion"] = state.version.to_string().into();
        state.objects.insert(path.to_owned(), object);
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.state().objects.get(path).cloned().unwrap_or_default()
    }

    /// Requests whose `METHOD path` contains this text.
    pub(crate) fn count(&self, text: &str) -> usize {
        let state = self.state();
        state
            .asked
            .iter()
            .filter(|asked| asked.contains(text))
            .count()
    }

    /// Waits until this holds after some request.
    pub(crate) async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let mut answered = self.answered.subscribe();
        while !holds(self) {
            answered.changed().await.unwrap();
        }
    }

    async fn answer(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Body>, std::convert::Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let answer = self.state().answer(&parts.method, parts.uri.path(), &body);
        let Some((code, mut value)) = answer else {
            return std::future::pending().await;
        };
        if code >= 400 {
            let reason = match code {
                403 => "Forbidden",
                404 => "NotFound",
                409 => "Conflict",
                _ => "InternalError",
            };
            value = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": reason, "code": code});
        }
        self.answered.send_modify(|answered| *answered += 1);
        Ok(Response::builder()
            .status(code)
            .body(Body::from(value.to_string().into_bytes()))
            .unwrap())
    }
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, body: &Value) -> Option<(u16, Value)> {
        let asked = format!("{method} {path}");
        let fault = self
            .faults
            .iter()
            .position(|(text, _)| asked.contains(text));
        let fault = fault.map(|index| self.faults.remove(index).1);
        self.asked.push(asked);
        let path = path.strip_suffix("/status").unwrap_or(path);
        match fault {
            Some(Fault::Status(code)) => return Some((code, Value::Null)),
            Some(Fault::Hang) => return None,
            Some(Fault::Write(field, value)) => {
                self.version += 1;
                let version = self.version.to_string();
                let object = self.objects.get_mut(path).unwrap();
                object[field] = value;
                object["metadata"]["resourceVersion"] = version.into();
            }
            None => {}
        }
        Some(self.serve(method, path, body))
    }

    fn serve(&mut self, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        if *method == Method::POST {
            let name = body["metadata"]["name"].as_str().unwrap();
            let path = format!("{path}/{name}");
            if self.objects.contains_key(&path) {
                return (409, Value::Null);
            }
            return (201, self.store(path, body.clone()));
        }
        let Some(present) = self.objects.get(path).cloned() else {
            return (404, Value::Null);
        };
        if *method == Method::GET {
            return (200, present);
        }
        let asked = body["metadata"]["resourceVersion"].as_str();
        if asked.is_some_and(|asked| present["metadata"]["resourceVersion"] != asked) {
            return (409, Value::Null);
        }
        let object = match *method {
            Method::PUT => body.clone(),
            Method::PATCH => merged(present, body),
            _ => return (405, Value::Null),
        };
        (200, self.store(path.to_owned(), object))
    }

    fn store(&mut self, path: String, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(path, object.clone());
        object
    }
}

/// RFC 7396.
fn merged(mut present: Value, patch: &Value) -> Value {
    let Value::Object(fields) = patch else {
        return patch.clone();
    };
    if !present.is_object() {
        present = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            present.as_object_mut().unwrap().shift_remove(name);
        } else {
            present[name] = merged(present[name].take(), value);
        }
    }
    present
}
