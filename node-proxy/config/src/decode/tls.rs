//! TLS contexts and secrets of other control planes.

use std::sync::Arc;

use heddle_proto::{
    Message, Name,
    envoy::{
        config::core::v3::{
            ConfigSource, TransportSocket, config_source::ConfigSourceSpecifier,
            transport_socket::ConfigType,
        },
        extensions::transport_sockets::tls::v3::{
            CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
            Secret as WireSecret, SubjectAltNameMatcher, TlsCertificate, TlsParameters,
            UpstreamTlsContext, common_tls_context::ValidationContextType,
            downstream_tls_context::OcspStaplePolicy, secret, subject_alt_name_matcher::SanType,
            tls_parameters::TlsProtocol,
        },
    },
    google::protobuf::{Any, BoolValue},
    names, unpack,
};
use rustls::{
    RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{
    error::{At, Decoded, each, refuse, unsupported},
    matchers,
    values::{inline_bytes, named},
    workload::trust_bundle,
};
use crate::{Certificate, NameMatcher, ServerTls, Trust, UpstreamTls, tls::provider};

/// What a Secret holds.
#[derive(Clone, Debug)]
pub enum Secret {
    /// The mesh's roots, PEM (`ROOTCA`).
    TrustBundle(Arc<str>),
    /// A certificate with its key.
    Certificate(Certificate),
    /// Whom to trust.
    Validation(Arc<Trust>),
}

impl Secret {
    /// If it is one.
    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Certificate(certificate) => Some(certificate),
            Self::TrustBundle(_) | Self::Validation(_) => None,
        }
    }

    /// If it is one.
    pub(crate) fn trust(&self) -> Option<&Arc<Trust>> {
        match self {
            Self::Validation(trust) => Some(trust),
            Self::TrustBundle(_) | Self::Certificate(_) => None,
        }
    }
}

/// Decodes a Secret: `ROOTCA`, a certificate with its key, or whom to trust.
pub fn secret(name: &str, any: &Any) -> Decoded<Secret> {
    if name == names::ROOT_CA_SECRET {
        return trust_bundle(name, any).map(Secret::TrustBundle);
    }
    let wire: WireSecret = named(any, name, |secret: &WireSecret| &secret.name)?;
    match &wire.r#type {
        Some(secret::Type::TlsCertificate(wire)) => Ok(Secret::Certificate(
            certificate(wire).at("tls_certificate")?,
        )),
        Some(secret::Type::ValidationContext(wire)) => {
            let trust = trust(wire).at("validation_context")?;
            if trust.roots.is_none() {
                return refuse("missing").at("validation_context.trusted_ca");
            }
            Ok(Secret::Validation(Arc::new(trust)))
        }
        Some(_) => refuse("must be a tls_certificate or a validation_context").at("type"),
        None => refuse("missing").at("type"),
    }
}

fn certificate(wire: &TlsCertificate) -> Decoded<Certificate> {
    unsupported(wire.pkcs12.is_some(), "pkcs12")?;
    unsupported(wire.password.is_some(), "password")?;
    unsupported(wire.private_key_provider.is_some(), "private_key_provider")?;
    let Some(chain) = &wire.certificate_chain else {
        return refuse("missing").at("certificate_chain");
    };
    let Some(key) = &wire.private_key else {
        return refuse("missing").at("private_key");
    };
    let chain = inline_bytes(chain).at("certificate_chain")?;
    let chain: Vec<_> = match CertificateDer::pem_slice_iter(chain).collect() {
        Ok(chain) => chain,
        Err(error) => return refuse(format_args!("no PEM: {error}")).at("certificate_chain"),
    };
    if chain.is_empty() {
        return refuse("holds no certificate (PEM)").at("certificate_chain");
    }
    let key = match PrivateKeyDer::from_pem_slice(inline_bytes(key).at("private_key")?) {
        Ok(key) => key,
        // The error tells nothing of the key itself.
        Err(error) => return refuse(format_args!("holds no key (PEM): {error}")).at("private_key"),
    };
    match CertifiedKey::from_der(chain, key, &provider()) {
        Ok(key) => Ok(Certificate::new(key)),
        Err(error) => {
            refuse(format_args!("does not fit the certificate: {error}")).at("private_key")
        }
    }
}

