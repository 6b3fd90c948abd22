//! Envoy with the node proxy's own listeners and clusters.

use std::path::Path;

use super::{Ports, Start, resources};
use crate::{
    cases::Door,
    envoy::{ENVOY_PATH, version},
    paths::MeasuredPath,
    shown,
    site::Site,
};

/// Starts one with these doors.
pub(super) fn start(
    site: &mut Site,
    program: &Path,
    start: &Start<'_>,
    doors: &[Door],
) -> anyhow::Result<MeasuredPath> {
    let ports = Ports::ENVOY;
    let mut command = Site::here(program, start.cores);
    let file = start.folder.join(format!("envoy-{}.pb", doors.len()));
    let fixed = resources::fixed(ports, doors, start.certificate, None);
    let name = format!("one-envoy-{}.json", super::label(doors));
    site.shown.file(&name, &shown::fixed(&fixed)?);
    command.args(fixed.envoy(&file)?);
    Ok(MeasuredPath {
        name: ENVOY_PATH,
        version: version(program)?,
        client: None,
        doors: ports.doors(doors),
        tls: Some(start.certificate.clients.clone()),
        proxies: vec![site.start(&format!("single-envoy-{}", doors.len()), command)?],
        limit_of: None,
    })
}
