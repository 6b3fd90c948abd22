//! The plugin's entry in the network configuration, as the runtime hands it in on stdin.

use std::{fs, net::IpAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Code, Failure, NEWEST, VERSIONS};
use crate::protocol::{OUTSIDE, Outside, SOCKET};

/// What may be set in the entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Where the node proxy listens.
    pub socket: PathBuf,
    /// How long a pod may wait for its capture, in seconds; then the runtime is told to try again.
    pub time_limit_seconds: u64,
    /// What becomes of a pod if the node proxy cannot be reached within the limit.
    pub when_unreachable: Unreachable,
    /// Namespaces of which a node, or the mesh itself, needs the pods. They wait briefly, and pass if the node proxy cannot be
    /// reached or nothing is known of the pod. Those that are known to be in the mesh wait as all others.
    pub host_critical_namespaces: Vec<String>,
}

/// What becomes of a pod if the node proxy cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unreachable {
    /// An error: the kubelet tries again.
    Fail,
    /// It starts, and is captured when the node proxy is there.
    Pass,
    /// It starts if its namespace was outside of the mesh when that was last known (docs/decisions/0009); else it is an error.
    Known,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            socket: SOCKET.into(),
            time_limit_seconds: 20,
            when_unreachable: Unreachable::Fail,
            host_critical_namespaces: vec!["kube-system".to_owned(), "heddle-system".to_owned()],
        }
    }
}

impl Settings {
    pub(super) fn limit(&self) -> Duration {
        Duration::from_secs(self.time_limit_seconds)
    }

    pub(super) fn is_host_critical(&self, namespace: &str) -> bool {
        let mut namespaces = self.host_critical_namespaces.iter();
        namespaces.any(|critical| critical == namespace)
    }

    /// Whether a pod of this namespace starts without an answer.
    pub(super) fn passes(&self, namespace: &str) -> bool {
        let by_policy = match self.when_unreachable {
            Unreachable::Fail => false,
            Unreachable::Pass => true,
            Unreachable::Known => self.is_known_outside(namespace),
        };
        by_policy || self.is_host_critical(namespace)
    }

    /// Whether the namespace was outside of the mesh when that was last known, and that counts. What cannot be read says nothing.
    pub(super) fn is_known_outside(&self, namespace: &str) -> bool {
        if self.when_unreachable != Unreachable::Known {
            return false;
        }
        let text = fs::read(self.socket.with_file_name(OUTSIDE)).unwrap_or_default();
        let known = serde_json::from_slice::<Outside>(&text).unwrap_or_default();
        known.namespaces.contains(namespace)
    }
}

/// The whole input.
#[derive(Debug, Deserialize)]
pub(super) struct Config<'a> {
    #[serde(flatten)]
    pub(super) settings: Settings,
    #[serde(skip)]
    previous: Option<&'a RawValue>,
    #[serde(rename = "cni.dev/valid-attachments")]
    valid: Option<Vec<ValidAttachment>>,
}

/// Apart from [`Config`]: text cannot be kept as it is beside flattened fields.
#[derive(Deserialize)]
struct Verbatim<'a> {
    #[serde(rename = "prevResult", borrow, default)]
    previous: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct ValidAttachment {
    #[serde(rename = "containerID")]
    container: String,
}

#[derive(Deserialize)]
struct PreviousResult {
    #[serde(default)]
    ips: Vec<PreviousAddress>,
}

#[derive(Deserialize)]
struct PreviousAddress {
    /// With a prefix length.
    address: String,
}

/// `cniVersion` of an input, as far as one can be made out.
pub(super) fn version(input: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(rename = "cniVersion")]
        version: String,
    }
    let parsed: Versioned = serde_json::from_slice(input).ok()?;
    Some(parsed.version)
}

impl<'a> Config<'a> {
    pub(super) fn parse(input: &'a [u8]) -> Result<Self, Failure> {
        let undecodable = |error| {
            Failure::new(
                Code::Undecodable,
                "the configuration is no valid JSON",
                error,
            )
        };
        let _: &RawValue = serde_json::from_slice(input).map_err(undecodable)?;
        let version = version(input);
        let version = version.ok_or_else(|| Failure::configuration("cniVersion is missing"))?;
        if !VERSIONS.contains(&version.as_str()) {
            let why = format!(
                "{version} is asked for; {} to {NEWEST} are spoken",
                VERSIONS[0]
            );
            return Err(Failure::new(
                Code::IncompatibleVersion,
                "incompatible version",
                why,
            ));
        }
        let mut config: Config<'a> =
            serde_json::from_slice(input).map_err(Failure::configuration)?;
        let verbatim: Verbatim<'a> =
            serde_json::from_slice(input).map_err(Failure::configuration)?;
        config.previous = verbatim.previous;
        Ok(config)
    }

    /// The result of the plugins before, as it came.
    pub(super) fn previous_result(&self) -> Result<&'a str, Failure> {
        let missing = "prevResult is missing: heddle-cni must come after another plugin";
        self.previous
            .map(RawValue::get)
            .ok_or_else(|| Failure::configuration(missing))
    }

    /// The addresses in it.
    pub(super) fn addresses(&self) -> Result<Vec<IpAddr>, Failure> {
        let result: PreviousResult = serde_json::from_str(self.previous_result()?)
            .map_err(|error| Failure::configuration(format!("prevResult: {error}")))?;
        let parse = |given: PreviousAddress| {
            let text = given.address;
            let (address, _) = text.split_once('/').unwrap_or((&text, ""));
            address.parse().map_err(|_| {
                Failure::configuration(format!("prevResult.ips: {text:?} is no address"))
            })
        };
        result.ips.into_iter().map(parse).collect()
    }

    /// The sandboxes that are still there, for GC.
    pub(super) fn valid_containers(&self) -> Result<Vec<String>, Failure> {
        let valid = self.valid.as_ref();
        let valid =
            valid.ok_or_else(|| Failure::configuration("cni.dev/valid-attachments is missing"))?;
        Ok(valid.iter().map(|one| one.container.clone()).collect())
    }
}
