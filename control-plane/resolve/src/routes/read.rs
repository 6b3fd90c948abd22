//! Reading: everything about a route that can be told from the object alone.

use std::sync::Arc;

use heddle_model::{
    HeaderMutation, HostMatch, ObjectRef, PathRewrite, Redirect, RetryPolicy, RouteMatch, Timeouts,
};
use heddle_resources::k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    RouteKind,
    filters::{self, Refused, UNSUPPORTED_VALUE},
    limits, matches, object_ref,
    precedence::Rank,
    raw::{RawBackend, RawRoute, RawRule},
};
use crate::{
    ParentRef, Problem,
    gateways::parse_host,
    names::{RawKey, excerpt, object_key},
    problem::Report,
};

/// A route that was read.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) kind: RouteKind,
    pub(crate) key: RawKey,
    pub(crate) object: ObjectRef,
    pub(crate) created: Option<Time>,
    pub(crate) generation: Option<i64>,
    pub(crate) parents: Vec<ParentRef>,
    /// `None`: spec.hostnames is empty, all hosts. `Some` of an empty list: there are some, and none is a host name.
    pub(crate) hosts: Option<Vec<HostMatch>>,
    /// The rules that apply, some of them only to answer 500.
    pub(crate) rules: Vec<Rule>,
    /// How many rules the object has.
    pub(crate) written_rules: usize,
    /// What is wrong with rules, at most one entry each.
    pub(crate) broken: Vec<BrokenRule>,
    pub(crate) problems: Vec<Problem>,
}

/// A rule that cannot be honoured.
#[derive(Clone, Debug)]
pub(crate) struct BrokenRule {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// A rule that was read.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) index: usize,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) matches: Vec<(usize, RouteMatch, Rank)>,
    pub(crate) request_headers: Vec<HeaderMutation>,
    pub(crate) response_headers: Vec<HeaderMutation>,
    pub(crate) action: Action,
}

/// What a rule does, before its backends are looked up.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Forward {
        backends: Vec<BackendRef>,
        rewrite_path: Option<PathRewrite>,
        rewrite_host: Option<Arc<str>>,
        timeouts: Timeouts,
        retry: Option<RetryPolicy>,
    },
    Redirect(Redirect),
    /// 500: the rule cannot be honoured.
    Refuse {
        reason: Arc<str>,
    },
}

/// A backend, before it is looked up.
#[derive(Clone, Debug)]
pub(crate) struct BackendRef {
    pub(crate) written: RawBackend,
    /// Its path in the object.
    pub(crate) field: String,
    pub(crate) weight: u32,
    pub(crate) request_headers: Vec<HeaderMutation>,
    pub(crate) response_headers: Vec<HeaderMutation>,
    /// Why its share is answered 500 whatever it refers to.
    pub(crate) refused: Option<Arc<str>>,
}

/// Reads a route. `None` if it cannot even be named; the problems say why.
pub(crate) fn read(raw: &RawRoute) -> Result<Route, Vec<Problem>> {
    let mut report = Report::on(raw.id.clone());
    let key: RawKey = (raw.id.namespace.clone(), raw.id.name.clone());
    let of = match object_key(&key) {
        Ok(of) => of,
        Err((field, message)) => {
            report.add(field, message);
            return Err(report.into_problems());
        }
    };
    let hosts = hosts(&raw.hostnames, &mut report);
    let mut broken = Vec::new();
    let mut rules = Vec::new();
    for (index, rule) in raw.rules.iter().enumerate() {
        let read = read_rule(index, rule, &mut report);
        rules.extend(read.0);
        broken.extend(read.1);
    }
    Ok(Route {
        kind: raw.kind,
        object: object_ref(raw.kind, of.namespace, of.name),
        key,
        created: raw.created.clone(),
        generation: raw.generation,
        parents: raw.parents.clone(),
        hosts,
        rules,
        written_rules: raw.rules.len(),
        broken,
        problems: report.into_problems(),
    })
}

fn hosts(written: &[String], report: &mut Report) -> Option<Vec<HostMatch>> {
    if written.is_empty() {
        return None;
    }
    let mut hosts = Vec::new();
    for (index, text) in written.iter().enumerate() {
        match parse_host(text) {
            Some(host) if !hosts.contains(&host) => hosts.push(host),
            Some(_) => {}
            None => report.add(
                format!("spec.hostnames[{index}]"),
                format!("{} is not a host name (a wildcard stands only at the front: *.example.com); it is left out", excerpt(text)),
            ),
        }
    }
    Some(hosts)
}

