//! Namespaces as selectors and defaults see them.

use std::{borrow::Cow, sync::Arc};

use heddle_resources::{Cluster, Kind, ObjectId};

use crate::{names::cluster_id, selector::Labels, settings::NAMESPACE_NAME_LABEL};

/// The labels of a namespace, with `kubernetes.io/metadata.name`, which every namespace has. A namespace that is only named by its objects
/// (a folder of YAML need not list it) has that one label.
pub(crate) fn labels(cluster: &Cluster, namespace: &Arc<str>) -> Labels {
    let mut labels = cluster
        .namespaces
        .get(namespace)
        .and_then(|object| object.metadata.labels.clone())
        .unwrap_or_default();
    labels.insert(NAMESPACE_NAME_LABEL.to_owned(), namespace.to_string());
    labels
}

/// A label or annotation of the pod, else of its namespace, with the object that says it.
pub(crate) fn inherited<'a>(
    own: Option<&'a Labels>,
    own_id: &'a ObjectId,
    namespace: Option<&'a Labels>,
    key: &str,
) -> Option<(&'a str, Cow<'a, ObjectId>)> {
    if let Some(value) = own.and_then(|labels| labels.get(key)) {
        return Some((value, Cow::Borrowed(own_id)));
    }
    let value = namespace.and_then(|labels| labels.get(key))?;
    Some((
        value,
        Cow::Owned(cluster_id(Kind::Namespace, &own_id.namespace)),
    ))
}
