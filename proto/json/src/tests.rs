use heddle_proto::{
    Message as _,
    envoy::{
        config::{core::v3 as core, listener::v3::Listener},
        extensions::transport_sockets::tls::v3 as tls,
    },
    google::protobuf::Duration,
    heddle::v1::{ListenerScope, listener_scope::Kind},
    pack, type_url,
};
use serde_json::json;

use super::*;

#[test]
fn a_message_has_canonical_names_and_messages_within_have_their_type() {
    let scope = ListenerScope {
        kind: Some(Kind::Gateway(Default::default())),
    };
    let listener = Listener {
        name: "gateway/shop/web/http".to_owned(),
        listener_filters_timeout: Some(Duration {
            seconds: 1,
            nanos: 500_000_000,
        }),
        metadata: Some(core::Metadata {
            typed_filter_metadata: [("dev.heddle.listener".to_owned(), pack(&scope))].into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let shown = any(type_url::LISTENER, &listener.encode_to_vec()).unwrap();
    let expected = json!({
        "@type": type_url::LISTENER,
        "name": "gateway/shop/web/http",
        "metadata": {"typedFilterMetadata": {"dev.heddle.listener": {
            "@type": "type.googleapis.com/heddle.v1.ListenerScope", "gateway": {},
        }}},
        "listenerFiltersTimeout": "1.500s",
    });
    assert_eq!(shown, expected);
}

#[test]
fn the_same_content_is_the_same_text_each_time() {
    let name = "google.protobuf.Struct";
    let fields = ["z", "name", "a", "m"].map(|key| (key.to_owned(), json!(1)));
    let json = Value::Object(fields.into_iter().collect());
    let bytes = bytes(name, &json).unwrap();
    for _ in 0..20 {
        let text = message(name, &bytes).unwrap().to_string();
        assert_eq!(text, r#"{"name":1.0,"a":1.0,"m":1.0,"z":1.0}"#);
    }
}

#[test]
fn what_is_written_as_json_reads_back_as_the_same_bytes() {
    let name = "envoy.config.core.v3.Locality";
    let locality = core::Locality {
        zone: "a".to_owned(),
        ..Default::default()
    };
    let json = message(name, &locality.encode_to_vec()).unwrap();
    assert_eq!(json, json!({"zone": "a"}));
    assert_eq!(bytes(name, &json).unwrap(), locality.encode_to_vec());
    assert!(bytes(name, &json!({"zones": "a"})).is_err());
}

#[test]
fn every_type_of_our_streams_is_known() {
    for type_url in type_url::PUSH_ORDER {
        assert!(any(type_url, &[]).is_ok(), "{type_url}");
    }
}

#[test]
fn keys_are_taken_out_and_certificates_stay() {
    let data = |text: &str| {
        Some(core::DataSource {
            specifier: Some(core::data_source::Specifier::InlineString(text.to_owned())),
            ..Default::default()
        })
    };
    let secret = tls::Secret {
        name: "web".to_owned(),
        r#type: Some(tls::secret::Type::TlsCertificate(tls::TlsCertificate {
            certificate_chain: data("public"),
            private_key: data("hush"),
            ..Default::default()
        })),
    };
    let mut shown = json!([any(type_url::SECRET, &secret.encode_to_vec()).unwrap()]);
    redact(&mut shown);
    let text = shown.to_string();
    assert!(text.contains("public") && !text.contains("hush"), "{text}");
    assert_eq!(shown[0]["tlsCertificate"]["privateKey"], REDACTED);
}

#[test]
fn bytes_of_another_type_or_of_none_are_an_error_that_names_it() {
    let error = any("type.googleapis.com/nobody.v1.Knows", &[]).unwrap_err();
    assert!(error.to_string().contains("nobody.v1.Knows"), "{error}");
    let error = any(type_url::LISTENER, &[0xff]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("envoy.config.listener.v3.Listener: "),
        "{error}"
    );
}
