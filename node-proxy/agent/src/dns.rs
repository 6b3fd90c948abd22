//! A pod's name server: where its sockets come from, and whether the pod may ask at all.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use heddle_config::{NetworkPolicy, PodName, ProxyConfig, SharedConfig};
use heddle_dns::{BoxFuture, Context, Dial, Transport, Zone, serve_tcp, serve_udp};
use heddle_redirect::{Netns, socket};
use heddle_routing::policy::{Decision, Protocol, Subject};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

use crate::arguments::Arguments;

/// Where redirected queries arrive.
const PORT: u16 = 15053;

/// How long queries are still taken once the shutdown has begun.
const HAND_OVER: Duration = Duration::from_millis(500);

/// Opens sockets in the pod's namespace.
struct FromPod(Netns);

impl Dial for FromPod {
    fn udp(&self, resolver: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::from_std(socket::connect_udp(&self.0, resolver)?)
    }

    fn tcp(&self, resolver: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(async move {
            socket::connect_socket(&self.0, resolver, None)?
                .connect(resolver)
                .await
        })
    }
}

/// A pod's name server, its sockets open.
pub(crate) struct NameServer(Vec<(std::net::UdpSocket, std::net::TcpListener)>);

impl NameServer {
    /// Opens the sockets.
    pub(crate) fn open(netns: &Netns) -> io::Result<Self> {
        let mut sockets = Vec::new();
        // The kernel hands redirected packets to the loopback address of their family; a kernel without IPv6 has none.
        for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let address = SocketAddr::new(ip, PORT);
            match (
                socket::bind_udp(netns, address),
                socket::listen(netns, address),
            ) {
                (Ok(udp), Ok(tcp)) => sockets.push((udp, tcp)),
                (Err(error), _) | (_, Err(error)) if address.is_ipv4() => return Err(error),
                _ => {}
            }
        }
        Ok(Self(sockets))
    }

    /// Serves them until shutdown.
    pub(crate) fn serve(
        self,
        arguments: &Arguments,
        config: &SharedConfig,
        pod: &PodName,
        netns: &Netns,
        shutdown: &CancellationToken,
    ) -> io::Result<()> {
        let over = CancellationToken::new();
        for (udp, tcp) in self.0 {
            let handed = (udp.try_clone()?, tcp.try_clone()?);
            tokio::spawn(hand_over(handed, shutdown.clone(), over.clone()));
            let (policy, name) = (config.clone(), pod.clone());
            let context = Arc::new(Context {
                config: config.clone(),
                zone: Zone::new(&arguments.cluster_domain),
                resolvers: arguments.resolvers.clone(),
                dial: Box::new(FromPod(netns.clone())),
                allowed: Box::new(move |transport, destinations| {
                    may_send(&policy.load(), &name, transport, destinations)
                }),
            });
            let (udp, tcp) = (UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?);
            tokio::spawn(serve_udp(udp, Arc::clone(&context), over.clone()));
            tokio::spawn(serve_tcp(tcp, context, over.clone()));
        }
        Ok(())
    }
}

/// Once the shutdown has begun: what has arrived at our sockets is answered, what arrives from then on is the successor's.
async fn hand_over(
    (udp, tcp): (std::net::UdpSocket, std::net::TcpListener),
    begun: CancellationToken,
    over: CancellationToken,
) {
    begun.cancelled().await;
    for handed in [socket::hand_over(&udp, 1), socket::hand_over(&tcp, 1)] {
        if let Err(error) = handed {
            tracing::debug!(%error, "queries are not handed over");
        }
    }
    drop((udp, tcp));
    tokio::time::sleep(HAND_OVER).await;
    over.cancel();
}

/// Whether the pod's egress policy lets it send to at least one of these addresses.
fn may_send(
    config: &ProxyConfig,
    pod: &PodName,
    transport: Transport,
    destinations: &[SocketAddr],
) -> bool {
    let Some(pod) = config.pods.get(pod) else {
        return false;
    };
    let NetworkPolicy::Isolated { rules, .. } = &pod.egress else {
        return true;
    };
    let protocol = match transport {
        Transport::Udp => Protocol::Udp,
        Transport::Tcp => Protocol::Tcp,
    };
    destinations.iter().any(|destination| {
        let mut own = pod.addresses.iter();
        let Some(source) = own.find(|own| own.is_ipv4() == destination.is_ipv4()) else {
            return false;
        };
        let subject = Subject {
            protocol,
            source: *source,
            destination: destination.ip(),
            port: destination.port(),
            identity: None,
            request: None,
        };
        matches!(
            rules.decide(&subject, &config.address_sets),
            Decision::Allow { .. }
        )
    })
}

#[cfg(test)]
mod tests;
