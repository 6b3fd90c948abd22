//! The policies of the cases that have one: for Heddle as objects, for Envoy as the RBAC rules that say the same.
//!
//! A rule is a source, a path by elements and a method. Only the last of the hundred holds; what the others ask for begins like what is sent, so
//! that no rule is passed over for free. Both proxies try rules in the order of their names.

use std::fmt::Write;

/// Rules of the policy that is measured.
const RULES: usize = 100;

/// The path that the routes have and no rule allows: refused only where the policy is really asked.
pub(crate) const FORBIDDEN: &str = "/forbidden";

/// Service account and path of each rule.
fn rules() -> impl Iterator<Item = (String, String)> {
    let other = |number| (format!("caller-{number:02}"), format!("/bench/{number:02}"));
    let last = ("client".to_owned(), "/bench".to_owned());
    (0..RULES - 1).map(other).chain([last])
}

/// An AuthorizationPolicy of a hundred rules for the pods with a label `app`, as a YAML document.
pub(crate) fn authorization_policy(app: &str) -> String {
    let mut text = format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: AuthorizationPolicy\nmetadata: {{name: {app}, namespace: bench}}\n\
         spec:\n  podSelector: {{matchLabels: {{app: {app}}}}}\n  rules:\n"
    );
    for (account, path) in rules() {
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "    - {{sources: {{serviceAccounts: [{account}]}}, http: {{methods: [GET], paths: [{{type: PathPrefix, value: {path}}}]}}}}"
        );
    }
    text
}

/// The same as Envoy's RBAC policies, in YAML's flow style. They are what Heddle's control plane makes of the policy.
pub(crate) fn rbac_policies() -> String {
    let rule = |(number, (account, path)): (usize, (String, String))| {
        let identity = format!("spiffe://cluster.local/ns/bench/sa/{account}");
        let principal = format!("{{authenticated: {{principal_name: {{exact: \"{identity}\"}}}}}}");
        format!("rule-{number:02}: {}", rbac_policy(&principal, &path))
    };
    let all: Vec<_> = rules().enumerate().map(rule).collect();
    // The lines are further in than what they belong to.
    format!("{{{}}}", all.join(&format!(",\n{:26}", "")))
}

/// A GET to a path, by elements, from whom `principal` means.
fn rbac_policy(principal: &str, path: &str) -> String {
    let is_path = |how: &str, value: &str| format!("{{url_path: {{path: {{{how}: {value}}}}}}}");
    format!(
        "{{principals: [{principal}], permissions: [{{and_rules: {{rules: [\
         {{header: {{name: \":method\", string_match: {{exact: GET}}}}}}, \
         {{or_rules: {{rules: [{}, {}]}}}}]}}}}]}}",
        is_path("exact", path),
        is_path("prefix", &format!("{path}/")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_have_a_hundred_rules_of_which_only_the_last_holds() {
        let (ours, theirs) = (authorization_policy("guarded"), rbac_policies());
        assert_eq!(ours.matches("serviceAccounts: [").count(), RULES);
        assert_eq!(theirs.matches("principals: [").count(), RULES);
        assert_eq!(ours.matches("[client]").count(), 1);
        assert!(ours.trim_end().ends_with("value: /bench}]}}"), "{ours}");
        assert_eq!(theirs.matches("/sa/client\"").count(), 1);
        assert!(theirs.contains("rule-99: {principals: [{authenticated: {principal_name: {exact: \"spiffe://cluster.local/ns/bench/sa/client\"}}}]"));
        assert!(!ours.contains(FORBIDDEN) && !theirs.contains(FORBIDDEN));
    }
}
