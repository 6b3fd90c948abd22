//! Envoy with the node proxy's own listeners and clusters.

use std::path::Path;

use super::{Ports, resources};
use crate::{
    cases::Door,
    envoy::{ENVOY_PATH, version},
    machine::Cores,
    paths::MeasuredPath,
    site::Site,
};

/// Starts one with these doors.
pub(super) fn start(
    site: &mut Site,
    program: &Path,
    cores: &Cores,
    folder: &Path,
    doors: &[Door],
) -> anyhow::Result<MeasuredPath> {
    let ports = Ports::ENVOY;
    let mut command = Site::here(program, cores);
    command.args(
        resources::fixed(ports, doors).envoy(&folder.join(format!("envoy-{}.pb", doors.len())))?,
    );
    Ok(MeasuredPath {
        name: ENVOY_PATH,
        version: version(program)?,
        client: None,
        doors: ports.doors(doors),
        proxies: vec![site.start(&format!("single-envoy-{}", doors.len()), command)?],
    })
}
