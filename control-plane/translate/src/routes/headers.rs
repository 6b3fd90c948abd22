//! Changes to headers.

use heddle_model::HeaderMutation;
use heddle_proto::envoy::config::core::v3::{
    HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction,
};

/// Changes to the headers of a message, as Envoy has them: two lists. No order is lost, because the Gateway API allows
/// each name in one change only (HTTPHeaderFilter).
#[derive(Debug, Default)]
pub(super) struct HeaderChanges {
    pub(super) add: Vec<HeaderValueOption>,
    pub(super) remove: Vec<String>,
}

impl HeaderChanges {
    pub(super) fn of(mutations: &[HeaderMutation]) -> Self {
        let mut changes = Self::default();
        for mutation in mutations {
            match mutation {
                HeaderMutation::Set { name, value } => changes.add.push(option(
                    name,
                    value,
                    HeaderAppendAction::OverwriteIfExistsOrAdd,
                )),
                HeaderMutation::Add { name, value } => {
                    changes
                        .add
                        .push(option(name, value, HeaderAppendAction::AppendIfExistsOrAdd))
                }
                HeaderMutation::Remove { name } => changes.remove.push(name.to_string()),
            }
        }
        changes
    }
}

fn option(name: &str, value: &str, action: HeaderAppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: literal(value),
            ..HeaderValue::default()
        }),
        append_action: action.into(),
        // Envoy leaves a header out whose value is empty, unless told otherwise.
        keep_empty_value: value.is_empty(),
        ..HeaderValueOption::default()
    }
}

/// A header's value is a format string in Envoy (`%REQ(...)%`); the user's is a literal.
fn literal(value: &str) -> String {
    value.replace('%', "%%")
}
