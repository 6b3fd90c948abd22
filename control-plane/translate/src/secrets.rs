//! Secret `ROOTCA`: the roots that all certificates of the mesh are verified against.

use std::sync::Arc;

use heddle_proto::{
    envoy::{
        config::core::v3::{DataSource, data_source::Specifier},
        extensions::transport_sockets::tls::v3::{CertificateValidationContext, Secret, secret},
    },
    names, type_url,
};
use heddle_snapshot::{Resource, Scope};

use crate::memo::Unit;

/// The trust bundle, PEM; several certificates while roots rotate.
#[derive(Debug, PartialEq)]
pub(crate) struct TrustBundleUnit(pub(crate) Arc<str>);

impl Unit for TrustBundleUnit {
    type Key = ();

    fn build(&self, (): &()) -> Resource {
        roots(&self.0, Scope::Nodes)
    }
}

/// The same for Envoys.
#[derive(Debug, PartialEq)]
pub(crate) struct EnvoyTrustBundleUnit(pub(crate) Arc<str>);

impl Unit for EnvoyTrustBundleUnit {
    type Key = ();

    fn build(&self, (): &()) -> Resource {
        roots(&self.0, Scope::Envoys)
    }
}

fn roots(pem: &str, scope: Scope) -> Resource {
    let message = Secret {
        name: names::ROOT_CA_SECRET.to_owned(),
        r#type: Some(secret::Type::ValidationContext(
            CertificateValidationContext {
                trusted_ca: Some(DataSource {
                    specifier: Some(Specifier::InlineString(pem.to_owned())),
                    ..DataSource::default()
                }),
                ..CertificateValidationContext::default()
            },
        )),
    };
    Resource::new(
        type_url::SECRET,
        names::ROOT_CA_SECRET,
        scope,
        Vec::new(),
        &message,
    )
}
