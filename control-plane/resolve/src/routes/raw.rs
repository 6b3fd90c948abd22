//! Routes as they are written, in one form for both kinds. The generated types repeat the same structs under many names; here they meet.

use heddle_resources::{ObjectId, k8s_openapi::apimachinery::pkg::apis::meta::v1::Time};

use super::RouteKind;
use crate::ParentRef;

/// A route.
#[derive(Clone, Debug)]
pub(crate) struct RawRoute {
    pub(crate) kind: RouteKind,
    pub(crate) id: ObjectId,
    pub(crate) created: Option<Time>,
    pub(crate) generation: Option<i64>,
    pub(crate) parents: Vec<ParentRef>,
    pub(crate) hostnames: Vec<String>,
    pub(crate) rules: Vec<RawRule>,
}

/// spec.rules[].
#[derive(Clone, Debug, Default)]
pub(crate) struct RawRule {
    pub(crate) name: Option<String>,
    pub(crate) matches: Vec<RawMatch>,
    pub(crate) filters: Vec<RawFilter>,
    pub(crate) backends: Vec<RawBackend>,
    pub(crate) request_timeout: Option<String>,
    pub(crate) backend_timeout: Option<String>,
    pub(crate) retry: Option<RawRetry>,
}

/// matches[].
#[derive(Clone, Debug, Default)]
pub(crate) struct RawMatch {
    pub(crate) path: RawPath,
    pub(crate) method: Option<&'static str>,
    pub(crate) headers: Vec<RawCondition>,
    pub(crate) query: Vec<RawCondition>,
}

/// What a match says of the path.
#[derive(Clone, Debug)]
pub(crate) enum RawPath {
    Exact(String),
    Prefix(String),
    Regex(String),
    Grpc {
        service: Option<String>,
        method: Option<String>,
        regex: bool,
    },
}

impl Default for RawPath {
    fn default() -> Self {
        Self::Prefix("/".to_owned())
    }
}

/// A condition on a header or a query parameter.
#[derive(Clone, Debug)]
pub(crate) struct RawCondition {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) regex: bool,
}

/// backendRefs[].
#[derive(Clone, Debug)]
pub(crate) struct RawBackend {
    pub(crate) group: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) port: Option<i32>,
    pub(crate) weight: Option<i32>,
    pub(crate) filters: Vec<RawFilter>,
}

/// retry.
#[derive(Clone, Debug)]
pub(crate) struct RawRetry {
    pub(crate) attempts: Option<i64>,
    pub(crate) backoff: Option<String>,
    pub(crate) codes: Vec<i64>,
}

/// filters[]: its type, and the part that goes with it (`None`: missing).
#[derive(Clone, Debug)]
pub(crate) enum RawFilter {
    RequestHeaders(Option<RawHeaders>),
    ResponseHeaders(Option<RawHeaders>),
    Redirect(Option<RawRedirect>),
    Rewrite(Option<RawRewrite>),
    /// A type that is not supported, by its name.
    Unsupported(&'static str),
}

/// requestHeaderModifier, responseHeaderModifier.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawHeaders {
    pub(crate) set: Vec<(String, String)>,
    pub(crate) add: Vec<(String, String)>,
    pub(crate) remove: Vec<String>,
}

/// requestRedirect.
#[derive(Clone, Debug)]
pub(crate) struct RawRedirect {
    pub(crate) scheme: Option<&'static str>,
    pub(crate) hostname: Option<String>,
    pub(crate) port: Option<i32>,
    pub(crate) path: Option<RawReplace>,
    pub(crate) status: Option<i64>,
}

/// urlRewrite.
#[derive(Clone, Debug)]
pub(crate) struct RawRewrite {
    pub(crate) hostname: Option<String>,
    pub(crate) path: Option<RawReplace>,
}

/// path of a redirect or a rewrite: by its type, with the value that goes with it (`None`: missing).
#[derive(Clone, Debug)]
pub(crate) enum RawReplace {
    Full(Option<String>),
    Prefix(Option<String>),
}
