//! What the generated types of both kinds of routes have in common: fields of the same names, under type names of their own. So these
//! are macros.

/// A parent reference.
macro_rules! parent {
    ($parent:expr) => {
        ParentRef {
            group: $parent.group.clone(),
            kind: $parent.kind.clone(),
            namespace: $parent.namespace.clone(),
            name: $parent.name.clone(),
            section_name: $parent.section_name.clone(),
            port: $parent.port,
        }
    };
}
pub(super) use parent;

/// A backend reference; its filters are read by the given function.
macro_rules! backend {
    ($backend:expr, $filter:path) => {
        RawBackend {
            group: $backend.group.clone(),
            kind: $backend.kind.clone(),
            namespace: $backend.namespace.clone(),
            name: $backend.name.clone(),
            port: $backend.port,
            weight: $backend.weight,
            filters: $backend.filters.iter().flatten().map($filter).collect(),
        }
    };
}
pub(super) use backend;

/// A header modifier of a rule or of a backend.
macro_rules! headers {
    ($modifier:expr) => {
        $modifier.as_ref().map(|modifier| RawHeaders {
            set: modifier
                .set
                .iter()
                .flatten()
                .map(|header| (header.name.clone(), header.value.clone()))
                .collect(),
            add: modifier
                .add
                .iter()
                .flatten()
                .map(|header| (header.name.clone(), header.value.clone()))
                .collect(),
            remove: modifier.remove.clone().unwrap_or_default(),
        })
    };
}
pub(super) use headers;
