//! A way from a client to a server, and the check that it is what it claims to be.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use heddle_redirect::Netns;
use heddle_testbed::Sniffer;
use nix::unistd::Pid;
use rustls::HandshakeKind;

use crate::{
    cases::{Case, Door},
    engine,
    policy::FORBIDDEN,
    tls,
    wire::{self, Exchange, NOT_ROUTED, ROUTED},
};

/// What carries the load.
pub(crate) struct MeasuredPath {
    /// Who is measured.
    pub(crate) name: &'static str,
    /// What the program says of itself; empty without one, and if another path told it.
    pub(crate) version: String,
    /// Where the clients are; `None`: in this process' own namespace.
    pub(crate) client: Option<Netns>,
    /// Where clients go in.
    pub(crate) doors: BTreeMap<Door, SocketAddr>,
    /// What speaks to its TLS door, if it has one.
    pub(crate) tls: Option<tls::Clients>,
    /// All proxies on it; none on the direct path.
    pub(crate) proxies: Vec<Pid>,
    /// Whose limit its shares are of; `None`: its own. A direct path is asked for as much as the one that it is the control of.
    pub(crate) limit_of: Option<&'static str>,
}

/// From the start of the proxies until their doors answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// For one answer.
const PATIENCE_ONCE: Duration = Duration::from_secs(5);
/// Sent while the links are watched. Nothing else holds it.
const MARK: &str = "heddle-bench-marker-4c1f";

impl MeasuredPath {
    /// Where the clients of a case go in; `None`: the case is not for this path.
    pub(crate) fn door_for(&self, case: &Case) -> Option<SocketAddr> {
        let is_control = self.proxies.is_empty();
        let is_wanted =
            !is_control || case.with_control && case.base().is_some() == self.limit_of.is_some();
        self.doors.get(&case.door).copied().filter(|_| is_wanted)
    }

    /// Runs something where the clients are.
    pub(crate) fn as_client<T>(&self, work: impl FnOnce() -> T) -> anyhow::Result<T> {
        match &self.client {
            Some(netns) => Ok(netns.run(work)?),
            None => Ok(work()),
        }
    }

