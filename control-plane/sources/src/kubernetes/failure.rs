//! Why a kind cannot be watched, in words that say what to do.

use std::time::Duration;

use heddle_resources::Kind;
use kube::{Client, Resource, runtime::watcher};
use tokio::time::timeout;

/// How long it may take to find out what the server does serve.
const DISCOVERY: Duration = Duration::from_secs(5);

/// Why a kind cannot be watched at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server does not know the kind in the version that is read. It may know these.
    Unknown { served: Vec<String> },
    /// The control plane may not: `httproutes` in the group, and what the server says.
    Forbidden {
        plural: String,
        group: String,
        message: String,
    },
    /// Something else.
    Other(String),
}

impl Failure {
    /// What lies behind an error; asks the server what it serves if it does not know the kind.
    pub(super) async fn of<K>(kind: Kind, client: &Client, error: &watcher::Error) -> Self
    where
        K: Resource<DynamicType = ()>,
    {
        match status(error) {
            Some(404) => Self::Unknown {
                // Only for the words: what cannot be found out is left out.
                served: match timeout(DISCOVERY, served::<K>(kind, client)).await {
                    Ok(Ok(served)) => served,
                    _ => Vec::new(),
                },
            },
            Some(403) => Self::Forbidden {
                plural: K::plural(&()).into_owned(),
                group: K::group(&()).into_owned(),
                message: message(error),
            },
            _ => Self::Other(message(error)),
        }
    }

    /// For people. `known`: whether the kind could be listed before.
    pub(super) fn words(&self, kind: Kind, known: bool) -> String {
        let name = kind.as_str();
        let stays = match known {
            true => "what was known stays in effect",
            false => "nothing is served before it can be listed",
        };
        match self {
            Self::Unknown { served } => {
                let version = kind.api_version();
                let what = match served.as_slice() {
                    [] => format!("the server does not know {name} ({version}): there are none"),
                    served => {
                        let served = served.join(", ");
                        format!(
                            "the server knows {name} in {served} only, not in {version}: none is read"
                        )
                    }
                };
                format!(
                    "{what}; {}",
                    remedy(kind).unwrap_or("it is looked for every few seconds")
                )
            }
            Self::Forbidden {
                plural,
                group,
                message,
            } => {
                let group = match group.as_str() {
                    "" => "the core group".to_owned(),
                    group => format!("the group {group}"),
                };
                format!(
                    "cannot watch {name}: {message}; let the control plane's ClusterRole list and watch {plural} of {group}; {stays}"
                )
            }
            Self::Other(message) => format!("cannot watch {name}: {message}; {stays}"),
        }
    }
}

/// Where a kind comes from that a server need not have.
fn remedy(kind: Kind) -> Option<&'static str> {
    match kind.api_version() {
        "heddle.dev/v1alpha1" => {
            Some("install Heddle's CRDs (chart heddle-crds), they are looked for every few seconds")
        }
        version if version.starts_with("gateway.networking.k8s.io/") => Some(
            "install the CRDs of the Gateway API (chart heddle-crds), they are looked for every few seconds",
        ),
        _ => None,
    }
}

/// The versions in which the server serves a kind.
async fn served<K>(kind: Kind, client: &Client) -> kube::Result<Vec<String>>
where
    K: Resource<DynamicType = ()>,
{
    let group = K::group(&());
    let groups = client.list_api_groups().await?.groups;
    let versions = groups.into_iter().filter(|one| one.name == group);
    let mut served = Vec::new();
    for version in versions.flat_map(|group| group.versions) {
        let resources = client.list_api_group_resources(&version.group_version);
        let mut resources = resources.await?.resources.into_iter();
        // Subresources (`httproutes/status`) are of the same kind.
        if resources.any(|one| one.kind == kind.as_str() && !one.name.contains('/')) {
            served.push(version.version);
        }
    }
    Ok(served)
}

/// What the server said, or what kept it from saying something.
fn message(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.message.clone(),
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => {
            format!("the API server cannot be reached ({error})")
        }
        other => other.to_string(),
    }
}

/// The HTTP status that the server answered with.
pub(super) fn status(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match error {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        },
        watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::NoResourceVersion => None,
    }
}
