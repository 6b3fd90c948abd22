//! The servers of the mesh's paths.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context;
use heddle_redirect::Netns;

use crate::engine::{Serves, serve};

/// Where requests come in.
pub(crate) const HTTP: u16 = 8080;
/// Where bytes come in.
pub(crate) const BYTES: u16 = 9000;

/// Serves both ports in a pod's namespace for as long as this process lives.
pub(crate) fn start(netns: &Netns) -> anyhow::Result<()> {
    for (port, serves) in [(HTTP, Serves::H1), (BYTES, Serves::Bytes)] {
        let listener = netns.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?;
        let listener = listener.with_context(|| format!("cannot listen on port {port}"))?;
        serve(listener, serves)?;
    }
    Ok(())
}
