//! Type URLs of the resources on an ADS stream.

/// `envoy.config.listener.v3.Listener`.
pub const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
/// `envoy.config.cluster.v3.Cluster`.
pub const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// `envoy.config.endpoint.v3.ClusterLoadAssignment`.
pub const CLUSTER_LOAD_ASSIGNMENT: &str =
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
/// `envoy.config.route.v3.RouteConfiguration`.
pub const ROUTE_CONFIGURATION: &str =
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
/// `envoy.extensions.transport_sockets.tls.v3.Secret`.
pub const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/// `envoy.data.dns.v3.DnsTable`: one for each Service.
pub const DNS_TABLE: &str = "type.googleapis.com/envoy.data.dns.v3.DnsTable";
/// [`heddle.v1.Workload`](crate::heddle::v1::Workload).
pub const WORKLOAD: &str = "type.googleapis.com/heddle.v1.Workload";
/// [`heddle.v1.AddressSet`](crate::heddle::v1::AddressSet).
pub const ADDRESS_SET: &str = "type.googleapis.com/heddle.v1.AddressSet";

/// All of them, in the order in which a change is sent: what is referred to comes before what refers to it
/// (xDS protocol, "Eventual consistency considerations": CDS, EDS, LDS, RDS).
pub const PUSH_ORDER: [&str; 8] = [
    WORKLOAD,
    ADDRESS_SET,
    SECRET,
    CLUSTER,
    CLUSTER_LOAD_ASSIGNMENT,
    LISTENER,
    ROUTE_CONFIGURATION,
    DNS_TABLE,
];
