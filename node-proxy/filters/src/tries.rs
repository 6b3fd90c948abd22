//! Sending a request, again where its route says so, within its route's time.

use std::{pin::pin, time::Duration};

use heddle_config::ClusterName;
use heddle_routing::RetryPolicy;
use heddle_telemetry::ResponseFlag;
use heddle_upstream::{Answer, Progress};
use http::Request;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    Body, Failure, Forward,
    exchange::Exchange,
    replay::{KEPT, Replay},
    retry::{Outcome, is_retriable, pause},
};

/// Where a request goes and how long it may take.
pub(crate) struct Plan<'a> {
    pub(crate) cluster: &'a ClusterName,
    pub(crate) retry: Option<&'a RetryPolicy>,
    /// For the whole request.
    pub(crate) deadline: Option<Instant>,
}

impl Plan<'_> {
    /// Sends the request until an answer can be given to the client.
    pub(crate) async fn run<F: Forward>(
        &self,
        forward: &F,
        request: Box<Request<Body>>,
        exchange: &mut Exchange,
    ) -> Result<Answer, Failure> {
        let Some(policy) = self.retry.filter(|policy| policy.retries > 0) else {
            exchange.entry.attempts += 1;
            let per_try = self.retry.and_then(|policy| policy.per_try_timeout);
            return self.once(forward, per_try, request).await;
        };
        // On the heap: a request that is not to be tried again needs no room for it.
        Box::pin(self.repeatedly(policy, forward, request, exchange)).await
    }

    async fn repeatedly<F: Forward>(
        &self,
        policy: &RetryPolicy,
        forward: &F,
        request: Box<Request<Body>>,
        exchange: &mut Exchange,
    ) -> Result<Answer, Failure> {
        let (head, body) = request.into_parts();
        let body = Replay::new(body, KEPT);
        let mut retries = 0;
        loop {
            exchange.entry.attempts += 1;
            let request = Box::new(Request::from_parts(head.clone(), body.next_try()));
            let result = self.once(forward, policy.per_try_timeout, request).await;
            let outcome = Outcome::of(&result.as_ref().map(|reply| &reply.response));
            if !is_retriable(&policy.on, outcome) || self.is_over() || !body.is_whole() {
                return result;
            }
            if retries == policy.retries {
                note_exhausted(exchange, &result, retries);
                return result;
            }
            // The answer that nobody will see gives its connection back (or up) now, not after the pause.
            drop(result);
            self.pause(pause(policy, retries, rand::random())).await;
            retries += 1;
        }
    }

    async fn once<F: Forward>(
        &self,
        forward: &F,
        per_try: Option<Duration>,
        request: Box<Request<Body>>,
    ) -> Result<Answer, Failure> {
        let mut send = pin!(forward.send(self.cluster, request));
        let try_ends = per_try.map(|limit| Instant::now() + limit);
        let Some(end) = [try_ends, self.deadline].into_iter().flatten().min() else {
            return send.await;
        };
        match timeout_at(end, send.as_mut()).await {
            Ok(result) => result,
            Err(_) if self.deadline == Some(end) => Err(too_slow("the request")),
            Err(_) => Err(too_slow("one try of the request")),
        }
    }

    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|end| Instant::now() >= end)
    }

    async fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        sleep_until(self.deadline.map_or(until, |end| until.min(end))).await;
    }
}

fn too_slow(what: &str) -> Failure {
    Failure::new(
        ResponseFlag::RequestTimeout,
        format!("{what} took longer than its route allows"),
    )
    // Wherever it was by then: the limit is one for the response.
    .after(Progress::Sent)
}

fn note_exhausted(exchange: &mut Exchange, result: &Result<Answer, Failure>, retries: u32) {
    let last = match result {
        Ok(reply) => format!("status {}", reply.response.status().as_u16()),
        Err(failure) => failure.reason.clone(),
    };
    exchange.fail(
        ResponseFlag::RetriesExhausted,
        format!("still failing after {retries} retries: {last}"),
    );
}
