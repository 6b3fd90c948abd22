//! `heddle demo --check`: the tour, by itself. Everything that the demo promises is tried, and each claim is a check that can fail.

mod disruption;
mod report;
mod talking;
mod traffic;
mod wire;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Context;

use self::report::{Check, Report};
use super::{FOLDER, mesh::Mesh};

/// What one step of the tour found: whether its claim holds, and what was seen.
type Finding = anyhow::Result<(bool, serde_json::Value)>;

/// A step of the tour: its name and what it does.
type Step = (&'static str, fn(&mut Mesh) -> Finding);

/// The tour with the mesh on, in order: what disturbs comes last.
const STEPS: &[Step] = &[
    ("mesh-is-ready", traffic::first_answer),
    ("names-resolve", talking::names),
    ("server-first-and-client-first", talking::opaque_tcp),
    ("identity-is-the-clients-service-account", talking::identity),
    ("source-address-is-kept", talking::source_address),
    ("policy-matrix", talking::policy_matrix),
    ("marker-is-not-on-the-wire", wire::with_mesh),
    ("canary-gets-its-share", traffic::canary_share),
    ("header-chooses-the-canary", traffic::header_match),
    ("gateway-splits-too", traffic::gateway),
    ("edited-weights-take-effect", disruption::edited_weights),
    ("control-plane-killed", disruption::control_plane_killed),
    ("node-proxies-replaced", disruption::node_proxies_replaced),
    ("node-proxy-killed", disruption::node_proxy_killed),
];

/// The part in the namespaces: takes the tour and prints the report as one line of JSON.
pub(super) fn inside(manifests: &Path, logs_to: Option<&Path>) -> anyhow::Result<ExitCode> {
    let begin = Instant::now();
    let mut mesh = Mesh::new(manifests)?;
    mesh.manifests = copy(manifests)?;
    let mut report = Report::default();
    report.add(take(
        "marker-is-on-the-wire-without-the-mesh",
        &mut mesh,
        wire::without_mesh,
    ));
    mesh.start()?;
    for (name, step) in STEPS {
        report.add(take(name, &mut mesh, *step));
    }
    if let Some(folder) = logs_to {
        copy_files(mesh.bed.folder(), folder)?;
    }
    if !report.passed() {
        eprintln!("{}", mesh.last_words());
    }
    report.finish(begin.elapsed());
    println!("{}", serde_json::to_string(&report)?);
    Ok(ExitCode::from(u8::from(!report.passed())))
}

fn take(name: &'static str, mesh: &mut Mesh, step: fn(&mut Mesh) -> Finding) -> Check {
    eprint!("{name} ... ");
    let begin = Instant::now();
    let check = Check::new(name, step(mesh), begin.elapsed());
    eprintln!("{}", check.summary());
    check
}

/// The part outside: waits for the tour, then looks whether anything is left of it.
pub(super) fn outside(json: bool) -> anyhow::Result<ExitCode> {
    let ended = heddle_testbed::enter_capturing()?;
    let line = ended.output.lines().last().unwrap_or_default();
    let mut report: Report =
        serde_json::from_str(line).context("the tour broke off before its end; see above")?;
    let begin = Instant::now();
    let left = heddle_testbed::leftovers(std::process::id());
    let finding = Ok((left.is_empty(), serde_json::json!({ "left": left })));
    report.add(Check::new(
        "nothing-is-left-behind",
        finding,
        begin.elapsed(),
    ));
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.in_words());
    }
    Ok(ExitCode::from(u8::from(!report.passed())))
}

/// The tour edits files: on a copy.
fn copy(manifests: &Path) -> anyhow::Result<PathBuf> {
    let folder = FOLDER.join("manifests");
    copy_files(manifests, &folder)?;
    Ok(folder)
}

fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
