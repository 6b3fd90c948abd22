//! One stream, as the control plane tells of it.

use heddle_proto::{
    envoy::{
        config::core::v3::{Node, node::UserAgentVersionType},
        service::status::v3::{ClientConfig, ConfigStatus, client_config::GenericXdsConfig},
    },
    google::protobuf::{Any, Struct, Value, value::Kind},
    names,
};

/// A client of the control plane.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    /// What it calls itself.
    pub(super) name: String,
    /// Its role: `node`, `gateway`, `client`, `grpc`.
    pub(super) role: String,
    /// Whose token or certificate it has.
    pub(super) identity: String,
    /// Program and version.
    pub(super) version: String,
    /// `delta` or `sotw`.
    pub(super) variant: String,
    /// Where it comes from.
    pub(super) peer: String,
    /// RFC 3339.
    pub(super) connected_since: String,
    /// Number of the stream at its control plane.
    pub(super) stream: u64,
    /// Age of the oldest response that it has not answered, in seconds.
    pub(super) unanswered: Option<f64>,
    /// When the first of its certificates runs out, RFC 3339; none: not known.
    pub(super) certificate_expires: Option<String>,
    /// By type URL.
    pub(super) types: Vec<TypeCount>,
    /// Its resources, as far as they were asked for.
    pub(super) resources: Vec<Held>,
}

/// How many resources of a type it should have, and has.
#[derive(Clone, Debug)]
pub(super) struct TypeCount {
    pub(super) type_url: String,
    pub(super) wanted: u64,
    pub(super) synced: u64,
}

/// One resource.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) type_url: String,
    pub(super) name: String,
    pub(super) state: State,
    /// What it should have.
    pub(super) wanted: Version,
    /// What it accepted last.
    pub(super) running: Version,
    /// Why they differ; for a refusal in the client's words.
    pub(super) details: String,
}

/// A version of a resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Version {
    /// Empty: there is none, or it is not known.
    pub(super) version: String,
    /// Absent: there is none, it was not asked for, or it is not known.
    pub(super) body: Option<Any>,
}

/// How far the client is with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Synced,
    NotSent,
    Unanswered,
    Refused,
    /// There is nothing of this name for it.
    Missing,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::NotSent => "not sent",
            Self::Unanswered => "not answered",
            Self::Refused => "REFUSED",
            Self::Missing => "missing",
        }
    }
}

impl From<ClientConfig> for Client {
    fn from(config: ClientConfig) -> Self {
        let node = config.node.unwrap_or_default();
        let metadata = node.metadata.as_ref();
        let summary = metadata.and_then(|metadata| structure(metadata, names::CLIENT_STATUS));
        let nothing = Struct::default();
        let summary = summary.unwrap_or(&nothing);
        let types = structure(summary, "types").unwrap_or(&nothing);
        let mut types: Vec<TypeCount> = types
            .fields
            .keys()
            .map(|type_url| {
                let counts = structure(types, type_url).unwrap_or(&nothing);
                TypeCount {
                    type_url: type_url.clone(),
                    wanted: whole(counts, "wanted"),
                    synced: whole(counts, "synced"),
                }
            })
            .collect();
        types.sort_by(|a, b| a.type_url.cmp(&b.type_url));
        Self {
            version: version(&node),
            role: text(summary, "role").unwrap_or_default(),
            identity: text(summary, "identity").unwrap_or_default(),
            variant: text(summary, "variant").unwrap_or_default(),
            peer: text(summary, "peer").unwrap_or_default(),
            connected_since: text(summary, "connected_since").unwrap_or_default(),
            stream: whole(summary, "stream"),
            unanswered: number(summary, "unanswered_seconds"),
            certificate_expires: text(summary, "certificate_expires"),
            types,
            resources: config
                .generic_xds_configs
                .into_iter()
                .map(Held::from)
                .collect(),
            name: node.id,
        }
    }
}

impl From<GenericXdsConfig> for Held {
    fn from(config: GenericXdsConfig) -> Self {
        let status = config.config_status();
        let running = Version {
            version: config.version_info,
            body: config.xds_config,
        };
        let (wanted, details) = match config.error_state {
            Some(error) => {
                let wanted = Version {
                    version: error.version_info,
                    body: error.failed_configuration,
                };
                (wanted, error.details)
            }
            None => (running.clone(), String::new()),
        };
        let state = match status {
            ConfigStatus::Synced if running.version.is_empty() => State::Missing,
            ConfigStatus::Synced => State::Synced,
            ConfigStatus::Stale => State::Unanswered,
            ConfigStatus::Error => State::Refused,
            ConfigStatus::NotSent | ConfigStatus::Unknown => State::NotSent,
        };
        Self {
            type_url: config.type_url,
            name: config.name,
            state,
            wanted,
            running,
            details,
        }
    }
}

fn version(node: &Node) -> String {
    let version = match &node.user_agent_version_type {
        Some(UserAgentVersionType::UserAgentVersion(version)) => version.clone(),
        Some(UserAgentVersionType::UserAgentBuildVersion(build)) => build
            .version
            .as_ref()
            .map(|version| {
                format!(
                    "{}.{}.{}",
                    version.major_number, version.minor_number, version.patch
                )
            })
            .unwrap_or_default(),
        None => String::new(),
    };
    format!("{} {version}", node.user_agent_name)
        .trim()
        .to_owned()
}

fn field<'a>(of: &'a Struct, name: &str) -> Option<&'a Kind> {
    let value: &Value = of.fields.get(name)?;
    value.kind.as_ref()
}

fn structure<'a>(of: &'a Struct, name: &str) -> Option<&'a Struct> {
    match field(of, name)? {
        Kind::StructValue(value) => Some(value),
        _ => None,
    }
}

fn text(of: &Struct, name: &str) -> Option<String> {
    match field(of, name)? {
        Kind::StringValue(value) => Some(value.clone()),
        _ => None,
    }
}

fn number(of: &Struct, name: &str) -> Option<f64> {
    match field(of, name)? {
        Kind::NumberValue(value) => Some(*value),
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float that is cast saturates, and these are counts"
)]
fn whole(of: &Struct, name: &str) -> u64 {
    number(of, name).unwrap_or_default() as u64
}