/// What a transport socket says about TLS; `None`: plain text.
fn context<M: Message + Name + Default>(socket: &TransportSocket) -> Decoded<Option<M>> {
    if socket.name == "envoy.transport_sockets.raw_buffer" {
        return Ok(None);
    }
    let Some(ConfigType::TypedConfig(any)) = &socket.config_type else {
        return refuse("missing").at("typed_config");
    };
    Ok(Some(unpack(any)?))
}

fn alpn(common: &CommonTlsContext) -> Vec<Vec<u8>> {
    let names = common.alpn_protocols.iter();
    names.map(|name| name.clone().into_bytes()).collect()
}

/// The transport socket of a bound listener; `None`: plain text.
pub(super) fn server(socket: &TransportSocket) -> Decoded<Option<ServerTls>> {
    let Some(tls) = context::<DownstreamTlsContext>(socket)? else {
        return Ok(None);
    };
    let is = |value: &Option<BoolValue>| value.as_ref().is_some_and(|value| value.value);
    unsupported(
        is(&tls.require_client_certificate),
        "require_client_certificate",
    )?;
    unsupported(is(&tls.require_sni), "require_sni")?;
    unsupported(
        tls.ocsp_staple_policy != i32::from(OcspStaplePolicy::LenientStapling),
        "ocsp_staple_policy",
    )?;
    let Some(common) = &tls.common_tls_context else {
        return refuse("missing").at("common_tls_context");
    };
    unsupported(
        common.validation_context_type.is_some(),
        "common_tls_context.validation_context",
    )?;
    server_common(common).at("common_tls_context").map(Some)
}

fn server_common(common: &CommonTlsContext) -> Decoded<ServerTls> {
    refuse_other_certificates(common)?;
    let [certificate] = common.tls_certificate_sds_secret_configs.as_slice() else {
        return refuse("must be exactly one").at("tls_certificate_sds_secret_configs");
    };
    Ok(ServerTls {
        certificate: by_ads(certificate).at("tls_certificate_sds_secret_configs[0]")?,
        alpn: alpn(common),
        versions: versions(common.tls_params.as_ref()).at("tls_params")?,
    })
}

fn refuse_other_certificates(common: &CommonTlsContext) -> Decoded<()> {
    if !common.tls_certificates.is_empty() {
        return refuse("must come by SDS: what stands in a listener or a cluster is kept on disk, where no key may be")
            .at("tls_certificates");
    }
    unsupported(
        common.tls_certificate_provider_instance.is_some(),
        "tls_certificate_provider_instance",
    )?;
    unsupported(
        common.tls_certificate_certificate_provider.is_some(),
        "tls_certificate_certificate_provider",
    )?;
    unsupported(
        common
            .tls_certificate_certificate_provider_instance
            .is_some(),
        "tls_certificate_certificate_provider_instance",
    )?;
    unsupported(
        common.custom_tls_certificate_selector.is_some(),
        "custom_tls_certificate_selector",
    )?;
    unsupported(common.custom_handshaker.is_some(), "custom_handshaker")?;
    unsupported(common.key_log.is_some(), "key_log")
}

/// The name of a secret that comes on the same stream.
fn by_ads(wire: &SdsSecretConfig) -> Decoded<Arc<str>> {
    let source = |source: &ConfigSource| source.config_source_specifier.clone();
    match wire.sds_config.as_ref().and_then(source) {
        Some(ConfigSourceSpecifier::Ads(_) | ConfigSourceSpecifier::Self_(_)) => {}
        _ => return refuse("must be ads").at("sds_config"),
    }
    match wire.name.as_str() {
        "" => refuse("missing").at("name"),
        names::ROOT_CA_SECRET => refuse("is the mesh's trust bundle").at("name"),
        name => Ok(name.into()),
    }
}