    /// Waits until it answers; then looks whether HTTP is read exactly if it has proxies, and, in the mesh, whether they encrypt.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for (door, target) in &self.doors {
            let exchange = match door {
                Door::MeshBytes => Exchange::Bytes,
                Door::Http2ToHttp1 => Exchange::Http2,
                // What it serves in all: a call needs both directions, and trailers.
                Door::Http2 => Exchange::GrpcUnary,
                Door::Tls => Exchange::Https,
                _ => Exchange::Http,
            };
            self.check_door(*door, *target, exchange)
                .with_context(|| format!("{door:?}"))?;
        }
        Ok(())
    }

    fn check_door(&self, door: Door, target: SocketAddr, exchange: Exchange) -> anyhow::Result<()> {
        self.wait_for(target, exchange)?;
        if door.crosses_nodes() {
            self.check_encryption(target, exchange)?;
        }
        if exchange != Exchange::Bytes {
            self.check_routes(door, target, exchange)?;
        }
        if door == Door::Tls {
            let plain = self.once(target, Exchange::Http, ROUTED, "");
            ensure!(plain.is_err(), "plain text was served");
            // The second time nothing must be resumed.
            self.once(target, exchange, ROUTED, "")?;
        }
        if door.has_policy() {
            self.check_policy(target, exchange)?;
        }
        Ok(())
    }

    /// What has a route and is not allowed must be refused.
    fn check_policy(&self, target: SocketAddr, exchange: Exchange) -> anyhow::Result<()> {
        match self.once(target, exchange, FORBIDDEN, "") {
            Ok(()) => bail!("what the policy forbids was served"),
            Err(error) => ensure!(is_forbidden(&error), "instead of 403: {error}"),
        }
        Ok(())
    }

    /// What an exchange's connections speak TLS with; `None`: they do not.
    pub(crate) fn tls_of(&self, exchange: Exchange) -> anyhow::Result<Option<&tls::Clients>> {
        if exchange != Exchange::Https {
            return Ok(None);
        }
        Ok(Some(
            self.tls.as_ref().context("nothing to speak TLS with")?,
        ))
    }

    fn once(
        &self,
        target: SocketAddr,
        exchange: Exchange,
        path: &str,
        mark: &str,
    ) -> anyhow::Result<()> {
        if exchange.is_http2() {
            return self.as_client(|| engine::once_h2(target, exchange, path))?;
        }
        let tls = self.tls_of(exchange)?;
        let mut tls = tls.map(tls::Clients::connection).transpose()?;
        self.as_client(|| {
            let mut stream = TcpStream::connect_timeout(&target, PATIENCE_ONCE)?;
            stream.set_read_timeout(Some(PATIENCE_ONCE))?;
            let mut client = wire::Client::new(exchange, path, mark);
            match &mut tls {
                Some(tls) => client.once(&mut rustls::Stream::new(tls, &mut stream)),
                None => client.once(&mut stream),
            }
        })??;
        if let Some(tls) = &tls {
            let kind = tls.handshake_kind();
            ensure!(
                kind == Some(HandshakeKind::Full),
                "a handshake of another kind: {kind:?}"
            );
        }
        Ok(())
    }

    fn check_routes(
        &self,
        door: Door,
        target: SocketAddr,
        exchange: Exchange,
    ) -> anyhow::Result<()> {
        match self.once(target, exchange, NOT_ROUTED, "") {
            Ok(()) => ensure!(self.proxies.is_empty(), "a path without a route was served"),
            Err(error) => {
                // One proxy alone may ask its policy before it looks for a route.
                let is_refused = is_not_found(&error) || door.has_policy() && is_forbidden(&error);
                ensure!(
                    is_refused && !self.proxies.is_empty(),
                    "instead of 404: {error}"
                );
            }
        }
        Ok(())
    }

    fn wait_for(&self, target: SocketAddr, exchange: Exchange) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            match self.once(target, exchange, ROUTED, "") {
                Ok(()) => return Ok(()),
                Err(error) if begin.elapsed() > PATIENCE => {
                    return Err(error.context(format!("{exchange:?}: no answer")));
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn check_encryption(&self, target: SocketAddr, exchange: Exchange) -> anyhow::Result<()> {
        let sniffer = Sniffer::start(MARK.as_bytes())?;
        let result = self.once(target, exchange, ROUTED, MARK);
        let seen = sniffer.stop();
        result.with_context(|| format!("{exchange:?} with a marker"))?;
        ensure!(seen.frames > 0, "{exchange:?}: nothing crossed the fabric");
        let is_hidden = seen.marked == 0;
        ensure!(
            is_hidden != self.proxies.is_empty(),
            "{exchange:?}: the marker was seen in {} of {} frames",
            seen.marked,
            seen.frames
        );
        Ok(())
    }
}

fn is_forbidden(error: &anyhow::Error) -> bool {
    error.to_string().starts_with("HTTP/1.1 403")
}

/// In gRPC it is `UNIMPLEMENTED`, with the HTTP status that says that all is well (its HTTP/2 protocol, "HTTP2 Transport Mapping").
fn is_not_found(error: &anyhow::Error) -> bool {
    let text = error.to_string();
    ["HTTP/1.1 404", "HTTP/2 404", "grpc-status \"12\""]
        .iter()
        .any(|refusal| text.starts_with(refusal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    fn path(limit_of: Option<&'static str>, proxies: Vec<Pid>) -> MeasuredPath {
        MeasuredPath {
            name: "one",
            version: String::new(),
            client: None,
            doors: [(Door::MeshHttp, SocketAddr::from(([127, 0, 0, 1], 1)))].into(),
            tls: None,
            proxies,
            limit_of,
        }
    }

    #[test]
    fn a_control_is_asked_at_the_rates_that_it_stands_for_and_never_at_full_speed() {
        let case = |name: &str| {
            let cases = cases::chosen(&[name.to_owned()]).unwrap();
            *cases.iter().find(|case| case.name == name).unwrap()
        };
        let asked = |path: &MeasuredPath| {
            ["mesh-l7", "mesh-l7-paced", "mesh-l7-at-50", "mesh-l4"]
                .map(|name| path.door_for(&case(name)).is_some())
        };
        let proxied = path(None, vec![Pid::this()]);
        assert_eq!(asked(&proxied), [true, true, true, false]);
        assert_eq!(asked(&path(None, vec![])), [false, true, false, false]);
        let beside = path(Some("another"), vec![]);
        assert_eq!(asked(&beside), [false, false, true, false]);
    }
}
