//! Filters of rules and of backends.

use serde_json::Value;

use super::{Found, items, located, service_has_port};

/// The value of a filter's `type`, and the one field that belongs to it.
const FILTERS: &[(&str, &str)] = &[
    ("CORS", "cors"),
    ("ExtensionRef", "extensionRef"),
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("RequestMirror", "requestMirror"),
    ("RequestRedirect", "requestRedirect"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("URLRewrite", "urlRewrite"),
];

/// Likewise for the path of a redirect or a rewrite.
const PATHS: &[(&str, &str)] = &[
    ("ReplaceFullPath", "replaceFullPath"),
    ("ReplacePrefixMatch", "replacePrefixMatch"),
];

/// Filters that may stand in a list only once.
const ONCE: &[&str] = &[
    "CORS",
    "RequestHeaderModifier",
    "RequestRedirect",
    "ResponseHeaderModifier",
    "URLRewrite",
];

/// Checks a list of filters.
pub(super) fn check(filters: &Value, path: &str, found: &mut Found) {
    let times = |kind: &str| {
        items(filters)
            .iter()
            .filter(|filter| filter["type"] == kind)
            .count()
    };
    for kind in ONCE {
        found.demand(
            times(kind) <= 1,
            path,
            &format!("filter {kind} must not be repeated"),
        );
    }
    let both = times("RequestRedirect") > 0 && times("URLRewrite") > 0;
    found.demand(
        !both,
        path,
        "RequestRedirect and URLRewrite must not be used together",
    );
    for (path, filter) in located(filters, path) {
        union(filter, &path, FILTERS, found);
        for name in ["requestRedirect", "urlRewrite"] {
            if filter[name]["path"].is_object() {
                union(
                    &filter[name]["path"],
                    &format!("{path}.{name}.path"),
                    PATHS,
                    found,
                );
            }
        }
        mirror(
            &filter["requestMirror"],
            &format!("{path}.requestMirror"),
            found,
        );
        cors(&filter["cors"], &format!("{path}.cors"), found);
    }
}

/// Whether a rewrite or redirect replaces the matched prefix.
pub(super) fn replaces_prefix(filters: &Value) -> bool {
    let of = |filter: &Value, name: &str| filter[name]["path"]["type"] == "ReplacePrefixMatch";
    items(filters)
        .iter()
        .any(|filter| of(filter, "requestRedirect") || of(filter, "urlRewrite"))
}

/// An object whose `type` says which one of its other fields is set.
fn union(value: &Value, path: &str, members: &[(&str, &str)], found: &mut Found) {
    for (kind, field) in members {
        let (is_kind, is_set) = (value["type"] == *kind, !value[*field].is_null());
        found.demand(
            !is_kind || is_set,
            path,
            &format!("type {kind} needs the field {field}"),
        );
        found.demand(
            is_kind || !is_set,
            path,
            &format!("the field {field} is only for type {kind}"),
        );
    }
}

fn mirror(mirror: &Value, path: &str, found: &mut Found) {
    if mirror.is_null() {
        return;
    }
    service_has_port(&mirror["backendRef"], &format!("{path}.backendRef"), found);
    let both = !mirror["percent"].is_null() && !mirror["fraction"].is_null();
    found.demand(!both, path, "only one of percent and fraction may be given");
    let fraction = &mirror["fraction"];
    let (numerator, denominator) = (
        fraction["numerator"].as_i64(),
        fraction["denominator"].as_i64(),
    );
    let too_much = numerator
        .zip(denominator)
        .is_some_and(|(numerator, denominator)| numerator > denominator);
    found.demand(
        !too_much,
        format!("{path}.fraction"),
        "numerator must not be above denominator",
    );
}

fn cors(cors: &Value, path: &str, found: &mut Found) {
    for list in ["allowHeaders", "allowMethods", "allowOrigins"] {
        let values = items(&cors[list]);
        let mixed = values.len() > 1 && values.iter().any(|value| value == "*");
        found.demand(!mixed, format!("{path}.{list}"), "\"*\" must stand alone");
    }
}
