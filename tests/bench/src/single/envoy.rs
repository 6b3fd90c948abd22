//! Envoy with the node proxy's own listeners and clusters.

use std::{fs, path::Path};

use heddle_proto::{
    Message,
    envoy::config::{cluster::v3::Cluster, listener::v3::Listener},
};

use super::{Ports, resources};
use crate::{
    cases::Door,
    envoy::{ENVOY_PATH, version},
    machine::Cores,
    paths::MeasuredPath,
    site::Site,
};

/// config.bootstrap.v3.Bootstrap, as far as it is needed here.
#[derive(Clone, PartialEq, prost::Message)]
struct Bootstrap {
    #[prost(message, optional, tag = "2")]
    static_resources: Option<StaticResources>,
}

/// config.bootstrap.v3.Bootstrap.StaticResources.
#[derive(Clone, PartialEq, prost::Message)]
struct StaticResources {
    #[prost(message, repeated, tag = "1")]
    listeners: Vec<Listener>,
    #[prost(message, repeated, tag = "2")]
    clusters: Vec<Cluster>,
}

/// Starts one with these doors.
pub(super) fn start(
    site: &mut Site,
    program: &Path,
    cores: &Cores,
    folder: &Path,
    doors: &[Door],
) -> anyhow::Result<MeasuredPath> {
    let ports = Ports::ENVOY;
    let bootstrap = Bootstrap {
        static_resources: Some(StaticResources {
            listeners: resources::listeners(ports, doors),
            clusters: resources::clusters(),
        }),
    };
    let file = folder.join("envoy.pb");
    fs::write(&file, bootstrap.encode_to_vec())?;
    let mut command = Site::here(program, cores);
    command
        .arg("-c")
        .arg(&file)
        .args(["--concurrency", "1", "--disable-hot-restart"])
        .args(["--log-level", "error"]);
    Ok(MeasuredPath {
        name: ENVOY_PATH,
        version: version(program)?,
        client: None,
        doors: ports.doors(doors),
        proxies: vec![site.start("single-envoy", command)?],
    })
}
