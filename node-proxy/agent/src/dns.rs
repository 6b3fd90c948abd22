//! A pod's name server: where its sockets come from, and whether the pod may ask at all.

use std::{io, net::SocketAddr, sync::Arc};

use heddle_config::{NetworkPolicy, PodName, ProxyConfig, SharedConfig};
use heddle_dns::{BoxFuture, Context, Dial, Zone, serve_tcp, serve_udp};
use heddle_redirect::{Netns, socket};
use heddle_routing::policy::{Decision, Protocol, Subject};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

use crate::arguments::Arguments;

/// Opens sockets in the pod's namespace.
struct FromPod(Netns);

impl Dial for FromPod {
    fn udp(&self, resolver: SocketAddr) -> io::Result<UdpSocket> {
        let any = if resolver.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let any: SocketAddr = any.parse().map_err(io::Error::other)?;
        let socket = socket::bind_udp(&self.0, any)?;
        socket.connect(resolver)?;
        UdpSocket::from_std(socket)
    }

    fn tcp(&self, resolver: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(async move {
            socket::connect_socket(&self.0, resolver, None)?
                .connect(resolver)
                .await
        })
    }
}

/// Starts a pod's name server on its sockets.
pub(crate) fn start(
    arguments: &Arguments,
    config: &SharedConfig,
    pod: &PodName,
    netns: &Netns,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    let addresses = addresses()?;
    for address in addresses {
        // The kernel hands redirected packets to the loopback address of their family; a kernel without IPv6 has none.
        let (udp, tcp) = match (
            socket::bind_udp(netns, address),
            socket::listen(netns, address),
        ) {
            (Ok(udp), Ok(tcp)) => (udp, tcp),
            (Err(error), _) | (_, Err(error)) if address.is_ipv4() => return Err(error),
            _ => continue,
        };
        let (policy, name, resolvers) = (config.clone(), pod.clone(), arguments.resolvers.clone());
        let context = Arc::new(Context {
            config: config.clone(),
            zone: Zone::new(&arguments.cluster_domain),
            resolvers: arguments.resolvers.clone(),
            dial: Box::new(FromPod(netns.clone())),
            allowed: Box::new(move || may_ask(&policy.load(), &name, &resolvers)),
        });
        tokio::spawn(serve_udp(
            UdpSocket::from_std(udp)?,
            Arc::clone(&context),
            shutdown.clone(),
        ));
        tokio::spawn(serve_tcp(
            TcpListener::from_std(tcp)?,
            context,
            shutdown.clone(),
        ));
    }
    Ok(())
}

fn addresses() -> io::Result<[SocketAddr; 2]> {
    let parse = |text: &str| text.parse().map_err(io::Error::other);
    Ok([parse("127.0.0.1:15053")?, parse("[::1]:15053")?])
}

/// Whether the pod's egress policy lets it reach a resolver: itself, or one of the pods behind its address.
fn may_ask(config: &ProxyConfig, pod: &PodName, resolvers: &[SocketAddr]) -> bool {
    let Some(pod) = config.pods.get(pod) else {
        return false;
    };
    let NetworkPolicy::Isolated { rules, .. } = &pod.egress else {
        return true;
    };
    let Some(source) = pod.addresses.first() else {
        return false;
    };
    let behind = resolvers
        .iter()
        .flat_map(|resolver| behind(config, *resolver));
    resolvers.iter().copied().chain(behind).any(|destination| {
        let subject = Subject {
            protocol: Protocol::Udp,
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

/// The endpoints of the Service whose address a resolver has: its TCP listener tells the Service.
fn behind(config: &ProxyConfig, resolver: SocketAddr) -> Vec<SocketAddr> {
    let Some(listener) = config.outbound.get(&resolver) else {
        return Vec::new();
    };
    let set = config.endpoints.get(&listener.name);
    set.map(|set| {
        set.endpoints
            .iter()
            .map(|endpoint| endpoint.address)
            .collect()
    })
    .unwrap_or_default()
}
