//! HTTPRoute objects in the common form.

use heddle_resources::{HTTPRoute, ObjectId, gateway::http_route as api};

use super::{
    RouteKind,
    fields::{backend, headers, parent},
    raw::{
        RawBackend, RawCondition, RawFilter, RawHeaders, RawMatch, RawPath, RawRedirect,
        RawReplace, RawRetry, RawRewrite, RawRoute, RawRule,
    },
};
use crate::ParentRef;

impl RawRoute {
    /// Takes an HTTPRoute apart.
    pub(crate) fn from_http(id: ObjectId, route: &HTTPRoute) -> Self {
        let spec = &route.spec;
        let rules = spec.rules.as_deref().unwrap_or_default();
        Self {
            kind: RouteKind::Http,
            id,
            created: route.metadata.creation_timestamp.clone(),
            generation: route.metadata.generation,
            parents: spec
                .parent_refs
                .iter()
                .flatten()
                .map(|parent| parent!(parent))
                .collect(),
            hostnames: spec.hostnames.clone().unwrap_or_default(),
            // The API's default: one rule that matches everything.
            rules: if rules.is_empty() {
                vec![RawRule::default()]
            } else {
                rules.iter().map(rule).collect()
            },
        }
    }
}

fn rule(rule: &api::HttpRouteRules) -> RawRule {
    let timeouts = rule.timeouts.as_ref();
    RawRule {
        name: rule.name.clone(),
        matches: rule.matches.iter().flatten().map(r#match).collect(),
        filters: rule.filters.iter().flatten().map(filter).collect(),
        backends: rule
            .backend_refs
            .iter()
            .flatten()
            .map(|backend| backend!(backend, backend_filter))
            .collect(),
        request_timeout: timeouts.and_then(|timeouts| timeouts.request.clone()),
        backend_timeout: timeouts.and_then(|timeouts| timeouts.backend_request.clone()),
        retry: rule.retry.as_ref().map(|retry| RawRetry {
            attempts: retry.attempts,
            backoff: retry.backoff.clone(),
            codes: retry.codes.clone().unwrap_or_default(),
        }),
    }
}

fn r#match(written: &api::HttpRouteRulesMatches) -> RawMatch {
    use api::HttpRouteRulesMatchesPathType as Type;
    let path = written.path.as_ref();
    let value = path
        .and_then(|path| path.value.clone())
        .unwrap_or_else(|| "/".to_owned());
    let headers = written.headers.iter().flatten().map(|header| RawCondition {
        name: header.name.clone(),
        value: header.value.clone(),
        regex: header.r#type == Some(api::HttpRouteRulesMatchesHeadersType::RegularExpression),
    });
    let query = written
        .query_params
        .iter()
        .flatten()
        .map(|parameter| RawCondition {
            name: parameter.name.clone(),
            value: parameter.value.clone(),
            regex: parameter.r#type
                == Some(api::HttpRouteRulesMatchesQueryParamsType::RegularExpression),
        });
    RawMatch {
        path: match path.and_then(|path| path.r#type.as_ref()) {
            Some(Type::Exact) => RawPath::Exact(value),
            Some(Type::RegularExpression) => RawPath::Regex(value),
            Some(Type::PathPrefix) | None => RawPath::Prefix(value),
        },
        method: written.method.as_ref().map(method),
        headers: headers.collect(),
        query: query.collect(),
    }
}

fn method(method: &api::HttpRouteRulesMatchesMethod) -> &'static str {
    use api::HttpRouteRulesMatchesMethod as Method;
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
    }
}

macro_rules! replace {
    ($path:expr, $type:path) => {{
        use $type as Type;
        $path.as_ref().map(|path| match path.r#type {
            Type::ReplaceFullPath => RawReplace::Full(path.replace_full_path.clone()),
            Type::ReplacePrefixMatch => RawReplace::Prefix(path.replace_prefix_match.clone()),
        })
    }};
}

fn filter(filter: &api::HttpRouteRulesFilters) -> RawFilter {
    use api::HttpRouteRulesFiltersType as Type;
    match filter.r#type {
        Type::RequestHeaderModifier => {
            RawFilter::RequestHeaders(headers!(filter.request_header_modifier))
        }
        Type::ResponseHeaderModifier => {
            RawFilter::ResponseHeaders(headers!(filter.response_header_modifier))
        }
        Type::RequestRedirect => {
            RawFilter::Redirect(filter.request_redirect.as_ref().map(redirect))
        }
        Type::UrlRewrite => {
            RawFilter::Rewrite(filter.url_rewrite.as_ref().map(|rewrite| RawRewrite {
                hostname: rewrite.hostname.clone(),
                path: replace!(rewrite.path, api::HttpRouteRulesFiltersUrlRewritePathType),
            }))
        }
        Type::RequestMirror => RawFilter::Unsupported("RequestMirror"),
        Type::ExtensionRef => RawFilter::Unsupported("ExtensionRef"),
        Type::Cors => RawFilter::Unsupported("CORS"),
    }
}

fn redirect(redirect: &api::HttpRouteRulesFiltersRequestRedirect) -> RawRedirect {
    use api::HttpRouteRulesFiltersRequestRedirectScheme as Scheme;
    RawRedirect {
        scheme: redirect.scheme.as_ref().map(|scheme| match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }),
        hostname: redirect.hostname.clone(),
        port: redirect.port,
        path: replace!(
            redirect.path,
            api::HttpRouteRulesFiltersRequestRedirectPathType
        ),
        status: redirect.status_code,
    }
}

/// Of one backend only the headers can be changed.
fn backend_filter(filter: &api::HttpRouteRulesBackendRefsFilters) -> RawFilter {
    use api::HttpRouteRulesBackendRefsFiltersType as Type;
    match filter.r#type {
        Type::RequestHeaderModifier => {
            RawFilter::RequestHeaders(headers!(filter.request_header_modifier))
        }
        Type::ResponseHeaderModifier => {
            RawFilter::ResponseHeaders(headers!(filter.response_header_modifier))
        }
        Type::RequestRedirect => RawFilter::Unsupported("RequestRedirect of a backend"),
        Type::UrlRewrite => RawFilter::Unsupported("URLRewrite of a backend"),
        Type::RequestMirror => RawFilter::Unsupported("RequestMirror"),
        Type::ExtensionRef => RawFilter::Unsupported("ExtensionRef"),
        Type::Cors => RawFilter::Unsupported("CORS"),
    }
}
