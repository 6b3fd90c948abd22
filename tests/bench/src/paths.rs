//! A way from a client to a server, and the check that it is what it claims to be.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use heddle_redirect::Netns;
use heddle_testbed::Sniffer;
use nix::unistd::Pid;

use crate::{
    load::once,
    wire::{Exchange, NOT_ROUTED, ROUTED},
};

/// What carries the load.
pub(crate) struct MeasuredPath {
    /// Who is measured.
    pub(crate) name: &'static str,
    /// What the program says of itself; empty without one.
    pub(crate) version: String,
    /// Where the clients are.
    pub(crate) client: Netns,
    /// Where they send requests.
    pub(crate) http: SocketAddr,
    /// Where they send bytes; `None`: not measured here.
    pub(crate) bytes: Option<SocketAddr>,
    /// Both proxies; none on the direct path.
    pub(crate) proxies: Vec<Pid>,
}

/// From the start of the proxies until both ports answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Sent while the links are watched. Nothing else holds it.
const MARK: &str = "heddle-bench-marker-4c1f";

impl MeasuredPath {
    /// The target of a kind of exchange, if it is measured here.
    pub(crate) fn target(&self, exchange: Exchange) -> Option<SocketAddr> {
        match exchange {
            Exchange::Http => Some(self.http),
            Exchange::Bytes => self.bytes,
        }
    }

    /// Waits until it answers; then looks whether it encrypts, and reads HTTP, exactly if it has proxies.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for exchange in [Exchange::Http, Exchange::Bytes] {
            if let Some(target) = self.target(exchange) {
                self.wait_for(target, exchange)?;
                self.check_encryption(target, exchange)?;
            }
        }
        let elsewhere = once(&self.client, self.http, Exchange::Http, NOT_ROUTED, "");
        match elsewhere {
            Ok(()) => ensure!(self.proxies.is_empty(), "a path without a route was served"),
            Err(error) => {
                let is_refused = error.to_string().starts_with("HTTP/1.1 404");
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
            match once(&self.client, target, exchange, ROUTED, "") {
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
        let result = once(&self.client, target, exchange, ROUTED, MARK);
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
