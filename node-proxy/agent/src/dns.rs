//! A pod's name server: where its sockets come from, and whether the pod may ask at all.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use heddle_config::{NetworkPolicy, PodName, ProxyConfig, SharedConfig};
use heddle_dns::{BoxFuture, Context, Dial, Transport, Zone, serve_tcp, serve_udp};
use heddle_redirect::{Netns, socket};
use heddle_routing::policy::{Decision, Protocol, Subject};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    arguments::Arguments,
    sockets::{Kept, Sockets},
};

/// Where redirected queries arrive.
const PORT: u16 = 15053;

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
pub(crate) struct NameServer {
    udp: Vec<std::net::UdpSocket>,
    tcp: Vec<std::net::TcpListener>,
}

impl NameServer {
    /// Opens the sockets.
    pub(crate) fn open(netns: &Netns, sockets: &mut Sockets, kept: &mut Kept) -> io::Result<Self> {
        let (mut all_udp, mut all_tcp) = (Vec::new(), Vec::new());
        // The kernel hands redirected packets to the loopback address of their family; a kernel without IPv6 has none.
        for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let address = SocketAddr::new(ip, PORT);
            match (
                sockets.bind_udp(netns, address),
                sockets.listen(netns, address, 1),
            ) {
                (Ok(udp), Ok(tcp)) => {
                    all_udp.extend(udp);
                    all_tcp.extend(tcp);
                }
                (Err(error), _) | (_, Err(error)) if address.is_ipv4() => return Err(error),
                _ => {}
            }
        }
        kept.udp(netns, &all_udp)?;
        kept.listeners(netns, &all_tcp)?;
        Ok(Self {
            udp: all_udp,
            tcp: all_tcp,
        })
    }

    /// Serves them until shutdown; the tracker has what is still to be answered then.
    pub(crate) fn serve(
        self,
        arguments: &Arguments,
        config: &SharedConfig,
        pod: &PodName,
        netns: &Netns,
        (shutdown, tracker): (&CancellationToken, &TaskTracker),
    ) -> io::Result<()> {
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
        for udp in self.udp {
            let udp = UdpSocket::from_std(udp)?;
            tracker.spawn(serve_udp(udp, Arc::clone(&context), shutdown.clone()));
        }
        for tcp in self.tcp {
            let tcp = TcpListener::from_std(tcp)?;
            tracker.spawn(serve_tcp(tcp, Arc::clone(&context), shutdown.clone()));
        }
        Ok(())
    }
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
