//! GRPCRoute objects in the common form.

use heddle_resources::{GRPCRoute, ObjectId, gateway::grpc_route as api};

use super::{
    RouteKind,
    fields::{backend, headers, parent},
    raw::{RawBackend, RawCondition, RawFilter, RawHeaders, RawMatch, RawPath, RawRoute, RawRule},
};
use crate::ParentRef;

impl RawRoute {
    /// Takes a GRPCRoute apart.
    pub(crate) fn from_grpc(id: ObjectId, route: &GRPCRoute) -> Self {
        let spec = &route.spec;
        let parents = spec
            .parent_refs
            .iter()
            .flatten()
            .map(|parent| parent!(parent));
        Self {
            kind: RouteKind::Grpc,
            id,
            created: route.metadata.creation_timestamp.clone(),
            generation: route.metadata.generation,
            parents: parents.collect(),
            hostnames: spec.hostnames.clone().unwrap_or_default(),
            rules: spec.rules.iter().flatten().map(rule).collect(),
        }
    }
}

fn rule(rule: &api::GrpcRouteRules) -> RawRule {
    RawRule {
        name: rule.name.clone(),
        matches: match rule.matches.as_deref() {
            None | Some([]) => vec![any_call()],
            Some(matches) => matches.iter().map(r#match).collect(),
        },
        filters: rule.filters.iter().flatten().map(filter).collect(),
        backends: rule
            .backend_refs
            .iter()
            .flatten()
            .map(|backend| backend!(backend, backend_filter))
            .collect(),
        ..RawRule::default()
    }
}

fn any_call() -> RawMatch {
    RawMatch {
        path: RawPath::Grpc {
            service: None,
            method: None,
            regex: false,
        },
        ..RawMatch::default()
    }
}

fn r#match(written: &api::GrpcRouteRulesMatches) -> RawMatch {
    let headers = written.headers.iter().flatten().map(|header| RawCondition {
        name: header.name.clone(),
        value: header.value.clone(),
        regex: header.r#type == Some(api::GrpcRouteRulesMatchesHeadersType::RegularExpression),
    });
    let method = written.method.as_ref();
    RawMatch {
        path: RawPath::Grpc {
            service: method
                .and_then(|method| method.service.clone())
                .filter(|service| !service.is_empty()),
            method: method
                .and_then(|method| method.method.clone())
                .filter(|method| !method.is_empty()),
            regex: method.and_then(|method| method.r#type.as_ref())
                == Some(&api::GrpcRouteRulesMatchesMethodType::RegularExpression),
        },
        headers: headers.collect(),
        ..RawMatch::default()
    }
}

/// The filters of a rule and those of a backend have the same kinds under two generated names.
macro_rules! filter {
    ($name:ident, $filter:ty, $type:path) => {
        fn $name(filter: &$filter) -> RawFilter {
            use $type as Type;
            match filter.r#type {
                Type::RequestHeaderModifier => {
                    RawFilter::RequestHeaders(headers!(filter.request_header_modifier))
                }
                Type::ResponseHeaderModifier => {
                    RawFilter::ResponseHeaders(headers!(filter.response_header_modifier))
                }
                Type::RequestMirror => RawFilter::Unsupported("RequestMirror"),
                Type::ExtensionRef => RawFilter::Unsupported("ExtensionRef"),
            }
        }
    };
}

filter!(
    filter,
    api::GrpcRouteRulesFilters,
    api::GrpcRouteRulesFiltersType
);
filter!(
    backend_filter,
    api::GrpcRouteRulesBackendRefsFilters,
    api::GrpcRouteRulesBackendRefsFiltersType
);
