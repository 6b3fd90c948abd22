//! What to say to a query: pure.

use std::{net::IpAddr, sync::Arc};

use heddle_config::ProxyConfig;
use hickory_proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{DNSClass, Name, Record, RecordType},
};

use crate::{
    Zone, message,
    records::{self, Holds},
    zone::Place,
};

/// How many aliases of ours are followed before we call it a loop.
const MAX_ALIASES: usize = 8;

/// What to do with a query.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Send this.
    Local(Message),
    /// Ask the cluster's resolver for `target` (same type) and put its answers behind those of `message`.
    Alias {
        /// The answer so far: the alias.
        message: Message,
        /// The name it leads to, without the final dot.
        target: Arc<str>,
    },
    /// Pass the query on as it is.
    Forward,
}

/// Decides on a query by the Kubernetes DNS specification, schema 1.1.0. Never fails: what is not ours is forwarded.
pub fn answer(query: &Message, config: &ProxyConfig, zone: &Zone) -> Outcome {
    if query.metadata.message_type != MessageType::Query {
        return Outcome::Local(message::error(query, ResponseCode::FormErr));
    }
    let [question] = query.queries.as_slice() else {
        return Outcome::Local(message::error(query, ResponseCode::FormErr));
    };
    if query.metadata.op_code != OpCode::Query || question.query_class() != DNSClass::IN {
        return Outcome::Forward;
    }
    let (name, kind) = (question.name(), question.query_type());
    let text = lower_case(name);
    match zone.place(&text) {
        // Before the first configuration nothing is known, which is not the same as knowing that a name does not exist.
        place if place != Place::Elsewhere && config.dns.is_empty() => Outcome::Forward,
        Place::Elsewhere => reverse(query, config, name, kind).unwrap_or(Outcome::Forward),
        Place::Other => Outcome::Forward,
        Place::Apex => nothing(query, zone),
        Place::Version => version(query, zone, name, kind),
        Place::Namespace => namespace(query, config, zone, &text),
        Place::Below => below(query, config, zone, name, kind, &text),
    }
}

fn lower_case(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

fn nothing(query: &Message, zone: &Zone) -> Outcome {
    Outcome::Local(message::negative(query, zone, ResponseCode::NoError))
}

fn no_such_name(query: &Message, zone: &Zone) -> Outcome {
    Outcome::Local(message::negative(query, zone, ResponseCode::NXDomain))
}

fn with(query: &Message, zone: &Zone, records: Vec<Record>) -> Outcome {
    if records.is_empty() {
        return nothing(query, zone);
    }
    let mut response = message::response_to(query);
    response.add_answers(records);
    Outcome::Local(response)
}

/// Section 2.2: the schema's version.
fn version(query: &Message, zone: &Zone, name: &Name, kind: RecordType) -> Outcome {
    match kind {
        RecordType::TXT | RecordType::ANY => {
            with(query, zone, vec![message::txt_record(name, "1.1.0")])
        }
        _ => nothing(query, zone),
    }
}

/// A namespace has no address, but exists if a Service of it does.
fn namespace(query: &Message, config: &ProxyConfig, zone: &Zone, text: &str) -> Outcome {
    let below = |known: &str| {
        let rest = known.strip_suffix(text);
        rest.is_some_and(|rest| rest.ends_with('.'))
    };
    if config.dns.keys().any(|known| below(known)) {
        nothing(query, zone)
    } else {
        no_such_name(query, zone)
    }
}

fn below(
    query: &Message,
    config: &ProxyConfig,
    zone: &Zone,
    name: &Name,
    kind: RecordType,
    text: &str,
) -> Outcome {
    match records::find(config, text) {
        None => no_such_name(query, zone),
        Some(Holds::Nothing) => nothing(query, zone),
        Some(Holds::Addresses(mut addresses)) => {
            // Many clients take the first. Ids are random, so each endpoint of a headless Service gets its turn.
            let turn = usize::from(query.metadata.id) % addresses.len().max(1);
            addresses.rotate_left(turn);
            with(
                query,
                zone,
                message::address_records(name, kind, &addresses),
            )
        }
        Some(Holds::Targets(targets)) => services(query, zone, name, kind, &targets),
        Some(Holds::Alias(target)) => alias(query, config, zone, name, kind, &target),
    }
}

/// Sections 2.3.2 and 2.4.2.
fn services(
    query: &Message,
    zone: &Zone,
    name: &Name,
    kind: RecordType,
    targets: &[(String, u16)],
) -> Outcome {
    if !matches!(kind, RecordType::SRV | RecordType::ANY) {
        return nothing(query, zone);
    }
    let records = targets.iter();
    let records =
        records.filter_map(|(target, port)| message::srv_record(name, target, *port).ok());
    with(query, zone, records.collect())
}

/// Section 2.5. Aliases of ours are followed here; a name outside is left to the resolver.
fn alias(
    query: &Message,
    config: &ProxyConfig,
    zone: &Zone,
    name: &Name,
    kind: RecordType,
    target: &Arc<str>,
) -> Outcome {
    let mut response = message::response_to(query);
    let (mut owner, mut target) = (name.clone(), Arc::clone(target));
    for _ in 0..MAX_ALIASES {
        let (Ok(record), Ok(next)) = (
            message::cname_record(&owner, &target),
            Name::from_ascii(format!("{target}.")),
        ) else {
            return Outcome::Local(message::error(query, ResponseCode::ServFail));
        };
        response.add_answer(record);
        if kind == RecordType::CNAME {
            return Outcome::Local(response);
        }
        if !matches!(zone.place(&target), Place::Below) {
            return Outcome::Alias {
                message: response,
                target,
            };
        }
        match records::find(config, &target) {
            Some(Holds::Alias(further)) => (owner, target) = (next, further),
            Some(Holds::Addresses(addresses)) => {
                response.add_answers(message::address_records(&next, kind, &addresses));
                return Outcome::Local(response);
            }
            _ => return Outcome::Local(response),
        }
    }
    Outcome::Local(message::error(query, ResponseCode::ServFail))
}

/// Sections 2.3.3 and 2.4.3: only for addresses that we know; the rest may be known elsewhere.
fn reverse(
    query: &Message,
    config: &ProxyConfig,
    name: &Name,
    kind: RecordType,
) -> Option<Outcome> {
    if kind != RecordType::PTR {
        return None;
    }
    let network = name.parse_arpa_name().ok()?;
    if network.prefix_len() != network.max_prefix_len() {
        return None;
    }
    let address: IpAddr = network.addr();
    let target = records::name_of(config, address)?;
    let mut response = message::response_to(query);
    response.add_answer(message::ptr_record(name, &target).ok()?);
    Some(Outcome::Local(response))
}
