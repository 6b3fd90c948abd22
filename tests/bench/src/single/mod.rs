//! One proxy between client and server, on loopback: Heddle's node proxy with bound listeners, Envoy with the very same listeners and
//! clusters, haproxy and nginx with what says the same in their words (`tests/bench/peers`).

mod envoy;
mod heddle;
mod others;
mod resources;

pub(crate) use others::{HAPROXY_PATH, NGINX_PATH};

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::{
    cases::Door,
    engine::{Serves, serve, serve_h2},
    machine::Cores,
    paths::MeasuredPath,
    site::{FOLDER, Site},
    tls::Certificate,
};

/// The programs of the peers that are there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    pub(crate) envoy: Option<PathBuf>,
    pub(crate) haproxy: Option<PathBuf>,
    pub(crate) nginx: Option<PathBuf>,
}

/// Where the server speaks HTTP/1.1.
const SERVER_H1: u16 = 20_001;
/// Where it speaks HTTP/2.
const SERVER_H2: u16 = 20_002;

/// The doors of the process that has few routes.
const FEW_ROUTES: [Door; 6] = [
    Door::Plain,
    Door::Routes100,
    Door::Split,
    Door::Http2ToHttp1,
    Door::Http2,
    Door::Tls,
];

/// Ports of a proxy: each door has its own, so that all proxies can listen at the same time.
#[derive(Clone, Copy, Debug)]
struct Ports(u16);

impl Ports {
    const HEDDLE: Self = Self(21_000);
    const ENVOY: Self = Self(22_000);
    const HAPROXY: Self = Self(23_000);
    const NGINX: Self = Self(24_000);

    fn of(self, door: Door) -> u16 {
        self.0 + door as u16
    }

    fn doors(self, doors: &[Door]) -> BTreeMap<Door, SocketAddr> {
        let at = |door: &Door| {
            (
                *door,
                SocketAddr::from((Ipv4Addr::LOCALHOST, self.of(*door))),
            )
        };
        doors.iter().map(at).collect()
    }
}

/// What all proxies are started with.
#[derive(Clone, Copy)]
struct Start<'a> {
    cores: &'a Cores,
    /// For their files. The certificate's are in it.
    folder: &'a Path,
    /// Of the doors with TLS.
    certificate: &'a Certificate,
}

/// Tells a proxy with the large table from the other one.
fn label(doors: &[Door]) -> &'static str {
    match doors {
        [Door::Routes5000] => "5000-routes",
        _ => "few-routes",
    }
}

/// All proxies, running; their control planes live as long as this.
pub(crate) struct Single {
    pub(crate) paths: Vec<MeasuredPath>,
    _control_planes: Runtime,
}

impl Single {
    /// Starts the server and all proxies; they may not be ready yet.
    pub(crate) fn start(
        site: &mut Site,
        programs: &Path,
        peers: &Peers,
        cores: &Cores,
    ) -> anyhow::Result<Self> {
        let folder = Path::new(FOLDER).join("single");
        fs::create_dir_all(&folder)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, SERVER_H1));
        serve(listener.context("the server's port")?, Serves::H1)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, SERVER_H2));
        serve_h2(listener.context("the HTTP/2 server's port")?)?;
        let certificate = Certificate::new()?;
        certificate.write(&folder)?;
        let runtime = heddle::runtime()?;
        let start = Start {
            cores,
            folder: &folder,
            certificate: &certificate,
        };
        let mut paths = Vec::new();
        for doors in [&FEW_ROUTES[..], &[Door::Routes5000]] {
            paths.push(heddle::start(site, programs, &start, &runtime, doors)?);
            if let Some(program) = &peers.envoy {
                paths.push(envoy::start(site, program, &start, doors)?);
            }
        }
        if let Some(program) = &peers.haproxy {
            paths.push(others::haproxy(site, program, &start)?);
        }
        if let Some(program) = &peers.nginx {
            paths.push(others::nginx(site, program, &start)?);
        }
        Ok(Self {
            paths,
            _control_planes: runtime,
        })
    }
}