/// Which of TLS 1.2 and 1.3, the two that there are here, lie within the limits. Ciphers and groups are not for others to choose.
fn versions(wire: Option<&TlsParameters>) -> Decoded<Vec<&'static SupportedProtocolVersion>> {
    let wire = wire.cloned().unwrap_or_default();
    unsupported(!wire.cipher_suites.is_empty(), "cipher_suites")?;
    unsupported(!wire.ecdh_curves.is_empty(), "ecdh_curves")?;
    unsupported(
        !wire.signature_algorithms.is_empty(),
        "signature_algorithms",
    )?;
    unsupported(!wire.compliance_policies.is_empty(), "compliance_policies")?;
    let limit = |value: i32, default: TlsProtocol| match TlsProtocol::try_from(value) {
        Ok(TlsProtocol::TlsAuto) => Ok(default),
        Ok(known) => Ok(known),
        Err(_) => refuse("unknown"),
    };
    let least = limit(wire.tls_minimum_protocol_version, TlsProtocol::TlSv12)
        .at("tls_minimum_protocol_version")?;
    let most = limit(wire.tls_maximum_protocol_version, TlsProtocol::TlSv13)
        .at("tls_maximum_protocol_version")?;
    let all = [(TlsProtocol::TlSv13, &TLS13), (TlsProtocol::TlSv12, &TLS12)];
    let within: Vec<_> = all
        .into_iter()
        .filter(|(version, _)| (least..=most).contains(version))
        .map(|(_, version)| version)
        .collect();
    if within.is_empty() {
        return refuse("allows neither TLS 1.2 nor 1.3");
    }
    Ok(within)
}

/// The transport socket of a cluster; `None`: plain text.
pub(super) fn client(socket: &TransportSocket) -> Decoded<Option<UpstreamTls>> {
    let Some(tls) = context::<UpstreamTlsContext>(socket)? else {
        return Ok(None);
    };
    unsupported(tls.auto_host_sni, "auto_host_sni")?;
    unsupported(tls.auto_sni_san_validation, "auto_sni_san_validation")?;
    let server_name = match tls.sni.as_str() {
        "" => None,
        name => match ServerName::try_from(name.to_owned()) {
            Ok(name) => Some(name),
            Err(_) => return refuse(format_args!("{name:?} is no DNS name")).at("sni"),
        },
    };
    let Some(common) = &tls.common_tls_context else {
        return refuse("missing").at("common_tls_context");
    };
    let told = client_common(common, server_name).at("common_tls_context")?;
    Ok(Some(told))
}

fn client_common(
    common: &CommonTlsContext,
    server_name: Option<ServerName<'static>>,
) -> Decoded<UpstreamTls> {
    refuse_other_certificates(common)?;
    let certificate = match common.tls_certificate_sds_secret_configs.as_slice() {
        [] => None,
        [one] => Some(by_ads(one).at("tls_certificate_sds_secret_configs[0]")?),
        _ => return refuse("must be at most one").at("tls_certificate_sds_secret_configs"),
    };
    let (validation, trust) = validation(common)?;
    Ok(UpstreamTls {
        certificate,
        validation,
        trust,
        server_name,
        alpn: alpn(common),
        versions: versions(common.tls_params.as_ref()).at("tls_params")?,
    })
}

