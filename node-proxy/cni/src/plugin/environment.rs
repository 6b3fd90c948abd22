//! What the runtime says in environment variables (section "Parameters" of the specification).

use std::{net::IpAddr, path::PathBuf};

use super::Failure;
use crate::protocol::Attachment;

/// The variables, as they are.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `CNI_COMMAND`.
    pub command: Option<String>,
    /// `CNI_CONTAINERID`.
    pub container: Option<String>,
    /// `CNI_NETNS`.
    pub netns: Option<String>,
    /// `CNI_ARGS`.
    pub arguments: Option<String>,
}

/// What the runtime wants.
pub(super) enum Command {
    Add(Attached),
    Check(Attached),
    Del { container: String },
    Gc,
    Status,
    Version,
}

/// A sandbox, and which pod it belongs to.
pub(super) struct Attached {
    container: String,
    netns: PathBuf,
    /// Namespace, name and uid; `None`: no pod.
    pod: Option<(String, String, Option<String>)>,
}

impl Attached {
    /// What the node proxy is told, if a pod is meant at all.
    pub(super) fn of_a_pod(self, addresses: Vec<IpAddr>) -> Option<Attachment> {
        let (namespace, pod, uid) = self.pod?;
        Some(Attachment {
            namespace,
            pod,
            uid,
            container: self.container,
            netns: self.netns,
            addresses,
        })
    }
}

impl Environment {
    /// The variables of this process.
    pub fn of_this_process() -> Self {
        let read = |name| std::env::var(name).ok();
        Self {
            command: read("CNI_COMMAND"),
            container: read("CNI_CONTAINERID"),
            netns: read("CNI_NETNS"),
            arguments: read("CNI_ARGS"),
        }
    }

    pub(super) fn command(&self) -> Result<Command, Failure> {
        match required("CNI_COMMAND", self.command.as_ref())? {
            "ADD" => Ok(Command::Add(self.attached()?)),
            "CHECK" => Ok(Command::Check(self.attached()?)),
            "DEL" => Ok(Command::Del {
                container: self.container()?,
            }),
            "GC" => Ok(Command::Gc),
            "STATUS" => Ok(Command::Status),
            "VERSION" => Ok(Command::Version),
            other => Err(Failure::environment(format!(
                "CNI_COMMAND {other:?} is not known"
            ))),
        }
    }

    fn container(&self) -> Result<String, Failure> {
        required("CNI_CONTAINERID", self.container.as_ref()).map(str::to_owned)
    }

    fn attached(&self) -> Result<Attached, Failure> {
        Ok(Attached {
            container: self.container()?,
            netns: required("CNI_NETNS", self.netns.as_ref())?.into(),
            pod: self.pod(),
        })
    }

    /// Kubernetes' runtimes name the pod in `CNI_ARGS`: `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart;K8S_POD_UID=...`.
    fn pod(&self) -> Option<(String, String, Option<String>)> {
        let arguments = self.arguments.as_deref().unwrap_or_default();
        let value = |name: &str| {
            let mut pairs = arguments.split(';').filter_map(|pair| pair.split_once('='));
            let (_, value) = pairs.find(|(key, value)| *key == name && !value.is_empty())?;
            Some(value.to_owned())
        };
        Some((
            value("K8S_POD_NAMESPACE")?,
            value("K8S_POD_NAME")?,
            value("K8S_POD_UID"),
        ))
    }
}

fn required<'a>(name: &str, value: Option<&'a String>) -> Result<&'a str, Failure> {
    match value {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(Failure::environment(format!("{name} is missing"))),
    }
}
