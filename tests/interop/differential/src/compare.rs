//! What must be equal, and the differences that have a reason: the tables of README.md, one row for each name here.

use crate::{backend::Seen, client::Answer, wire::Text};

/// All that one proxy made of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    pub(crate) tries: Vec<Seen>,
}

type Fields = Vec<(String, String)>;

/// Headers of an answer that say who sent it, when, and whether its connection goes on.
const ANSWER: [&str; 4] = ["date", "server", "connection", "transfer-encoding"];
/// How an answer is framed, and what its text is.
const FRAMING: [&str; 4] = [
    "content-length",
    "content-type",
    "transfer-encoding",
    "grpc-message",
];

/// Without what may differ everywhere.
pub(crate) fn normalised(mut outcome: Outcome) -> Outcome {
    let answer = &mut outcome.answer;
    answer.headers.retain(|(name, _)| !is_envoys(name));
    drop_fields(&mut answer.headers, &ANSWER);
    // An answer of the proxy's own: its text is for people.
    let is_own = !answer.headers.iter().any(|(name, _)| name == "x-backend");
    if is_own && answer.body.as_ref().is_none_or(|body| body.0 != b"direct") {
        answer.body = Some(Text::default());
        drop_fields(&mut answer.headers, &FRAMING);
    }
    answer.headers = joined(&answer.headers);
    for seen in &mut outcome.tries {
        seen.headers = joined(&seen.headers);
        drop_fields(&mut seen.headers, &["x-case", "transfer-encoding"]);
        // A request without a body may say so (RFC 9110 section 8.6).
        seen.headers
            .retain(|(name, value)| name != "content-length" || value != "0");
        seen.headers.retain(|(name, _)| !is_envoys(name));
        for (name, value) in &mut seen.headers {
            match name.as_str() {
                "x-request-id" => value.clear(),
                "x-forwarded-for" => *value = without_client(value).replace(", ", ","),
                _ => {}
            }
        }
    }
    outcome
}

/// Lines of one name as one (RFC 9110 section 5.3), but for cookies of an answer.
fn joined(fields: &Fields) -> Fields {
    let mut all: Fields = Vec::new();
    for (name, value) in fields {
        match all.last_mut() {
            Some((last, values)) if last == name && name != "set-cookie" => {
                *values += if name == "cookie" { "; " } else { "," };
                *values += value;
            }
            _ => all.push((name.clone(), value.clone())),
        }
    }
    all
}

fn is_envoys(name: &str) -> bool {
    name.starts_with("x-envoy-")
}

/// For a client on loopback Envoy writes the machine's own address.
fn without_client(addresses: &str) -> String {
    match addresses.rsplit_once(',') {
        Some((before, _)) => format!("{before}, client"),
        None => "client".to_owned(),
    }
}

fn drop_fields(fields: &mut Fields, names: &[&str]) {
    fields.retain(|(name, _)| !names.contains(&name.as_str()));
}
