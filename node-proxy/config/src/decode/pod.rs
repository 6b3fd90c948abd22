//! A pod's listener: who it is, and what is allowed.
//!
//! This is where policy enters the proxy, so everything must be understood or the whole listener is refused. The proxy
//! keeps one set of rules for a pod; chains that contradict each other are refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heddle_identity::{Namespace, ServiceAccount, SpiffeId, TrustDomain};
use heddle_proto::{
    Message,
    envoy::{
        config::{
            core::v3::{TransportSocket, transport_socket::ConfigType},
            listener::v3::{FilterChain, Listener as WireListener},
            rbac::v3::Rbac as WireRules,
            route::v3::route::Action,
        },
        extensions::{
            filters::network::http_connection_manager::v3::{
                HttpConnectionManager,
                http_connection_manager::{ForwardClientCertDetails, RouteSpecifier},
            },
            transport_sockets::tls::v3::{
                DownstreamTlsContext, common_tls_context::ValidationContextType,
            },
        },
    },
    heddle::v1::listener_scope::{EgressRules, Pod},
    names, unpack,
};

use super::{
    error::{At, Decoded, refuse, unsupported},
    filters::{self, Terminal},
    listener::{addresses, refuse_other_conditions},
    rbac,
    values::port,
};
use crate::{InboundHttp, NetworkPolicy, PodConfig, PodName, PodUid};

/// The cluster that stands for the pod itself.
const LOCAL: &str = "local";

/// Decodes a pod's listener.
pub(super) fn pod(
    wire: &WireListener,
    scope: &Pod,
    trust_domain: &TrustDomain,
) -> Decoded<PodConfig> {
    let name = PodName {
        namespace: Namespace::new(&scope.namespace).at("metadata.pod.namespace")?,
        name: scope.name.as_str().into(),
    };
    // One listener for a pod: a second one under another name would be a second policy.
    if wire.name != format!("pod/{name}") {
        return refuse(format_args!(
            "the listener of pod {name} must be called \"pod/{name}\""
        ))
        .at("name");
    }
    if scope.uid.is_empty() {
        return refuse("missing").at("metadata.pod.uid");
    }
    let account = ServiceAccount::new(&scope.service_account).at("metadata.pod.service_account")?;
    let identity = SpiffeId::new(trust_domain.clone(), name.namespace.clone(), account);
    unsupported(wire.default_filter_chain.is_some(), "default_filter_chain")?;
    unsupported(!wire.listener_filters.is_empty(), "listener_filters")?;
    let chains = chains(wire, &identity)?;
    let rules = common_rules(&chains).at("filter_chains")?;
    let (permissive, http_ports) = coverage(&chains).at("filter_chains")?;
    let authorization = rules
        .authorization
        .map(rbac::rules)
        .transpose()
        .at("authorization")?;
    let ingress =
        network_policy(rules.network_policy, &scope.ingress_isolated_by).at("network_policy")?;
    // A pod that is being started has no address yet.
    let addresses: BTreeSet<_> = match (&wire.address, wire.additional_addresses.as_slice()) {
        (None, []) => BTreeSet::new(),
        _ => addresses(wire)?.into_iter().map(|a| a.ip()).collect(),
    };
    Ok(PodConfig {
        name,
        uid: PodUid(scope.uid.as_str().into()),
        identity,
        addresses: addresses.into_iter().collect(),
        permissive,
        ingress,
        egress: egress(scope.egress.as_ref(), &scope.egress_isolated_by)
            .at("metadata.pod.egress")?,
        authorization: authorization.map(Arc::new),
        http_ports,
    })
}

/// How a connection arrives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Arrival {
    MutualTls,
    PlainText,
}

struct PodChain {
    arrival: Arrival,
    /// `None`: all ports that no other chain names.
    port: Option<u16>,
    network_policy: Option<WireRules>,
    authorization: Option<WireRules>,
    /// `None`: bytes.
    http: Option<InboundHttp>,
}

fn chains(wire: &WireListener, identity: &SpiffeId) -> Decoded<Vec<PodChain>> {
    let chains = super::error::each("filter_chains", &wire.filter_chains, |wire| {
        chain(wire, identity)
    })?;
    let mut seen = BTreeSet::new();
    for (index, chain) in chains.iter().enumerate() {
        if !seen.insert((chain.arrival, chain.port)) {
            return refuse("a second chain for the same connections")
                .at_index("filter_chains", index);
        }
    }
    Ok(chains)
}

fn chain(wire: &FilterChain, identity: &SpiffeId) -> Decoded<PodChain> {
    let conditions = wire.filter_chain_match.clone().unwrap_or_default();
    refuse_other_conditions(&conditions).at("filter_chain_match")?;
    unsupported(
        !conditions.application_protocols.is_empty(),
        "filter_chain_match.application_protocols",
    )?;
    let arrival = match (
        conditions.transport_protocol.as_str(),
        &wire.transport_socket,
    ) {
        ("tls", Some(socket)) => {
            mutual_tls(socket, identity).at("transport_socket")?;
            Arrival::MutualTls
        }
        ("raw_buffer", None) => Arrival::PlainText,
        ("tls", None) => {
            return refuse("missing, though transport_protocol is tls").at("transport_socket");
        }
        ("raw_buffer", Some(_)) => {
            return refuse("contradicts transport_protocol raw_buffer").at("transport_socket");
        }
        (other, _) => {
            return refuse(format_args!("{other:?} is neither tls nor raw_buffer"))
                .at("filter_chain_match.transport_protocol");
        }
    };
    let port = conditions
        .destination_port
        .as_ref()
        .map(|value| port(value.value));
    let filters = filters::chain(wire)?;
    let http = match filters.terminal {
        Terminal::Tcp(clusters) => match &*filters::only(&clusters).at("filters")? {
            LOCAL => None,
            other => {
                return refuse(format_args!("leads to {other:?}, not to \"local\"")).at("filters");
            }
        },
        Terminal::Http(manager) => Some(inbound_http(&manager).at("filters")?),
    };
    Ok(PodChain {
        arrival,
        port: port.transpose().at("filter_chain_match.destination_port")?,
        network_policy: filters.network_policy,
        authorization: filters.authorization,
        http,
    })
}

