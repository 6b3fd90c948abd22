//! What can be read on the links between the nodes.

use std::time::{Duration, Instant};

use heddle_testbed::{Seen, Sniffer};
use serde_json::{Value, json};

use super::{
    super::{
        mesh::Mesh,
        probes::{Interval, requests},
    },
    Finding,
};

/// Sent in a header of each request.
const MARKER: &str = "marker-2c81f0e5a7";
/// On the other node than the client.
const SERVER: &str = "http://10.244.2.50:8080/api/v2";
const CLIENT: &str = "default/client";

/// The control case: the same requests, before any proxy runs.
pub(super) fn without_mesh(mesh: &mut Mesh) -> Finding {
    wait_for_server(mesh)?;
    let (seen, answers) = watched(mesh)?;
    Ok((
        answers.ok == 20 && seen.marked >= 20,
        figures(seen, &answers),
    ))
}

pub(super) fn with_mesh(mesh: &mut Mesh) -> Finding {
    let (seen, answers) = watched(mesh)?;
    // The frames are counted as well: silence is no proof.
    let holds = answers.ok == 20 && seen.marked == 0 && seen.frames >= 20;
    Ok((holds, figures(seen, &answers)))
}

fn watched(mesh: &Mesh) -> anyhow::Result<(Seen, Interval)> {
    let header = format!("x-marker: {MARKER}");
    let sniffer = Sniffer::start(MARKER.as_bytes())?;
    let arguments = ["--count", "20", "--connections", "2", "-H", &header, SERVER];
    let answers = requests(mesh, Some(CLIENT), &arguments)?;
    Ok((sniffer.stop(), answers))
}

fn figures(seen: Seen, answers: &Interval) -> Value {
    json!({
        "answers": answers.ok,
        "frames": seen.frames,
        "bytes": seen.bytes,
        "frames_with_marker": seen.marked,
        "errors": answers.errors,
    })
}

/// The pods' servers were started a moment ago.
fn wait_for_server(mesh: &Mesh) -> anyhow::Result<()> {
    let begin = Instant::now();
    let one = ["--count", "1", "--connections", "1", SERVER];
    while requests(mesh, Some(CLIENT), &one)?.ok == 0 {
        anyhow::ensure!(
            begin.elapsed() < Duration::from_secs(10),
            "{SERVER} does not answer even without the mesh"
        );
    }
    Ok(())
}
