//! Building blocks: an object of only those fields that are set, and the small shared messages.

use heddle_proto::{
    Message, Name,
    envoy::{
        config::core::v3::{
            Address, CidrRange, DataSource, EnvoyInternalAddress, HeaderValueOption, Metadata,
            address::Address as AddressKind, data_source::Specifier,
            envoy_internal_address::AddressNameSpecifier, header_value_option::HeaderAppendAction,
            socket_address::PortSpecifier,
        },
        r#type::matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern},
    },
    google::protobuf::{Any, Duration, Struct, value::Kind},
    unpack,
};
use serde_json::{Map, Value, json};

/// An object under construction; what is empty is left out.
#[derive(Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A value, unless it says nothing.
    pub(super) fn put(mut self, name: &str, value: Value) -> Self {
        let empty = match &value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        if !empty {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    /// A value even if it is an empty message: that it is there says something.
    pub(super) fn keep(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    /// A text, unless it is empty (protobuf's default).
    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.put(
            name,
            if value.is_empty() {
                Value::Null
            } else {
                json!(value)
            },
        )
    }

    /// A number, unless it is 0.
    pub(super) fn number(self, name: &str, value: u32) -> Self {
        self.put(
            name,
            if value == 0 {
                Value::Null
            } else {
                json!(value)
            },
        )
    }

    /// A truth value, if true.
    pub(super) fn flag(self, name: &str, value: bool) -> Self {
        self.put(name, if value { json!(true) } else { Value::Null })
    }

    /// A list, unless it is empty.
    pub(super) fn list(self, name: &str, items: impl IntoIterator<Item = Value>) -> Self {
        self.put(name, Value::Array(items.into_iter().collect()))
    }

    /// The fields of another object.
    pub(super) fn join(mut self, other: Value) -> Self {
        if let Value::Object(fields) = other {
            self.0.extend(fields);
        }
        self
    }

    pub(super) fn value(self) -> Value {
        Value::Object(self.0)
    }
}

/// A list of texts.
pub(super) fn texts(items: &[String]) -> impl Iterator<Item = Value> {
    items.iter().map(|item| json!(item))
}

/// `10.0.0.1:80`, `[fd00::1]:80`.
pub(super) fn address(address: Option<&Address>) -> Value {
    let socket = match address.and_then(|a| a.address.as_ref()) {
        Some(AddressKind::SocketAddress(socket)) => socket,
        Some(AddressKind::EnvoyInternalAddress(internal)) => return internal_address(internal),
        _ => return Value::Null,
    };
    let port = match socket.port_specifier {
        Some(PortSpecifier::PortValue(port)) => port,
        _ => 0,
    };
    if socket.address.contains(':') {
        json!(format!("[{}]:{port}", socket.address))
    } else {
        json!(format!("{}:{port}", socket.address))
    }
}

fn internal_address(address: &EnvoyInternalAddress) -> Value {
    let listener = match &address.address_name_specifier {
        Some(AddressNameSpecifier::ServerListenerName(name)) => name,
        None => "",
    };
    Fields::new()
        .text("server_listener_name", listener)
        .text("endpoint_id", &address.endpoint_id)
        .value()
}

/// A text in it, by the names of its fields; metadata of ours has no other.
pub(super) fn metadata(metadata: Option<&Metadata>) -> Value {
    let entries = metadata.iter().flat_map(|told| &told.filter_metadata);
    let shown = entries.map(|(key, fields)| (key.clone(), structure(fields)));
    Value::Object(shown.collect())
}

/// One level of texts.
pub(super) fn structure(fields: &Struct) -> Value {
    let texts = fields.fields.iter().map(|(key, value)| {
        let text = match &value.kind {
            Some(Kind::StringValue(text)) => json!(text),
            _ => json!("?"),
        };
        (key.clone(), text)
    });
    Value::Object(texts.collect())
}

/// `10.0.0.0/8`.
pub(super) fn cidr(range: &CidrRange) -> Value {
    let length = range.prefix_len.as_ref().map_or(0, |length| length.value);
    json!(format!("{}/{length}", range.address_prefix))
}

/// `1.5s`.
pub(super) fn duration(duration: Option<&Duration>) -> Value {
    let Some(duration) = duration else {
        return Value::Null;
    };
    if duration.nanos == 0 {
        return json!(format!("{}s", duration.seconds));
    }
    let fraction = format!("{:09}", duration.nanos);
    json!(format!(
        "{}.{}s",
        duration.seconds,
        fraction.trim_end_matches('0')
    ))
}

/// Inline text.
pub(super) fn data(source: Option<&DataSource>) -> Value {
    match source.and_then(|source| source.specifier.as_ref()) {
        Some(Specifier::InlineString(text)) => json!(text),
        _ => Value::Null,
    }
}

/// `{exact: GET}`.
pub(super) fn string(matcher: Option<&StringMatcher>) -> Value {
    match matcher.and_then(|matcher| matcher.match_pattern.as_ref()) {
        Some(MatchPattern::Exact(value)) => json!({ "exact": value }),
        Some(MatchPattern::Prefix(value)) => json!({ "prefix": value }),
        Some(MatchPattern::SafeRegex(expression)) => json!({ "safe_regex": regex(expression) }),
        _ => Value::Null,
    }
}

/// The expression.
pub(super) fn regex(matcher: &RegexMatcher) -> Value {
    json!(matcher.regex)
}

/// `{key, value, append_action}`.
pub(super) fn header_option(option: &HeaderValueOption) -> Value {
    let header = option.header.as_ref();
    let action = HeaderAppendAction::try_from(option.append_action)
        .map_or("?", |action| action.as_str_name());
    Fields::new()
        .keep("key", json!(header.map(|header| &header.key)))
        .keep("value", json!(header.map(|header| &header.value)))
        .text("append_action", action)
        .flag("keep_empty_value", option.keep_empty_value)
        .value()
}

/// A packed message, if it is an `M`.
pub(super) fn packed<M: Message + Name + Default>(
    any: &Any,
    show: impl FnOnce(&M) -> Value,
) -> Option<Value> {
    let message = unpack::<M>(any).ok()?;
    Some(
        Fields::new()
            .text("@type", &M::full_name())
            .join(show(&message))
            .value(),
    )
}