fn read_rule(
    index: usize,
    raw: &RawRule,
    report: &mut Report,
) -> (Option<Rule>, Option<BrokenRule>) {
    let at = format!("spec.rules[{index}]");
    let written = if raw.matches.is_empty() {
        &[super::raw::RawMatch::default()][..]
    } else {
        &raw.matches
    };
    let mut read_matches = Vec::new();
    for (number, one) in written.iter().enumerate() {
        match matches::read(one) {
            Ok((matches, rank)) => read_matches.push((number, matches, rank)),
            Err((field, message)) => {
                let field = format!("{at}.matches[{number}].{field}");
                let broken = BrokenRule {
                    reason: UNSUPPORTED_VALUE,
                    message: format!("Dropped Rule {index}: {field}: {message}"),
                };
                report.add(field, format!("{message}; the rule is dropped"));
                return (None, Some(broken));
            }
        }
    }
    let plain: Vec<RouteMatch> = read_matches
        .iter()
        .map(|(_, matches, _)| matches.clone())
        .collect();
    let mut broken = None;
    let mut refuse = |refused: Refused, what: &str, report: &mut Report| {
        let field = format!("{at}.{}", refused.field);
        report.add(
            field.as_str(),
            format!("{}; {what} answered 500", refused.message),
        );
        let message = format!("{field}: {}", refused.message);
        broken.get_or_insert_with(|| BrokenRule {
            reason: refused.reason,
            message: format!("Dropped Rule {index}: {message}; {what} answered 500"),
        });
        Arc::<str>::from(message)
    };
    let (filters, action) = match action(raw, &plain) {
        Ok((filters, action)) => (filters, action),
        Err(refused) => {
            let reason = refuse(refused, "the requests that it is for are", report);
            (filters::Filters::default(), Action::Refuse { reason })
        }
    };
    let action = match action {
        Action::Forward {
            rewrite_path,
            rewrite_host,
            timeouts,
            retry,
            ..
        } => {
            let mut backends = Vec::new();
            for (number, raw) in raw.backends.iter().enumerate() {
                let mut backend = backend(raw, format!("{at}.backendRefs[{number}]"));
                match backend_filters(raw, &plain) {
                    Ok((weight, filters)) => {
                        backend.weight = weight;
                        backend.request_headers = filters.request_headers;
                        backend.response_headers = filters.response_headers;
                    }
                    Err(mut refused) => {
                        refused.field = format!("backendRefs[{number}].{}", refused.field);
                        backend.refused = Some(refuse(refused, "its share is", report));
                    }
                }
                backends.push(backend);
            }
            let wants_none =
                |backend: &BackendRef| backend.weight == 0 && backend.refused.is_none();
            if !backends.is_empty() && backends.iter().all(wants_none) {
                // As the API wants it, so no condition says it; but hardly as anybody wants it.
                let message = "the weights of all backends are 0; the requests that it is for are answered 500";
                report.add(format!("{at}.backendRefs"), message);
            }
            Action::Forward {
                backends,
                rewrite_path,
                rewrite_host,
                timeouts,
                retry,
            }
        }
        other => other,
    };
    let rule = Rule {
        index,
        name: raw.name.as_deref().map(Arc::from),
        matches: read_matches,
        request_headers: filters.request_headers,
        response_headers: filters.response_headers,
        action,
    };
    (Some(rule), broken)
}

fn action(raw: &RawRule, matches: &[RouteMatch]) -> Result<(filters::Filters, Action), Refused> {
    let mut filters = filters::read(&raw.filters, matches)?;
    let timeouts = limits::timeouts(raw)?;
    let retry = raw.retry.as_ref().map(limits::retry).transpose()?.flatten();
    if let Some(redirect) = filters.redirect.take() {
        if !raw.backends.is_empty() {
            return Err(Refused::incompatible(
                "backendRefs",
                "a rule that redirects has no backends",
            ));
        }
        return Ok((filters, Action::Redirect(redirect)));
    }
    let action = Action::Forward {
        backends: Vec::new(),
        rewrite_path: filters.rewrite_path.take(),
        rewrite_host: filters.rewrite_host.take(),
        timeouts,
        retry,
    };
    Ok((filters, action))
}

fn backend(raw: &RawBackend, field: String) -> BackendRef {
    BackendRef {
        written: raw.clone(),
        field,
        weight: raw.weight.map_or(1, |weight| {
            u32::try_from(weight).unwrap_or(0).min(1_000_000)
        }),
        request_headers: Vec::new(),
        response_headers: Vec::new(),
        refused: None,
    }
}

fn backend_filters(
    raw: &RawBackend,
    matches: &[RouteMatch],
) -> Result<(u32, filters::Filters), Refused> {
    let written = raw.weight.unwrap_or(1);
    let weight = u32::try_from(written)
        .ok()
        .filter(|weight| *weight <= 1_000_000)
        .ok_or_else(|| {
            Refused::value(
                "weight",
                format!("{written} is not a weight (0 to 1000000)"),
            )
        })?;
    Ok((weight, filters::read(&raw.filters, matches)?))
}
