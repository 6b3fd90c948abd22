//! One client in short: `node.metadata["dev.heddle.status"]`.

use std::{collections::BTreeMap, time::SystemTime};

use heddle_proto::{
    envoy::config::core::v3::Node,
    google::protobuf::{Struct, Value, value::Kind},
    names,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::name;
use crate::{
    ClientState,
    server::clients::Account,
    session::{Progress, Variant},
};

/// The node as it told of itself, with the summary: `stream`, `role`, `variant`, `identity` (whose token or certificate it has), `peer`,
/// `connected_since`, `unanswered_seconds` (of the oldest response; absent: all are answered), `certificate_expires` (RFC 3339; absent:
/// unknown), and for each type `types.<type URL>` = `{wanted, synced, responses, accepted, refused}`.
pub(super) fn node(client: &ClientState, account: &Account, expires: Option<SystemTime>) -> Node {
    let mut node = client.info.as_deref().cloned().unwrap_or_default();
    node.id = name(client).to_owned();
    let role = client.role.map(|role| format!("{role:?}").to_lowercase());
    let variant = match client.variant {
        Variant::StateOfTheWorld => "sotw",
        Variant::Delta => "delta",
    };
    let unanswered = account.unanswered_for;
    let fields = [
        #[expect(clippy::cast_precision_loss, reason = "no process has 2^52 streams")]
        ("stream", Some(number(client.stream as f64))),
        ("role", role.map(text)),
        ("variant", Some(text(variant.to_owned()))),
        ("identity", Some(text(client.node.to_string()))),
        ("peer", client.peer.map(|peer| text(peer.to_string()))),
        ("connected_since", rfc3339(client.connected_since)),
        (
            "unanswered_seconds",
            unanswered.map(|age| number(age.as_secs_f64())),
        ),
        ("certificate_expires", expires.and_then(rfc3339)),
        ("types", Some(types(client, account))),
    ];
    let present = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let metadata = node.metadata.get_or_insert_default();
    let status = structure(present);
    metadata
        .fields
        .insert(names::CLIENT_STATUS.to_owned(), status);
    node
}

fn types(client: &ClientState, account: &Account) -> Value {
    let mut counts: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for standing in &account.standings {
        let count = counts.entry(standing.type_url).or_default();
        // What is neither there nor meant to be is no resource.
        if standing.wanted.is_some() || standing.progress != Progress::Synced {
            count.0 += 1.0;
            count.1 += f64::from(u8::from(standing.progress == Progress::Synced));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "no stream has 2^52 responses")]
    let of_types = client.types.iter().map(|of_type| {
        let (wanted, synced) = counts.get(of_type.type_url).copied().unwrap_or_default();
        let counters = &of_type.counters;
        let fields = [
            ("wanted", wanted),
            ("synced", synced),
            ("responses", counters.responses as f64),
            ("accepted", counters.accepted as f64),
            ("refused", counters.refused as f64),
        ];
        let fields = fields.map(|(key, value)| (key.to_owned(), number(value)));
        (of_type.type_url.to_owned(), structure(fields))
    });
    structure(of_types)
}

fn structure(fields: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value {
        kind: Some(Kind::StructValue(Struct {
            fields: fields.into_iter().collect(),
        })),
    }
}

fn text(value: String) -> Value {
    Value {
        kind: Some(Kind::StringValue(value)),
    }
}

fn number(value: f64) -> Value {
    Value {
        kind: Some(Kind::NumberValue(value)),
    }
}

fn rfc3339(time: SystemTime) -> Option<Value> {
    let time = OffsetDateTime::from(time).replace_nanosecond(0).ok()?;
    Some(text(time.format(&Rfc3339).ok()?))
}