/// Whom to trust: the name of a secret, and what stands in the context itself.
fn validation(common: &CommonTlsContext) -> Decoded<(Option<Arc<str>>, Trust)> {
    let (secret, inline) = match &common.validation_context_type {
        Some(ValidationContextType::ValidationContext(inline)) => {
            (None, trust(inline).at("validation_context")?)
        }
        Some(ValidationContextType::ValidationContextSdsSecretConfig(secret)) => {
            let secret = by_ads(secret).at("validation_context_sds_secret_config")?;
            (Some(secret), Trust::default())
        }
        Some(ValidationContextType::CombinedValidationContext(both)) => {
            let inline = both.default_validation_context.clone().unwrap_or_default();
            let trust =
                trust(&inline).at("combined_validation_context.default_validation_context")?;
            let secret = both.validation_context_sds_secret_config.as_ref();
            let secret = secret.map(by_ads).transpose();
            (
                secret.at("combined_validation_context.validation_context_sds_secret_config")?,
                trust,
            )
        }
        Some(_) => return refuse("not understood by this proxy").at("validation_context_type"),
        None => (None, Trust::default()),
    };
    // Envoy then trusts everybody.
    if secret.is_none() && inline.roots.is_none() {
        return refuse("missing: without it any server would be trusted")
            .at("validation_context.trusted_ca");
    }
    Ok((secret, inline))
}

fn trust(wire: &CertificateValidationContext) -> Decoded<Trust> {
    unsupported(
        wire.ca_certificate_provider_instance.is_some(),
        "ca_certificate_provider_instance",
    )?;
    unsupported(wire.system_root_certs.is_some(), "system_root_certs")?;
    unsupported(
        !wire.verify_certificate_spki.is_empty(),
        "verify_certificate_spki",
    )?;
    unsupported(
        !wire.verify_certificate_hash.is_empty(),
        "verify_certificate_hash",
    )?;
    unsupported(
        !wire.match_subject_alt_names.is_empty(),
        "match_subject_alt_names",
    )?;
    unsupported(
        wire.require_signed_certificate_timestamp.is_some(),
        "require_signed_certificate_timestamp",
    )?;
    unsupported(wire.crl.is_some(), "crl")?;
    unsupported(wire.allow_expired_certificate, "allow_expired_certificate")?;
    unsupported(
        wire.trust_chain_verification != 0,
        "trust_chain_verification",
    )?;
    unsupported(
        wire.custom_validator_config.is_some(),
        "custom_validator_config",
    )?;
    unsupported(wire.max_verify_depth.is_some(), "max_verify_depth")?;
    let roots = match &wire.trusted_ca {
        Some(source) => Some(roots(inline_bytes(source).at("trusted_ca")?).at("trusted_ca")?),
        None => None,
    };
    let names = each(
        "match_typed_subject_alt_names",
        &wire.match_typed_subject_alt_names,
        name,
    )?;
    Ok(Trust {
        roots: roots.map(Arc::new),
        names,
    })
}

fn roots(pem: &[u8]) -> Decoded<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = match certificate {
            Ok(certificate) => certificate,
            Err(error) => return refuse(format_args!("no PEM: {error}")),
        };
        if let Err(error) = roots.add(certificate) {
            return refuse(format_args!("no root: {error}"));
        }
    }
    if roots.is_empty() {
        return refuse("holds no certificate (PEM)");
    }
    Ok(roots)
}

fn name(wire: &SubjectAltNameMatcher) -> Decoded<NameMatcher> {
    let Some(matcher) = &wire.matcher else {
        return refuse("missing").at("matcher");
    };
    let matcher = matchers::string(matcher).at("matcher")?;
    match SanType::try_from(wire.san_type) {
        Ok(SanType::Dns) => Ok(NameMatcher::Dns(matcher)),
        Ok(SanType::Uri) => Ok(NameMatcher::Uri(matcher)),
        Ok(SanType::IpAddress) => match &matcher {
            heddle_routing::StringMatcher::Exact(text) => {
                Ok(NameMatcher::Ip(text.parse().at("matcher.exact")?))
            }
            _ => refuse("an address must be exact").at("matcher"),
        },
        _ => refuse("not understood by this proxy").at("san_type"),
    }
}
