//! Splitting and matching.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    super::{
        mesh::Mesh,
        probes::{Interval, requests},
    },
    Finding,
};

pub(super) const CLIENT: &str = "default/client";
pub(super) const URL: &str = "http://api-v2-svc.production:8080/api/v2";
/// How the names of the canary's pods begin.
pub(super) const CANARY: &str = "api-v2-canary";

/// Readiness means that the routes are in place: the very first request has to be answered.
pub(super) fn first_answer(mesh: &mut Mesh) -> Finding {
    let begin = Instant::now();
    let answers = requests(
        mesh,
        Some(CLIENT),
        &["--count", "1", "--connections", "1", URL],
    )?;
    let found = json!({"milliseconds": begin.elapsed().as_millis(), "errors": answers.errors});
    Ok((answers.ok == 1, found))
}

/// Each worker spreads a split evenly over its requests, so that chance has little part in the share.
pub(super) fn canary_share(mesh: &mut Mesh) -> Finding {
    let arguments = [
        "--count",
        "6000",
        "--rate",
        "4000",
        "--connections",
        "16",
        URL,
    ];
    let answers = requests(mesh, Some(CLIENT), &arguments)?;
    let share = share(&answers);
    let holds = answers.ok == 6000 && (0.09..=0.11).contains(&share);
    Ok((holds, figures(&answers)))
}

pub(super) fn header_match(mesh: &mut Mesh) -> Finding {
    let arguments = ["--count", "200", "-H", "x-canary: always", URL];
    let answers = requests(mesh, Some(CLIENT), &arguments)?;
    let holds = answers.ok == 200 && answers.answered_by(CANARY) == 200;
    Ok((holds, figures(&answers)))
}

/// From outside of the mesh and of the nodes, through each node's address.
pub(super) fn gateway(mesh: &mut Mesh) -> Finding {
    let addresses: Vec<_> = mesh.bed.nodes().map(|node| node.address).collect();
    let (mut holds, mut seen) = (!addresses.is_empty(), Vec::new());
    for address in addresses {
        let url = format!("http://{address}/api/v2");
        let arguments = ["--count", "2000", "--rate", "2000", &url];
        let answers = requests(mesh, None, &arguments)?;
        // 10 % of 2,000, give or take six standard deviations.
        holds &= answers.ok == 2000 && (0.06..=0.14).contains(&share(&answers));
        seen.push(json!({"url": url, "seen": figures(&answers)}));
    }
    Ok((holds, json!(seen)))
}

/// The canary's part of the answers, 0 to 1.
pub(super) fn share(answers: &Interval) -> f64 {
    answers.answered_by(CANARY) as f64 / answers.ok.max(1) as f64
}

pub(super) fn figures(answers: &Interval) -> serde_json::Value {
    json!({
        "ok": answers.ok,
        "failed": answers.failed,
        "canary_percent": (share(answers) * 10_000.0).round() / 100.0,
        "p50_ms": answers.p50_ms,
        "p99_ms": answers.p99_ms,
        "errors": answers.errors,
    })
}

/// Waits until something is so, or the time is over.
pub(super) fn wait(
    patience: Duration,
    mut is_so: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Option<Duration>> {
    let begin = Instant::now();
    while begin.elapsed() < patience {
        if is_so()? {
            return Ok(Some(begin.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(None)
}
