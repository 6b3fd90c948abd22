//! AuthorizationPolicies: who may call, by identity, port and request.
//!
//! A rule that cannot be read allows nothing; a broken selector of pods protects the whole namespace and allows nobody.

use std::{collections::BTreeMap, sync::Arc};

use heddle_model::{
    AuthorizationRule, HttpAccess, Namespace, ObjectKind, ObjectRef, PathMatch, PortNumber,
    ServiceAccount, Sources, SpiffeId, TrustDomain,
};
use heddle_resources::{
    AuthorizationPolicy,
    authorization::{self as api, AuthorizationPathType},
};

use crate::{
    names::{RawKey, excerpt, in_namespace, object_key},
    problem::Report,
    routes::{path_text, prefix, token},
    selector::{Labels, Selector},
};

/// A policy that was read.
#[derive(Debug)]
pub(crate) struct Authorization {
    /// The pods that it protects; `None`: unreadable.
    pods: Option<Selector>,
    rules: Vec<AuthorizationRule>,
}

type Broken = (String, String);

/// The rules of all policies of a namespace that select a pod; `None` if none does.
pub(crate) fn rules(
    policies: &BTreeMap<RawKey, Authorization>,
    namespace: &Arc<str>,
    labels: &Labels,
) -> Option<Vec<AuthorizationRule>> {
    let mut rules = None;
    for (_, policy) in in_namespace(policies, namespace) {
        if policy
            .pods
            .as_ref()
            .is_none_or(|selector| selector.matches(labels))
        {
            rules
                .get_or_insert_with(Vec::new)
                .extend(policy.rules.iter().cloned());
        }
    }
    rules
}

/// Reads a policy; `None` if it cannot even be named.
pub(crate) fn read(
    key: &RawKey,
    object: &AuthorizationPolicy,
    trust_domain: &TrustDomain,
    report: &mut Report,
) -> Option<Authorization> {
    let of = object_key(key)
        .map_err(|(field, message)| report.add(field, message))
        .ok()?;
    let pods = match Selector::parse(&object.spec.pod_selector) {
        Ok(selector) => Some(selector),
        Err((field, message)) => {
            let message =
                format!("{message}; every pod of the namespace is protected and nobody is allowed");
            report.add(format!("spec.podSelector.{field}"), message);
            None
        }
    };
    let policy = ObjectRef {
        kind: ObjectKind::AuthorizationPolicy,
        key: of,
    };
    let mut rules = Vec::new();
    for (index, written) in object.spec.rules.iter().enumerate() {
        match rule(written, &policy, index, trust_domain) {
            Ok(rule) => rules.push(rule),
            Err((field, message)) => {
                report.add(
                    format!("spec.rules[{index}].{field}"),
                    format!("{message}; the rule allows nothing"),
                );
            }
        }
    }
    if pods.is_none() {
        rules.clear();
    }
    Some(Authorization { pods, rules })
}

fn rule(
    written: &api::AuthorizationRule,
    policy: &ObjectRef,
    index: usize,
    trust_domain: &TrustDomain,
) -> Result<AuthorizationRule, Broken> {
    let sources = match &written.sources {
        None => Sources::Anyone,
        Some(sources) => identities(sources, &policy.key.namespace, trust_domain)?,
    };
    let mut ports = Vec::new();
    for (number, port) in written.ports.iter().enumerate() {
        let port = PortNumber::new(*port).ok_or_else(|| {
            (
                format!("ports[{number}]"),
                "0 is not a port (1 to 65535)".to_owned(),
            )
        })?;
        ports.push(port);
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(AuthorizationRule {
        policy: policy.clone(),
        index,
        sources,
        ports,
        http: written.http.as_ref().map(http).transpose()?,
    })
}

fn identities(
    sources: &api::AuthorizationSources,
    namespace: &Namespace,
    trust_domain: &TrustDomain,
) -> Result<Sources, Broken> {
    let mut identities: Vec<SpiffeId> = Vec::new();
    for (index, text) in sources.service_accounts.iter().enumerate() {
        let at = |message: String| (format!("sources.serviceAccounts[{index}]"), message);
        let (namespace, account) = match text.split_once('/') {
            Some((namespace, account)) => (
                Namespace::new(namespace).map_err(|error| at(error.to_string()))?,
                account,
            ),
            None => (namespace.clone(), text.as_str()),
        };
        let account = ServiceAccount::new(account).map_err(|error| at(error.to_string()))?;
        identities.push(SpiffeId::new(trust_domain.clone(), namespace, account));
    }
    for (index, text) in sources.spiffe.iter().enumerate() {
        let id: SpiffeId = text
            .parse()
            .map_err(|error| (format!("sources.spiffe[{index}]"), format!("{error}")))?;
        identities.push(id);
    }
    if identities.is_empty() {
        // Left out it would mean anybody; written down and empty it is more likely a mistake.
        return Err(("sources".to_owned(), "names nobody".to_owned()));
    }
    identities.sort();
    identities.dedup();
    Ok(Sources::Identities(identities))
}

fn http(written: &api::AuthorizationHttp) -> Result<HttpAccess, Broken> {
    let mut methods: Vec<Arc<str>> = Vec::new();
    for (index, method) in written.methods.iter().enumerate() {
        let at = |message: String| (format!("http.methods[{index}]"), message);
        token(method).map_err(at)?;
        // Methods are case-sensitive (RFC 9110 section 9.1): `get` would never match.
        if method.chars().any(|c| c.is_ascii_lowercase()) {
            return Err(at(format!("{} is not upper case", excerpt(method))));
        }
        methods.push(Arc::from(method.as_str()));
    }
    methods.sort();
    methods.dedup();
    let mut paths = Vec::new();
    for (index, path) in written.paths.iter().enumerate() {
        let value = path_text(&path.value)
            .map_err(|message| (format!("http.paths[{index}].value"), message))?;
        paths.push(match path.r#type {
            AuthorizationPathType::Exact => PathMatch::Exact(value),
            AuthorizationPathType::PathPrefix => prefix(value),
        });
    }
    Ok(HttpAccess { methods, paths })
}
