//! HTTPRoutes and GRPCRoutes.
//!
//! Two phases. *Reading* looks at one object alone (matches, filters, regular expressions) and is done once for each version of it. *Linking* follows
//! references (parents, backends, grants), decides precedence among all routes and states conditions; it is done whenever
//! something that a route may refer to changes.
//!
//! What becomes of a rule that cannot be honoured:
//! - Its *matches* cannot be read (a regular expression that does not compile): nobody can tell which requests it is for; the rule is dropped.
//! - Anything else in it (an unsupported filter, a broken timeout): the requests that it is for are answered 500. The Gateway API forbids to
//!   skip a filter silently, and what the filter should have done may have been a check.
//!
//! If every rule of a route is broken, it is not accepted (`Accepted: False`), if only some are, `PartiallyInvalid: True`, both with the reason
//! `UnsupportedValue` (or `IncompatibleFilters`).

use heddle_model::{Namespace, ObjectKind, ObjectRef};
use heddle_resources::Kind;

use crate::settings::GATEWAY_GROUP;

mod backends;
mod conditions;
pub(crate) mod duration;
mod fields;
mod filters;
mod grpc;
mod http;
mod limits;
mod links;
mod matches;
mod mesh;
mod precedence;
mod raw;
mod read;

pub(crate) use backends::Linker;
pub(crate) use conditions::Verdict;
pub(crate) use links::{LinkedRoute, LinkedRoutes, by_route};
pub use matches::{REGEX_NEST_LIMIT, REGEX_SIZE_LIMIT};
pub(crate) use matches::{path_text, prefix, token};
pub(crate) use mesh::attach as attach_to_services;
pub(crate) use precedence::{HostRank, in_order};
pub(crate) use raw::RawRoute;
pub(crate) use read::{Route, read};

/// The kinds of routes that we serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RouteKind {
    Http,
    Grpc,
}

impl RouteKind {
    pub(crate) const ALL: [Self; 2] = [Self::Http, Self::Grpc];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTPRoute",
            Self::Grpc => "GRPCRoute",
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Http => Kind::HTTPRoute,
            Self::Grpc => Kind::GRPCRoute,
        }
    }

    pub(crate) fn object_kind(self) -> ObjectKind {
        match self {
            Self::Http => ObjectKind::HTTPRoute,
            Self::Grpc => ObjectKind::GRPCRoute,
        }
    }
}

/// What a parentRef or backendRef means, defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefKind {
    Gateway,
    Service,
    Other,
}

/// The kind of a parentRef. The core group is written `""`; people write `core` as well.
pub(crate) fn parent_kind(parent: &crate::ParentRef) -> RefKind {
    let group = parent.group.as_deref().unwrap_or(GATEWAY_GROUP);
    match (group, parent.kind.as_deref().unwrap_or("Gateway")) {
        (GATEWAY_GROUP, "Gateway") => RefKind::Gateway,
        ("" | "core", "Service") => RefKind::Service,
        _ => RefKind::Other,
    }
}

/// A route's key in the model, ready for messages.
pub(crate) fn object_ref(
    kind: RouteKind,
    namespace: Namespace,
    name: std::sync::Arc<str>,
) -> ObjectRef {
    ObjectRef {
        kind: kind.object_kind(),
        key: heddle_model::ObjectKey::new(namespace, name),
    }
}
