//! The discovery services of xDS, as far as they differ: their names, and which type they are about.
//!
//! Source: envoy `service/{discovery,listener,route,cluster,endpoint,secret}/v3/*.proto`.

use heddle_proto::type_url;
use heddle_snapshot::TypeUrl;

/// One discovery service.
pub trait Api: Clone + Send + Sync + 'static {
    /// Full name of the service.
    const NAME: &'static str;
    /// Path of its state-of-the-world method.
    const STATE_OF_THE_WORLD: &'static str;
    /// Path of its delta method.
    const DELTA: &'static str;
    /// The one type it serves; without it, all.
    const ONLY: Option<TypeUrl>;
}

macro_rules! api {
    ($(#[$doc:meta])* $name:ident, $service:literal, $world:literal, $delta:literal, $only:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Api for $name {
            const NAME: &'static str = $service;
            const STATE_OF_THE_WORLD: &'static str = concat!("/", $service, "/", $world);
            const DELTA: &'static str = concat!("/", $service, "/", $delta);
            const ONLY: Option<TypeUrl> = $only;
        }
    };
}

api!(
    /// Aggregated: all types on one stream.
    Aggregated,
    "envoy.service.discovery.v3.AggregatedDiscoveryService",
    "StreamAggregatedResources",
    "DeltaAggregatedResources",
    None
);
api!(
    /// LDS.
    Listeners,
    "envoy.service.listener.v3.ListenerDiscoveryService",
    "StreamListeners",
    "DeltaListeners",
    Some(type_url::LISTENER)
);
api!(
    /// RDS.
    Routes,
    "envoy.service.route.v3.RouteDiscoveryService",
    "StreamRoutes",
    "DeltaRoutes",
    Some(type_url::ROUTE_CONFIGURATION)
);
api!(
    /// CDS.
    Clusters,
    "envoy.service.cluster.v3.ClusterDiscoveryService",
    "StreamClusters",
    "DeltaClusters",
    Some(type_url::CLUSTER)
);
api!(
    /// EDS.
    Endpoints,
    "envoy.service.endpoint.v3.EndpointDiscoveryService",
    "StreamEndpoints",
    "DeltaEndpoints",
    Some(type_url::CLUSTER_LOAD_ASSIGNMENT)
);
api!(
    /// SDS.
    Secrets,
    "envoy.service.secret.v3.SecretDiscoveryService",
    "StreamSecrets",
    "DeltaSecrets",
    Some(type_url::SECRET)
);