/// TLS with the pod's own certificate, for clients with a certificate of this mesh, and nothing less.
fn mutual_tls(socket: &TransportSocket, identity: &SpiffeId) -> Decoded<()> {
    let Some(ConfigType::TypedConfig(any)) = &socket.config_type else {
        return refuse("missing").at("typed_config");
    };
    let tls: DownstreamTlsContext = unpack(any)?;
    if !tls
        .require_client_certificate
        .is_some_and(|value| value.value)
    {
        return refuse("must be true").at("require_client_certificate");
    }
    let common = tls.common_tls_context.unwrap_or_default();
    let certificates = &common.tls_certificate_sds_secret_configs;
    let own = identity.to_string();
    if certificates.len() != 1 || certificates[0].name != own {
        return refuse(format_args!("must be one: {own}")).at("tls_certificate_sds_secret_configs");
    }
    unsupported(!common.tls_certificates.is_empty(), "tls_certificates")?;
    match &common.validation_context_type {
        Some(ValidationContextType::ValidationContextSdsSecretConfig(roots))
            if roots.name == names::ROOT_CA_SECRET =>
        {
            Ok(())
        }
        _ => refuse(format_args!(
            "must be the SDS secret {}",
            names::ROOT_CA_SECRET
        ))
        .at("validation_context"),
    }
}

fn inbound_http(manager: &HttpConnectionManager) -> Decoded<InboundHttp> {
    let Some(RouteSpecifier::RouteConfig(routes)) = &manager.route_specifier else {
        return refuse("must stand in the listener").at("route_config");
    };
    let mut all = routes
        .virtual_hosts
        .iter()
        .flat_map(|host| host.routes.iter());
    if !all.all(|route| matches!(route.action, Some(Action::Route(_)))) {
        return refuse("may only lead to the pod").at("route_config");
    }
    let uri = manager
        .set_current_client_cert_details
        .as_ref()
        .is_some_and(|details| details.uri);
    match ForwardClientCertDetails::try_from(manager.forward_client_cert_details) {
        Ok(ForwardClientCertDetails::Sanitize) => Ok(InboundHttp {
            forward_identity: false,
        }),
        Ok(ForwardClientCertDetails::SanitizeSet) => Ok(InboundHttp {
            forward_identity: uri,
        }),
        _ => refuse("must be SANITIZE or SANITIZE_SET: else a client could claim any identity")
            .at("forward_client_cert_details"),
    }
}

struct CommonRules<'a> {
    network_policy: Option<&'a WireRules>,
    authorization: Option<&'a WireRules>,
}

/// The rules that all chains share.
fn common_rules(chains: &[PodChain]) -> Decoded<CommonRules<'_>> {
    let Some(first) = chains.first() else {
        return refuse("must not be empty");
    };
    for chain in chains {
        if chain.network_policy != first.network_policy {
            return refuse("contradict each other: not all have the same network policy");
        }
        if chain.authorization != first.authorization {
            return refuse("contradict each other: not all have the same authorization");
        }
    }
    Ok(CommonRules {
        network_policy: first.network_policy.as_ref(),
        authorization: first.authorization.as_ref(),
    })
}

/// Whether plain text is taken, and which ports are read as HTTP. All ports must be covered, in the same way for each
/// manner of arrival.
fn coverage(chains: &[PodChain]) -> Decoded<(bool, BTreeMap<u16, InboundHttp>)> {
    let of = |arrival| -> BTreeMap<Option<u16>, Option<InboundHttp>> {
        let these = chains.iter().filter(|chain| chain.arrival == arrival);
        these.map(|chain| (chain.port, chain.http)).collect()
    };
    let (tls, plain) = (of(Arrival::MutualTls), of(Arrival::PlainText));
    match tls.get(&None) {
        Some(None) => {}
        Some(Some(_)) => return refuse("the chain for all other ports must end in a tcp_proxy"),
        None => return refuse("none with mutual TLS for all other ports"),
    }
    if !plain.is_empty() && plain != tls {
        return refuse("contradict each other: plain text and mutual TLS differ in ports");
    }
    let http_ports = tls
        .iter()
        .filter_map(|(port, http)| Some(((*port)?, (*http)?)));
    Ok((!plain.is_empty(), http_ports.collect()))
}

fn network_policy(rules: Option<&WireRules>, by: &[String]) -> Decoded<NetworkPolicy> {
    match rules {
        Some(rules) => Ok(NetworkPolicy::Isolated {
            by: by.iter().map(|name| name.as_str().into()).collect(),
            rules: Arc::new(rbac::rules(rules)?),
        }),
        None if by.is_empty() => Ok(NetworkPolicy::Open),
        None => refuse(format_args!("isolated by {by:?}, but there are no rules")),
    }
}

fn egress(rules: Option<&EgressRules>, by: &[String]) -> Decoded<NetworkPolicy> {
    let rules = match rules {
        Some(egress) => match WireRules::decode(egress.rbac.as_slice()) {
            Ok(rules) => Some(rules),
            Err(error) => return refuse(format_args!("malformed: {error}")).at("rbac"),
        },
        None => None,
    };
    network_policy(rules.as_ref(), by).at("rbac")
}
