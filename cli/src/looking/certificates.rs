//! When certificates run out, over all control planes: each knows those that it has signed, and a client may have its stream at one and its
//! certificates from another.

use std::collections::BTreeMap;

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tonic::{body::Body, transport::Channel};
use tower::ServiceExt;

/// Where control planes tell, on loopback.
const PATH: &str = "/debug/certificates";
/// More than 100,000 certificates.
const ANSWER_BYTES: usize = 32 << 20;

/// By holder, a node or a SPIFFE id, then by identity: seconds since 1970.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Certificates(BTreeMap<String, BTreeMap<String, i64>>);

#[derive(Deserialize)]
struct Answer {
    certificates: Vec<Certificate>,
}

#[derive(Deserialize)]
struct Certificate {
    holder: String,
    identity: String,
    expires: i64,
}

impl Certificates {
    /// Adds what a control plane has signed. One of an earlier release has no word for it, and nothing is added.
    pub(super) async fn ask(&mut self, channel: Channel) {
        if let Some(text) = fetch(channel).await {
            self.add(&text);
        }
    }

    /// Of two certificates for the same, the later one counts: it is what the other was renewed to.
    pub(super) fn add(&mut self, text: &[u8]) {
        let Ok(answer) = serde_json::from_slice::<Answer>(text) else {
            return;
        };
        for one in answer.certificates {
            let of_holder = self.0.entry(one.holder).or_default();
            let end = of_holder.entry(one.identity).or_insert(one.expires);
            *end = one.expires.max(*end);
        }
    }

    /// When the first certificate of a node or an identity runs out, RFC 3339.
    pub(super) fn first_end(&self, of: &str) -> Option<String> {
        let end = match self.0.get(of) {
            Some(of_holder) => of_holder.values().min(),
            None => {
                let with = self.0.values().filter_map(|of_holder| of_holder.get(of));
                with.min()
            }
        };
        let end = OffsetDateTime::from_unix_timestamp(*end?).ok()?;
        end.format(&Rfc3339).ok()
    }
}

async fn fetch(channel: Channel) -> Option<Vec<u8>> {
    let request = Request::get(PATH).body(Body::empty());
    let answer = channel.oneshot(request.ok()?).await.ok()?;
    if answer.status() != StatusCode::OK {
        return None;
    }
    let body = Limited::new(answer.into_body(), ANSWER_BYTES);
    Some(body.collect().await.ok()?.to_bytes().into())
}
