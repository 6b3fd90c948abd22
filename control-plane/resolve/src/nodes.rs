//! Nodes: their addresses and zones.

use std::{collections::BTreeSet, sync::Arc};

use heddle_model::{Node, NodeName};
use heddle_resources::Kind;

use crate::{
    names::{address, cluster_id, excerpt, is_dns_subdomain},
    problem::Report,
    settings::ZONE_LABEL,
};

/// Reads one Node; `None` if it has no usable name.
pub(crate) fn node(name: &Arc<str>, object: &heddle_resources::Node) -> (Option<Node>, Report) {
    let mut report = Report::on(cluster_id(Kind::Node, name));
    if !is_dns_subdomain(name) {
        report.add(
            "metadata.name",
            format!(
                "{} is not a name (RFC 1123 subdomain); the node is left out",
                excerpt(name)
            ),
        );
        return (None, report);
    }
    let listed = object
        .status
        .iter()
        .flat_map(|status| status.addresses.iter().flatten());
    let mut addresses = BTreeSet::new();
    for (index, listed) in listed
        .enumerate()
        .filter(|(_, listed)| listed.type_ == "InternalIP")
    {
        match address(&listed.address) {
            Some(address) => {
                addresses.insert(address);
            }
            None => report.add(
                format!("status.addresses[{index}].address"),
                format!(
                    "{} is not an IP address; it is left out",
                    excerpt(&listed.address)
                ),
            ),
        }
    }
    let zone = object
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(ZONE_LABEL));
    let node = Node {
        name: NodeName(name.clone()),
        addresses,
        zone: zone.map(|zone| Arc::from(zone.as_str())),
    };
    (Some(node), report)
}
