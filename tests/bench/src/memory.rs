//! Memory of one proxy before any load, and what an idle connection adds.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use serde::Serialize;

use crate::{
    cases::Door,
    counters::Memory,
    paths::MeasuredPath,
    wire::{self, Exchange, ROUTED},
};

/// Connections that are opened.
const IDLE: usize = 1000;
/// For an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// After the last answer: what is freed late shall be free.
const SETTLE: Duration = Duration::from_millis(300);

/// Resident memory of one proxy, kB.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Resident {
    pub(crate) path: &'static str,
    /// With few routes, after a few requests.
    pub(crate) at_rest_kb: f64,
    /// What each of 1,000 connections adds that are idle after one request.
    pub(crate) per_connection_kb: f64,
    /// A proxy with a table of 5,000 routes; `None`: it has none here.
    pub(crate) with_routes_kb: Option<f64>,
}

/// Of all single proxies.
pub(crate) fn measure(paths: &[MeasuredPath]) -> anyhow::Result<Vec<Resident>> {
    let resident =
        |path: &MeasuredPath| Ok::<_, anyhow::Error>(Memory::of(&path.proxies)?.resident_kb as f64);
    let mut all = Vec::new();
    for path in paths {
        let Some(target) = path.doors.get(&Door::Plain) else {
            continue;
        };
        let routes = paths
            .iter()
            .find(|other| other.name == path.name && other.doors.contains_key(&Door::Routes5000));
        let at_rest_kb = resident(path)?;
        let open = idle(*target)?;
        thread::sleep(SETTLE);
        let per_connection_kb = (resident(path)? - at_rest_kb) / IDLE as f64;
        drop(open);
        all.push(Resident {
            path: path.name,
            at_rest_kb,
            per_connection_kb,
            with_routes_kb: routes.map(resident).transpose()?,
        });
    }
    Ok(all)
}

/// Opens connections that have had one answer each.
fn idle(target: SocketAddr) -> io::Result<Vec<TcpStream>> {
    let mut client = wire::Client::new(Exchange::Http, ROUTED, "idle");
    (0..IDLE)
        .map(|_| {
            let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            client.once(&mut stream)?;
            Ok(stream)
        })
        .collect()
}

/// The table.
pub(crate) fn markdown(all: &[Resident]) -> String {
    let mut text = "\n| memory of one proxy | at rest, MB | an idle connection, kB | with 5,000 routes, MB |\n|---|---|---|---|\n".to_owned();
    for one in all {
        let routes = one.with_routes_kb.map(|kb| format!("{:.1}", kb / 1000.0));
        text += &format!(
            "| {} | {:.1} | {:.1} | {} |\n",
            one.path,
            one.at_rest_kb / 1000.0,
            one.per_connection_kb,
            routes.unwrap_or_else(|| "-".to_owned())
        );
    }
    text
}
