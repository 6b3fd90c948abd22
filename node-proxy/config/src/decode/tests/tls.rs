//! TLS contexts and secrets of other control planes.

use heddle_proto::{
    envoy::config::cluster::v3::cluster::DiscoveryType,
    envoy::extensions::transport_sockets::tls::v3::{
        CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, Secret as WireSecret,
        TlsCertificate, TlsParameters, UpstreamTlsContext,
        common_tls_context::ValidationContextType, secret, tls_parameters::TlsProtocol,
    },
    google::protobuf::BoolValue,
    pack,
};
use rustls::ProtocolVersion;

use super::refused;
use crate::{
    ClusterTls, ServerTls, UpstreamTls,
    decode::{DecodeError, Listener, Secret, listener, secret},
    testing::*,
};

const CONTEXT: &str = "filter_chains[0].transport_socket";

fn decode(context: &DownstreamTlsContext) -> Result<Listener, DecodeError> {
    let wire = with_tls(plain("web", 8443, tcp_proxy("a")), context);
    listener(&wire.name, &pack(&wire), &trust_domain())
}

fn tls(context: &DownstreamTlsContext) -> ServerTls {
    match decode(context).expect("valid") {
        Listener::Bound(bound, _) => (**bound.tls.as_ref().expect("TLS")).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bound_listener_may_speak_tls_with_a_certificate_by_sds() {
    let tls = tls(&server_context("web-cert"));
    assert_eq!(&*tls.certificate, "web-cert");
    assert_eq!(tls.alpn, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert_eq!(tls.versions.len(), 2);
}

#[test]
fn versions_of_tls_may_be_limited_but_not_to_nothing() {
    let limited = |least: TlsProtocol, most: TlsProtocol| {
        let mut context = server_context("web-cert");
        let common = context.common_tls_context.as_mut().unwrap();
        common.tls_params = Some(TlsParameters {
            tls_minimum_protocol_version: least.into(),
            tls_maximum_protocol_version: most.into(),
            ..TlsParameters::default()
        });
        context
    };
    let only = tls(&limited(TlsProtocol::TlSv13, TlsProtocol::TlsAuto));
    let versions: Vec<_> = only.versions.iter().map(|v| v.version).collect();
    assert_eq!(versions, [ProtocolVersion::TLSv1_3]);
    refused(
        decode(&limited(TlsProtocol::TlSv10, TlsProtocol::TlSv11)),
        &format!("{CONTEXT}.common_tls_context.tls_params"),
        "neither TLS 1.2 nor 1.3",
    );
}

#[test]
fn what_of_tls_is_not_understood_is_refused_with_its_field() {
    let with = |change: fn(&mut DownstreamTlsContext, &mut CommonTlsContext)| {
        let mut context = server_context("web-cert");
        let mut common = context.common_tls_context.take().unwrap();
        change(&mut context, &mut common);
        context.common_tls_context = Some(common);
        decode(&context)
    };
    refused(
        with(|context, _| context.require_client_certificate = Some(BoolValue { value: true })),
        &format!("{CONTEXT}.require_client_certificate"),
        "not understood",
    );
    let common = format!("{CONTEXT}.common_tls_context");
    refused(
        with(|_, common| {
            let roots = ValidationContextType::ValidationContextSdsSecretConfig(by_ads("roots"));
            common.validation_context_type = Some(roots);
        }),
        &format!("{common}.validation_context"),
        "not understood",
    );
    refused(
        with(|_, common| common.tls_certificates.push(TlsCertificate::default())),
        &format!("{common}.tls_certificates"),
        "must come by SDS",
    );
    refused(
        with(|_, common| common.tls_certificate_sds_secret_configs.clear()),
        &format!("{common}.tls_certificate_sds_secret_configs"),
        "exactly one",
    );
    refused(
        with(|_, common| common.tls_certificate_sds_secret_configs[0].sds_config = None),
        &format!("{common}.tls_certificate_sds_secret_configs[0].sds_config"),
        "must be ads",
    );
    refused(
        with(|_, common| common.tls_certificate_sds_secret_configs[0] = by_ads("ROOTCA")),
        &format!("{common}.tls_certificate_sds_secret_configs[0].name"),
        "trust bundle",
    );
}

#[test]
fn tls_is_only_understood_where_a_listener_is_bound() {
    let context = server_context("web-cert");
    let outbound = with_tls(outbound_http("shop/cart:80", "10.96.0.1"), &context);
    refused(
        listener(&outbound.name, &pack(&outbound), &trust_domain()),
        "filter_chains[0].transport_socket",
        "not understood",
    );
    let gateway = with_tls(gateway("gateway/a", 443), &context);
    refused(
        listener(&gateway.name, &pack(&gateway), &trust_domain()),
        "filter_chains[0].transport_socket",
        "not understood",
    );
}

fn decoded(wire: &WireSecret) -> Result<Secret, DecodeError> {
    secret(&wire.name, &pack(wire))
}

#[test]
fn a_certificate_comes_with_the_key_that_belongs_to_it() {
    let ((chain, key), (_, other)) = (pair(), pair());
    let good = decoded(&certificate("web", &chain, &key)).expect("valid");
    assert!(matches!(good, Secret::Certificate(_)));
    assert!(
        !format!("{good:?}").contains("BEGIN"),
        "keys are not for logs"
    );
    let refusals = [
        (
            certificate("web", "no PEM", &key),
            "certificate_chain",
            "holds no certificate",
        ),
        (
            certificate("web", &chain, "no PEM"),
            "private_key",
            "holds no key",
        ),
        (
            certificate("web", &chain, &chain),
            "private_key",
            "holds no key",
        ),
        (
            certificate("web", &chain, &other),
            "private_key",
            "does not fit the certificate",
        ),
    ];
    for (wire, field, problem) in refusals {
        refused(decoded(&wire), &format!("tls_certificate.{field}"), problem);
    }
}

#[test]
fn a_secret_of_another_kind_is_refused() {
    let mut wire = roots("-----BEGIN CERTIFICATE-----");
    wire.name = "other".to_owned();
    refused(decoded(&wire), "validation_context.trusted_ca", "PEM");
    wire.r#type = Some(secret::Type::SessionTicketKeys(Default::default()));
    refused(
        decoded(&wire),
        "type",
        "must be a tls_certificate or a validation_context",
    );
    wire.r#type = None;
    refused(decoded(&wire), "type", "missing");
}

fn upstream(context: &UpstreamTlsContext) -> Result<UpstreamTls, DecodeError> {
    let wire = to_tls(cluster("a", DiscoveryType::Eds), context);
    let (cluster, _) = crate::decode::cluster("a", &pack(&wire))?;
    match cluster.tls {
        ClusterTls::Told(told) => Ok((*told).clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_clusters_tls_says_whom_to_trust_and_which_name_is_expected() {
    let told = upstream(&client_context("roots", "a.example")).expect("valid");
    assert_eq!(told.validation.as_deref(), Some("roots"));
    assert!(told.certificate.is_none());
    assert_eq!(told.trust.names.len(), 1);
    assert_eq!(told.server_name.expect("a name").to_str(), "a.example");
}

#[test]
fn a_cluster_that_would_trust_anybody_is_refused() {
    let mut context = client_context("roots", "a.example");
    let common = context.common_tls_context.as_mut().unwrap();
    common.validation_context_type = None;
    refused(
        upstream(&context),
        "transport_socket.common_tls_context.validation_context.trusted_ca",
        "any server would be trusted",
    );
}

#[test]
fn what_of_a_clusters_tls_is_not_understood_is_refused_with_its_field() {
    let with = |change: fn(&mut UpstreamTlsContext)| {
        let mut context = client_context("roots", "a.example");
        change(&mut context);
        upstream(&context)
    };
    refused(
        with(|c| c.auto_host_sni = true),
        "transport_socket.auto_host_sni",
        "not understood",
    );
    refused(
        with(|c| c.sni = "no name".to_owned()),
        "transport_socket.sni",
        "no DNS name",
    );
    refused(
        with(|c| {
            let common = c.common_tls_context.as_mut().unwrap();
            let trust = CertificateValidationContext {
                verify_certificate_hash: vec!["00".to_owned()],
                ..CertificateValidationContext::default()
            };
            common.validation_context_type = Some(ValidationContextType::ValidationContext(trust));
        }),
        "transport_socket.common_tls_context.validation_context.verify_certificate_hash",
        "not understood",
    );
}
