//! Labels of the metrics.

use std::{
    fmt::Write as _,
    hash::{Hash, Hasher},
    sync::Arc,
};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::{Direction, ResponseFlag};

/// A label's value that is shared, not copied. `unknown` where nothing is known, as Istio writes it.
#[derive(Clone, Debug, Default, Eq)]
pub struct Label(Option<Arc<str>>);

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            // Most often it is the very same text.
            (Some(one), Some(other)) if Arc::ptr_eq(one, other) => true,
            (None, None) => true,
            _ => self.as_str() == other.as_str(),
        }
    }
}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Label {
    /// The value; empty becomes `unknown`.
    pub fn new(value: &Arc<str>) -> Self {
        Self((!value.is_empty()).then(|| Arc::clone(value)))
    }

    /// The value.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("unknown")
    }
}

impl From<&str> for Label {
    fn from(value: &str) -> Self {
        Self((!value.is_empty()).then(|| value.into()))
    }
}

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        encoder.write_str(self.as_str())
    }
}

impl EncodeLabelValue for Direction {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        encoder.write_str(self.as_str())
    }
}

/// The label `flag`: a [`ResponseFlag`]'s short name, or `-` when all went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flag(pub(crate) Option<ResponseFlag>);

impl EncodeLabelValue for Flag {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        encoder.write_str(self.0.map_or("-", ResponseFlag::short))
    }
}

/// What is told apart about TCP connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpLabels {
    /// Where it was taken.
    pub direction: Direction,
    /// It was, or would have been, carried by mutual TLS.
    pub mtls: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DirectionSeries {
    pub(crate) direction: Direction,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct TcpSeries {
    pub(crate) direction: Direction,
    pub(crate) mtls: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct TcpEndSeries {
    pub(crate) direction: Direction,
    pub(crate) mtls: bool,
    pub(crate) flag: Flag,
}

/// What is told apart about HTTP requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestLabels {
    /// Where it was taken; told as `reporter="source"` (sent by a pod of this node, or taken by a Gateway) or
    /// `reporter="destination"` (received by one).
    pub direction: Direction,
    /// The client pod's owner (its Deployment and so on).
    pub source_workload: Label,
    /// The client pod's namespace.
    pub source_namespace: Label,
    /// The Service asked for, by the name of its cluster: `shop/cart:80`.
    pub destination_service: Label,
    /// The owner of the pod that answered.
    pub destination_workload: Label,
    /// Its namespace.
    pub destination_namespace: Label,
    /// The route that was taken.
    pub route: Label,
    /// Status of the answer that the client got.
    pub code: u16,
    /// Why it went wrong.
    pub flag: Option<ResponseFlag>,
    /// It was carried by mutual TLS.
    pub mtls: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestSeries {
    pub(crate) reporter: &'static str,
    pub(crate) source_workload: Label,
    pub(crate) source_namespace: Label,
    pub(crate) destination_service: Label,
    pub(crate) destination_workload: Label,
    pub(crate) destination_namespace: Label,
    pub(crate) route: Label,
    pub(crate) code: u16,
    pub(crate) flag: Flag,
    pub(crate) mtls: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DurationSeries {
    pub(crate) reporter: &'static str,
    pub(crate) source_namespace: Label,
    pub(crate) source_workload: Label,
    pub(crate) destination_service: Label,
    pub(crate) destination_namespace: Label,
    pub(crate) destination_workload: Label,
    pub(crate) route: Label,
}

impl From<&RequestLabels> for RequestSeries {
    fn from(labels: &RequestLabels) -> Self {
        let RequestLabels {
            direction,
            source_workload,
            source_namespace,
            destination_service,
            destination_workload,
            destination_namespace,
            route,
            code,
            flag,
            mtls,
        } = labels.clone();
        Self {
            reporter: direction.reporter(),
            source_workload,
            source_namespace,
            destination_service,
            destination_workload,
            destination_namespace,
            route,
            code,
            flag: Flag(flag),
            mtls,
        }
    }
}

impl From<&RequestLabels> for DurationSeries {
    fn from(labels: &RequestLabels) -> Self {
        let labels = labels.clone();
        Self {
            reporter: labels.direction.reporter(),
            source_namespace: labels.source_namespace,
            source_workload: labels.source_workload,
            destination_service: labels.destination_service,
            destination_namespace: labels.destination_namespace,
            destination_workload: labels.destination_workload,
            route: labels.route,
        }
    }
}

/// What is told apart about refusals by a policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DenialLabels {
    /// The deciding object: `NetworkPolicy shop/cart`.
    pub policy: Label,
    /// In which direction of the pod's traffic.
    pub direction: Direction,
}
