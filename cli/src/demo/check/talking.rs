//! Names, protocols, identities and policy: who reaches whom.

use serde_json::{Value, json};

use super::{
    super::{
        matrix,
        mesh::Mesh,
        probes::{Outcome, Resolved, ask, requests},
    },
    Finding,
};

const CLIENT: &str = "default/client";

/// From which pod, which name, and all its addresses.
const NAMES: &[(&str, &str, &[&str])] = &[
    ("production/client", "my-api", &["10.96.0.42"]),
    (CLIENT, "my-api.production", &["10.96.0.42"]),
    (CLIENT, "my-api.production.svc", &["10.96.0.42"]),
    (
        CLIENT,
        "my-api.production.svc.cluster.local",
        &["10.96.0.42"],
    ),
    ("production/my-api-0", "redis-svc", &["10.96.0.63"]),
    (
        CLIENT,
        "postgres-headless.production",
        &["10.244.1.20", "10.244.2.20"],
    ),
    (
        CLIENT,
        "postgres-0.postgres-headless.production",
        &["10.244.1.20"],
    ),
    (
        "production/client",
        "postgres-1.postgres-headless",
        &["10.244.2.20"],
    ),
    // An ExternalName: a CNAME to a name that the cluster's own DNS knows.
    (CLIENT, "my-database.production", &["203.0.113.10"]),
    // In another namespace, so not found by its short name.
    (CLIENT, "my-api", &[]),
    (CLIENT, "no-such-service.production", &[]),
];

pub(super) fn names(mesh: &mut Mesh) -> Finding {
    let (mut holds, mut seen) = (true, Vec::new());
    for (from, name, expected) in NAMES {
        let found: Resolved = ask(mesh, Some(from), &["resolve", name])?;
        let is_right = found.addresses == *expected;
        holds &= is_right;
        seen.push(json!({
            "from": from, "name": name, "addresses": found.addresses, "expected": expected, "right": is_right, "error": found.error,
        }));
    }
    Ok((holds, Value::Array(seen)))
}

/// What to connect to, what to say (nothing: the server speaks first), and what the answer holds.
const LINES: &[(&str, Option<&str>, &str)] = &[
    ("postgres-svc.production:5432", None, "from postgres-"),
    (
        "postgres-0.postgres-headless.production:5432",
        None,
        "from postgres-0",
    ),
    (
        "postgres-1.postgres-headless.production:5432",
        None,
        "from postgres-1",
    ),
    ("redis-svc.production:6379", Some("PING"), "+PONG redis-0"),
];

pub(super) fn opaque_tcp(mesh: &mut Mesh) -> Finding {
    let (mut holds, mut seen) = (true, Vec::new());
    for (to, say, expected) in LINES {
        let mut arguments = vec!["connect", to];
        arguments.extend(say.iter().flat_map(|say| ["--say", say]));
        let outcome = ask(mesh, Some(CLIENT), &arguments)?;
        let (is_right, what) = match outcome {
            Outcome::Answered {
                answer,
                milliseconds,
            } => (
                answer.contains(expected),
                json!({"answer": answer, "milliseconds": milliseconds}),
            ),
            other => (false, json!(format!("{other:?}"))),
        };
        holds &= is_right;
        seen.push(
            json!({"to": to, "server_first": say.is_none(), "seen": what, "right": is_right}),
        );
    }
    Ok((holds, Value::Array(seen)))
}

/// Pods on the client's own node and on the other.
const SERVERS: [&str; 2] = [
    "http://10.244.1.50:8080/api/v2",
    "http://10.244.2.50:8080/api/v2",
];

pub(super) fn identity(mesh: &mut Mesh) -> Finding {
    let expected = "spiffe://cluster.local/ns/default/sa/client";
    of_each_server(mesh, |backend| {
        (backend.identity.clone(), expected.to_owned())
    })
}

pub(super) fn source_address(mesh: &mut Mesh) -> Finding {
    let expected = mesh.pod(CLIENT)?.address.to_string();
    of_each_server(mesh, |backend| (backend.client.clone(), expected.clone()))
}

fn of_each_server(
    mesh: &Mesh,
    of: impl Fn(&super::super::probes::Backend) -> (String, String),
) -> Finding {
    let (mut holds, mut seen) = (true, Vec::new());
    for server in SERVERS {
        let one = ["--count", "1", "--connections", "1", server];
        let answers = requests(mesh, Some(CLIENT), &one)?;
        let found = answers.backends.first().map(&of);
        holds &= found
            .as_ref()
            .is_some_and(|(seen, expected)| seen == expected);
        seen.push(json!({"server": server, "seen_and_expected": found, "errors": answers.errors}));
    }
    Ok((holds, Value::Array(seen)))
}

pub(super) fn policy_matrix(mesh: &mut Mesh) -> Finding {
    let seen = matrix::look(mesh, &matrix::lesson()?)?;
    let wrong: Vec<_> = seen.iter().filter(|seen| !seen.is_as_expected()).collect();
    let found = json!({"cells": seen.len(), "wrong": wrong, "all": seen});
    Ok((wrong.is_empty(), found))
}
