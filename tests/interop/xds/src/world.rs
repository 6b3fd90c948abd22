//! What a server is told to serve: real Envoy messages, each with a word in it that stands for its content.

use std::{collections::BTreeMap, time::Duration};

use heddle_proto::{
    Message,
    envoy::{
        config::{
            cluster::v3::Cluster,
            core::v3::{DataSource, Locality, data_source::Specifier},
            endpoint::v3::{ClusterLoadAssignment, LocalityLbEndpoints},
            listener::v3::Listener,
            route::v3::RouteConfiguration,
        },
        extensions::transport_sockets::tls::v3::{GenericSecret, Secret, secret},
    },
    google::protobuf::Any,
    type_url,
};
use heddle_snapshot::TypeUrl;

/// Listener.
pub const LDS: TypeUrl = type_url::LISTENER;
/// `RouteConfiguration`.
pub const RDS: TypeUrl = type_url::ROUTE_CONFIGURATION;
/// Cluster.
pub const CDS: TypeUrl = type_url::CLUSTER;
/// `ClusterLoadAssignment`.
pub const EDS: TypeUrl = type_url::CLUSTER_LOAD_ASSIGNMENT;
/// Secret.
pub const SDS: TypeUrl = type_url::SECRET;

/// Names of secrets that are always there, with which a client finds out whether anything is on its way before them.
pub const FENCES: usize = 8;

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The word that it holds.
    pub word: String,
    /// How long it counts without a heartbeat.
    pub ttl: Option<Duration>,
}

/// All resources, by type and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World(pub BTreeMap<TypeUrl, BTreeMap<String, Content>>);

impl Default for World {
    fn default() -> Self {
        let fences = (0..FENCES).map(fence).collect::<Vec<_>>().join(" ");
        Self(BTreeMap::new()).with(SDS, &fences)
    }
}

/// Name of a fence.
pub fn fence(number: usize) -> String {
    format!("fence-{number}")
}

impl World {
    /// Sets all resources of a type: `"name=word name=word"`.
    pub fn with(mut self, type_url: TypeUrl, resources: &str) -> Self {
        let parse = |text: &str| {
            let (name, word) = text.split_once('=').unwrap_or((text, "0"));
            let content = Content {
                word: word.to_owned(),
                ttl: None,
            };
            (name.to_owned(), content)
        };
        let resources = resources.split_whitespace().map(parse).collect();
        self.0.insert(type_url, resources);
        self
    }

    /// Gives all resources of a type a time to live.
    pub fn living(mut self, type_url: TypeUrl, ttl: Duration) -> Self {
        for content in self.0.entry(type_url).or_default().values_mut() {
            content.ttl = Some(ttl);
        }
        self
    }

    /// Each resource: type, name, message, content.
    pub fn resources(&self) -> impl Iterator<Item = (TypeUrl, &str, Any, &Content)> {
        self.0.iter().flat_map(|(type_url, resources)| {
            resources.iter().map(|(name, content)| {
                let any = encode(type_url, name, &content.word);
                (*type_url, name.as_str(), any, content)
            })
        })
    }
}

/// A message of this type that holds this word.
pub fn encode(type_url: TypeUrl, name: &str, word: &str) -> Any {
    let (name, word) = (name.to_owned(), word.to_owned());
    let value = match type_url {
        LDS => Listener {
            name,
            stat_prefix: word,
            ..Listener::default()
        }
        .encode_to_vec(),
        RDS => RouteConfiguration {
            name,
            request_headers_to_remove: vec![word],
            ..RouteConfiguration::default()
        }
        .encode_to_vec(),
        CDS => Cluster {
            name,
            alt_stat_name: word,
            ..Cluster::default()
        }
        .encode_to_vec(),
        EDS => ClusterLoadAssignment {
            cluster_name: name,
            endpoints: vec![LocalityLbEndpoints {
                locality: Some(Locality {
                    zone: word,
                    ..Locality::default()
                }),
                ..LocalityLbEndpoints::default()
            }],
            ..ClusterLoadAssignment::default()
        }
        .encode_to_vec(),
        SDS => Secret {
            name,
            r#type: Some(secret::Type::GenericSecret(GenericSecret {
                secret: Some(DataSource {
                    specifier: Some(Specifier::InlineString(word)),
                    ..DataSource::default()
                }),
                ..GenericSecret::default()
            })),
        }
        .encode_to_vec(),
        _ => panic!("no resources of type {type_url} in this suite"),
    };
    Any {
        type_url: type_url.to_owned(),
        value,
    }
}

/// The name and the word of a message.
pub fn decode(any: &Any) -> anyhow::Result<(String, String)> {
    let bytes = &any.value[..];
    Ok(match any.type_url.as_str() {
        LDS => {
            let listener = Listener::decode(bytes)?;
            (listener.name, listener.stat_prefix)
        }
        RDS => {
            let mut routes = RouteConfiguration::decode(bytes)?;
            let word = routes.request_headers_to_remove.pop().unwrap_or_default();
            (routes.name, word)
        }
        CDS => {
            let cluster = Cluster::decode(bytes)?;
            (cluster.name, cluster.alt_stat_name)
        }
        EDS => {
            let mut endpoints = ClusterLoadAssignment::decode(bytes)?;
            let locality = endpoints
                .endpoints
                .pop()
                .and_then(|group| group.locality)
                .unwrap_or_default();
            (endpoints.cluster_name, locality.zone)
        }
        SDS => {
            let secret = Secret::decode(bytes)?;
            let word = match secret.r#type {
                Some(secret::Type::GenericSecret(GenericSecret {
                    secret:
                        Some(DataSource {
                            specifier: Some(Specifier::InlineString(word)),
                            ..
                        }),
                    ..
                })) => word,
                other => anyhow::bail!("secret {:?} holds {other:?}", secret.name),
            };
            (secret.name, word)
        }
        other => anyhow::bail!("a resource of the type {other:?}"),
    })
}
