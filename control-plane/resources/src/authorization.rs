//! `AuthorizationPolicy`, Heddle's own kind: who may call a pod, by identity, port and request. Shaped after GEP-3779.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Who may call the selected pods. Pods that no policy selects accept everybody; a selected pod accepts only what a rule of
/// some policy allows. Only `Allow` exists.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    kube::CustomResource,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[kube(
    group = "heddle.dev",
    version = "v1alpha1",
    kind = "AuthorizationPolicy",
    namespaced,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationPolicySpec {
    /// The pods of this namespace that it protects; empty: all of them.
    #[serde(default)]
    pub pod_selector: LabelSelector,
    /// What is done with what a rule matches.
    #[serde(default)]
    pub action: AuthorizationAction,
    /// Each allows something; none: nobody is allowed.
    #[serde(default)]
    pub rules: Vec<AuthorizationRule>,
}

/// What is done with what a rule matches.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
pub enum AuthorizationAction {
    /// It is allowed; what no rule matches is refused.
    #[default]
    Allow,
}

/// All parts that are given must hold.
#[derive(
    Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationRule {
    /// Who calls; absent: anybody, also without an identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<AuthorizationSources>,
    /// Ports of the pod; absent or empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    // The API server knows no unsigned formats.
    #[schemars(with = "Vec<i32>", inner(range(min = 1, max = 65535)))]
    pub ports: Vec<u16>,
    /// Which requests; absent: all, also what is not HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<AuthorizationHttp>,
}

/// Who calls: any of these.
#[derive(
    Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationSources {
    /// Service accounts: `name` of this namespace, or `namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<String>,
    /// SPIFFE ids, whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spiffe: Vec<String>,
}

/// Which requests: each list that is given must hold by one of its entries.
#[derive(
    Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationHttp {
    /// `GET`, `POST`, ...; absent or empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Absent or empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<AuthorizationPath>,
}

/// A condition on the path without the query.
#[derive(
    Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationPath {
    /// How `value` is meant, as in HTTPRoute.
    #[serde(default)]
    pub r#type: AuthorizationPathType,
    /// Begins with `/`.
    pub value: String,
}

/// How a path is compared.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
pub enum AuthorizationPathType {
    /// The whole path.
    Exact,
    /// By path elements.
    #[default]
    PathPrefix,
}
