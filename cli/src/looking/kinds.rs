//! The kinds of resources, under the words that people use, and one line about each.

use clap::ValueEnum;
use heddle_proto::type_url;
use serde_json::Value;

/// A kind of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// What happens to connections to an address, or to a gRPC target.
    Listeners,
    /// Which request goes where.
    Routes,
    /// Named groups of endpoints.
    Clusters,
    /// Where they serve.
    Endpoints,
    /// Trusted roots. Keys are never among them.
    Secrets,
    /// Who may connect and call: the RBAC filters of listeners.
    Policies,
    /// Who is at which address.
    Workloads,
    /// What the selectors of policies mean at present.
    AddressSets,
    /// Names that node proxies answer.
    Dns,
}

impl Kind {
    pub(super) fn of(type_url: &str) -> Option<Self> {
        let kinds = Self::value_variants().iter();
        kinds
            .copied()
            .find(|kind| kind.type_url() == type_url && *kind != Self::Policies)
    }

    pub(super) fn type_url(self) -> &'static str {
        match self {
            Self::Listeners | Self::Policies => type_url::LISTENER,
            Self::Routes => type_url::ROUTE_CONFIGURATION,
            Self::Clusters => type_url::CLUSTER,
            Self::Endpoints => type_url::CLUSTER_LOAD_ASSIGNMENT,
            Self::Secrets => type_url::SECRET,
            Self::Workloads => type_url::WORKLOAD,
            Self::AddressSets => type_url::ADDRESS_SET,
            Self::Dns => type_url::DNS_TABLE,
        }
    }

    /// As it is typed.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Listeners => "listeners",
            Self::Routes => "routes",
            Self::Clusters => "clusters",
            Self::Endpoints => "endpoints",
            Self::Secrets => "secrets",
            Self::Policies => "policies",
            Self::Workloads => "workloads",
            Self::AddressSets => "address-sets",
            Self::Dns => "dns",
        }
    }

    /// One of them, in the field's words.
    pub(super) fn singular(self) -> &'static str {
        match self {
            Self::Listeners | Self::Policies => "Listener",
            Self::Routes => "RouteConfiguration",
            Self::Clusters => "Cluster",
            Self::Endpoints => "ClusterLoadAssignment",
            Self::Secrets => "Secret",
            Self::Workloads => "Workload",
            Self::AddressSets => "AddressSet",
            Self::Dns => "DnsTable",
        }
    }

    /// The part of a resource that is shown; none: this one has nothing of the kind.
    pub(super) fn part(self, resource: Value) -> Option<Value> {
        if self != Self::Policies {
            return Some(resource);
        }
        let mut filters = Vec::new();
        policies(&resource, &mut filters);
        (!filters.is_empty()).then_some(Value::Array(filters))
    }

    /// One line about a resource of this kind, in canonical JSON.
    pub(super) fn summary(self, resource: &Value) -> String {
        match self {
            Self::Listeners => listener(resource),
            Self::Routes => {
                let hosts = items(&resource["virtualHosts"]);
                let routes: usize = hosts.iter().map(|host| items(&host["routes"]).len()).sum();
                format!("{routes} routes, {} hosts", hosts.len())
            }
            Self::Clusters => {
                let of_type = resource["type"].as_str().unwrap_or("STATIC");
                let balance = resource["lbPolicy"].as_str().unwrap_or("ROUND_ROBIN");
                format!("{of_type} {balance}")
            }
            Self::Endpoints => endpoints(resource),
            Self::Secrets => match resource["validationContext"].is_null() {
                true => "certificate".to_owned(),
                false => "trusted roots".to_owned(),
            },
            Self::Policies => {
                let filters = items(resource).iter();
                let names = filters.flat_map(|filter| {
                    let policies = filter["rules"]["policies"].as_object();
                    policies.into_iter().flat_map(|policies| policies.keys())
                });
                let names: Vec<&str> = names.map(String::as_str).collect();
                match names.is_empty() {
                    true => "nobody is allowed".to_owned(),
                    false => names.join(", "),
                }
            }
            Self::Workloads => {
                let said =
                    ["namespace", "serviceAccount", "node"].map(|name| resource[name].as_str());
                said.into_iter().flatten().collect::<Vec<_>>().join(" ")
            }
            Self::AddressSets => format!("{} addresses", items(&resource["addresses"]).len()),
            Self::Dns => {
                let names = items(&resource["virtualDomains"]).iter();
                let names = names.filter_map(|domain| domain["name"].as_str());
                names.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn socket(address: &Value) -> Option<String> {
    let socket = &address["socketAddress"];
    let host = socket["address"].as_str()?;
    let port = socket["portValue"].as_u64().unwrap_or_default();
    Some(match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    })
}

fn listener(resource: &Value) -> String {
    let direction = resource["trafficDirection"].as_str().unwrap_or_default();
    match socket(&resource["address"]) {
        Some(address) => format!("{address} {}", direction.to_lowercase()),
        None if resource["apiListener"].is_object() => "for gRPC clients".to_owned(),
        None => direction.to_lowercase(),
    }
}

/// The first three, and how many there are.
fn endpoints(resource: &Value) -> String {
    let zones = items(&resource["endpoints"]).iter();
    let all = zones.flat_map(|zone| items(&zone["lbEndpoints"]));
    let addresses: Vec<String> = all
        .filter_map(|one| socket(&one["endpoint"]["address"]))
        .collect();
    let first = addresses
        .iter()
        .take(3)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match addresses.len() {
        0 => "none".to_owned(),
        count @ 1..=3 => format!("{count}: {first}"),
        count => format!("{count}: {first}, ..."),
    }
}

/// Every RBAC filter, however deep it lies.
fn policies(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            let of_type = fields
                .get("@type")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if of_type.ends_with(".rbac.v3.RBAC") {
                found.push(value.clone());
            } else {
                fields.values().for_each(|field| policies(field, found));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| policies(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
