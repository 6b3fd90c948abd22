//! Statuses as values: what a leader may write back to the API server.
//!
//! There are no times here. Whoever writes a status sets `lastTransitionTime`, and leaves the entries of other controllers alone.

use std::{collections::BTreeMap, sync::Arc};

use heddle_model::{GatewayKey, ObjectKey};

/// The statuses of all objects that are ours. A route without an entry has no parent of ours (any more).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Statuses {
    /// HTTPRoutes that name a parent of ours.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub http_routes: BTreeMap<ObjectKey, Arc<RouteStatus>>,
    /// GRPCRoutes that name a parent of ours.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub grpc_routes: BTreeMap<ObjectKey, Arc<RouteStatus>>,
    /// Gateways of our classes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub gateways: BTreeMap<GatewayKey, Arc<GatewayStatus>>,
    /// Our classes, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub gateway_classes: BTreeMap<Arc<str>, Arc<GatewayClassStatus>>,
}

/// status of an HTTPRoute or GRPCRoute: our entries of `parents`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RouteStatus {
    /// One for each parentRef that is ours, in the order of the spec.
    pub parents: Vec<ParentStatus>,
}

/// One entry of `status.parents`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// The parentRef exactly as it is written in the spec.
    pub parent_ref: ParentRef,
    /// `Accepted`, `ResolvedRefs` and, where it applies, `PartiallyInvalid`; while a client refuses what was made of it, `Programmed`.
    pub conditions: Vec<Condition>,
}

/// A reference to a Gateway or a Service, as it is written: what is absent there is absent here.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// API group; absent: the Gateway API's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind; absent: Gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Namespace; absent: the route's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Name of a listener or of a Service port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// Number of a listener's or of a Service's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// One condition, without its time.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is stated.
    pub r#type: ConditionType,
    /// `True` or `False`.
    #[serde(serialize_with = "as_word")]
    pub status: bool,
    /// One word, from the Gateway API where it has one.
    pub reason: &'static str,
    /// For people; empty where there is nothing to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// metadata.generation of the object that this speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn as_word<S: serde::Serializer>(status: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if *status { "True" } else { "False" })
}

/// The conditions that we state. The names are the Gateway API's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[allow(missing_docs, reason = "the names are the conditions")]
pub enum ConditionType {
    Accepted,
    Programmed,
    ResolvedRefs,
    PartiallyInvalid,
    Conflicted,
    SupportedVersion,
}

impl ConditionType {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Programmed => "Programmed",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::PartiallyInvalid => "PartiallyInvalid",
            Self::Conflicted => "Conflicted",
            Self::SupportedVersion => "SupportedVersion",
        }
    }
}

/// status of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct GatewayStatus {
    /// Where it can be reached: IP addresses.
    pub addresses: Vec<std::net::IpAddr>,
    /// `Accepted` and `Programmed`.
    pub conditions: Vec<Condition>,
    /// One for each listener, in the order of the spec.
    pub listeners: Vec<ListenerStatus>,
}

/// status of one listener.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// spec.listeners[].name.
    pub name: String,
    /// Kinds of routes (all of the Gateway API's group) that may attach to it.
    pub supported_kinds: Vec<&'static str>,
    /// How many routes it selects and is selected by, whether they are in order or not.
    pub attached_routes: usize,
    /// `Accepted`, `Programmed`, `ResolvedRefs` and `Conflicted`.
    pub conditions: Vec<Condition>,
}

/// status of a GatewayClass.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassStatus {
    /// `Accepted` and, where the CRDs could be looked at, `SupportedVersion`.
    pub conditions: Vec<Condition>,
    /// Names of features, sorted (GEP-2162).
    pub supported_features: Vec<&'static str>,
}

/// Makes conditions for one object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    pub(crate) generation: Option<i64>,
}

impl Conditions {
    pub(crate) fn yes(self, r#type: ConditionType, reason: &'static str) -> Condition {
        self.state(r#type, true, reason, String::new())
    }

    pub(crate) fn no(
        self,
        r#type: ConditionType,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Condition {
        self.state(r#type, false, reason, message.into())
    }

    pub(crate) fn state(
        self,
        r#type: ConditionType,
        status: bool,
        reason: &'static str,
        message: String,
    ) -> Condition {
        Condition {
            r#type,
            status,
            reason,
            message,
            observed_generation: self.generation,
        }
    }
}
