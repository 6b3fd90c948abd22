//! The listener filter that tells HTTP from other bytes.

use heddle_proto::{
    envoy::{
        config::listener::v3::{ListenerFilter, listener_filter::ConfigType},
        extensions::filters::listener::http_inspector::v3::HttpInspector,
    },
    pack,
};

/// Looks at the first bytes, so that a filter chain can be chosen by `application_protocols`.
pub(crate) fn http_inspector() -> ListenerFilter {
    ListenerFilter {
        name: "envoy.filters.listener.http_inspector".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(&HttpInspector::default()))),
        ..ListenerFilter::default()
    }
}
