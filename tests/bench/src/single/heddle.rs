//! The node proxy, and its control plane in this process.

use std::{io, path::Path};

use tokio::runtime::Runtime;

use heddle_proto::envoy::config::core::v3::{
    AggregatedConfigSource, ConfigSource, config_source::ConfigSourceSpecifier,
};

use super::{Ports, Start, resources};
use crate::{
    cases::Door,
    heddle::{HEDDLE_PATH, LOG, program, version},
    paths::MeasuredPath,
    shown,
    site::Site,
};

/// What runs control planes. They serve until it is dropped.
pub(super) fn runtime() -> io::Result<Runtime> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(1).enable_all().build()
}

/// From the same stream.
fn ads() -> ConfigSource {
    ConfigSource {
        config_source_specifier: Some(
            ConfigSourceSpecifier::Ads(AggregatedConfigSource::default()),
        ),
        ..ConfigSource::default()
    }
}

/// Starts a node proxy with these doors.
pub(super) fn start(
    site: &mut Site,
    programs: &Path,
    start: &Start<'_>,
    runtime: &Runtime,
    doors: &[Door],
) -> anyhow::Result<MeasuredPath> {
    let ports = Ports::HEDDLE;
    let node_proxy = program(programs, "heddle-node-proxy")?;
    let fixed = resources::fixed(ports, doors, start.certificate, Some(ads()));
    let name = format!("one-heddle-{}.json", super::label(doors));
    site.shown.file(&name, &shown::fixed(&fixed)?);
    let folder = start.folder.join(format!("heddle-{}", doors.len()));
    let mut command = Site::here(&node_proxy, start.cores);
    command
        .args(runtime.block_on(fixed.node_proxy(&folder))?)
        .args(["--metrics-listen", "127.0.0.1:0"])
        .args(["--log", LOG]);
    Ok(MeasuredPath {
        name: HEDDLE_PATH,
        version: version(&node_proxy)?,
        client: None,
        doors: ports.doors(doors),
        tls: Some(start.certificate.clients.clone()),
        proxies: vec![site.start(&format!("single-heddle-{}", doors.len()), command)?],
        limit_of: None,
    })
}
