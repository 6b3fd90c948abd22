//! The mesh that is served: Kubernetes objects, as somebody would have written them.

use anyhow::{Context, bail};
use heddle_resources::{ChangeSet, Cluster, Header, Object};
use serde_json::{Value, json};

use crate::{Case, Size};

/// All objects at the beginning, and their names.
pub(crate) fn all(size: Size) -> anyhow::Result<(Cluster, ChangeSet)> {
    let (mut cluster, mut ids) = (Cluster::default(), ChangeSet::new());
    let mut values = vec![
        json!({"apiVersion": "v1", "kind": "Namespace",
               "metadata": {"name": "load", "labels": {"heddle.dev/mesh": "enabled"}}}),
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "heddle"},
               "spec": {"controllerName": "heddle.dev/gateway-controller"}}),
    ];
    if size.routes > 0 {
        values.push(
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
                   "metadata": {"namespace": "load", "name": "web"},
                   "spec": {"gatewayClassName": "heddle", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}}),
        );
    }
    for service in 0..size.services {
        values.push(
            json!({"apiVersion": "v1", "kind": "Service",
                   "metadata": {"namespace": "load", "name": format!("service-{service}")},
                   "spec": {"clusterIP": format!("10.{}.{}.{}", 96 + service / 65536, service / 256 % 256, service % 256),
                            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]}}),
        );
        values.push(endpoints(service, size.endpoints, 0));
    }
    values.extend((0..size.routes).map(|number| route(number, size.services, 0)));
    for value in values {
        let object = object(value)?;
        ids.insert(object.id());
        cluster.insert(object);
    }
    Ok((cluster, ids))
}

/// The object of this case and number in its `generation`th form; each differs from the one before in one place.
pub(crate) fn changed(
    case: Case,
    size: Size,
    number: usize,
    generation: usize,
) -> anyhow::Result<Object> {
    object(match case {
        Case::Endpoints => endpoints(number, size.endpoints, generation),
        Case::Routes => route(number, size.services, generation),
    })
}

fn object(value: Value) -> anyhow::Result<Object> {
    match Header::read(&value) {
        Ok(Header::Ours(id)) => Object::parse(id.kind, value)
            .map_err(|violations| anyhow::anyhow!("{violations:?}"))
            .with_context(|| format!("{id:?}")),
        other => bail!("{other:?}"),
    }
}

/// A slice whose last endpoint is another one in each generation.
fn endpoints(service: usize, count: usize, generation: usize) -> Value {
    let address = |index: usize| {
        let last = index + 1 == count;
        let host = service * count + index;
        let spare = if last { generation % 100 } else { 0 };
        format!(
            "10.{}.{}.{}",
            128 + spare + host / 65536,
            host / 256 % 256,
            host % 256
        )
    };
    let all: Vec<Value> = (0..count)
        .map(|index| json!({"addresses": [address(index)], "conditions": {"ready": true}}))
        .collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
           "metadata": {"namespace": "load", "name": format!("service-{service}-1"),
                        "labels": {"kubernetes.io/service-name": format!("service-{service}")}},
           "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
           "endpoints": all})
}

/// A route whose header value is another one in each generation.
fn route(number: usize, services: usize, generation: usize) -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
           "metadata": {"namespace": "load", "name": format!("route-{number}"), "creationTimestamp": "2026-01-01T00:00:00Z"},
           "spec": {"parentRefs": [{"name": "web"}],
                    "hostnames": [format!("host-{}.example.com", number % 50)],
                    "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": format!("/route/{number}")}}],
                               "filters": [{"type": "RequestHeaderModifier",
                                            "requestHeaderModifier": {"set": [{"name": "x-generation", "value": generation.to_string()}]}}],
                               "backendRefs": [{"name": format!("service-{}", number % services), "port": 80}]}]}})
}
