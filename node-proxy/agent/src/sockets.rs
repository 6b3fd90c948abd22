//! Listening sockets: those of a predecessor first, then new ones.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    time::{Duration, Instant},
};

use heddle_redirect::{
    Netns,
    handover::{Kind, Passed, Place},
    socket,
};

/// How long sockets that nothing was opened for are kept: a pod of the predecessor's may not be found at the first look.
const KEPT: Duration = Duration::from_secs(60);

/// What a predecessor handed over and is not in use yet.
#[derive(Default)]
pub(crate) struct Sockets {
    inherited: BTreeMap<Place, Vec<Passed>>,
    until: Option<Instant>,
}

impl Sockets {
    /// Begins with these.
    pub(crate) fn inherited(sockets: Vec<Passed>) -> Self {
        let mut inherited: BTreeMap<Place, Vec<Passed>> = BTreeMap::new();
        for socket in sockets {
            inherited.entry(socket.place).or_default().push(socket);
        }
        Self {
            inherited,
            until: Some(Instant::now() + KEPT),
        }
    }

    /// Listeners at an address: one for each worker, or more if there were more. All of them have to be served.
    pub(crate) fn listen(
        &mut self,
        netns: &Netns,
        address: SocketAddr,
        workers: usize,
    ) -> io::Result<Vec<TcpListener>> {
        let inherited = self.take(netns, Kind::Tcp, address);
        let mut listeners: Vec<_> = inherited.filter_map(Passed::into_listener).collect();
        while listeners.len() < workers {
            listeners.push(socket::listen(netns, address)?);
        }
        Ok(listeners)
    }

    /// UDP sockets at an address, at least one.
    pub(crate) fn bind_udp(
        &mut self,
        netns: &Netns,
        address: SocketAddr,
    ) -> io::Result<Vec<UdpSocket>> {
        let inherited = self.take(netns, Kind::Udp, address);
        let mut sockets: Vec<_> = inherited.filter_map(Passed::into_udp).collect();
        if sockets.is_empty() {
            sockets.push(socket::bind_udp(netns, address)?);
        }
        Ok(sockets)
    }

    fn take(
        &mut self,
        netns: &Netns,
        kind: Kind,
        address: SocketAddr,
    ) -> impl Iterator<Item = Passed> + use<> {
        let place = Place {
            netns: netns.id(),
            kind,
            address,
        };
        self.inherited
            .remove(&place)
            .unwrap_or_default()
            .into_iter()
    }

    /// Closes what nobody wanted for a long time.
    pub(crate) fn forget_unwanted(&mut self) {
        if self.until.is_some_and(|until| until < Instant::now()) {
            *self = Self::default();
        }
    }
}

/// Second handles of sockets that are served, for a successor.
#[derive(Default)]
pub(crate) struct Kept(Vec<Passed>);

impl Kept {
    pub(crate) fn listeners(&mut self, netns: &Netns, served: &[TcpListener]) -> io::Result<()> {
        for listener in served {
            self.0.push(Passed::listener(netns.id(), listener)?);
        }
        Ok(())
    }

    pub(crate) fn udp(&mut self, netns: &Netns, served: &[UdpSocket]) -> io::Result<()> {
        for socket in served {
            self.0.push(Passed::udp(netns.id(), socket)?);
        }
        Ok(())
    }

    /// Further handles, to be given away.
    pub(crate) fn again(&self) -> io::Result<Vec<Passed>> {
        self.0.iter().map(Passed::again).collect()
    }
}

#[cfg(test)]
mod tests;
