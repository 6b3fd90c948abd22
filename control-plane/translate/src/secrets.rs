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

/// The trust bundle; several certificates while roots rotate.
#[derive(Debug, PartialEq)]
pub(crate) struct TrustBundleUnit {
    pem: Arc<str>,
    scope: Scope,
}

impl TrustBundleUnit {
    /// `None` while there is no root.
    pub(crate) fn of(pem: &str, scope: Scope) -> Option<Self> {
        let pem = (!pem.is_empty()).then(|| pem.into())?;
        Some(Self { pem, scope })
    }
}

impl Unit for TrustBundleUnit {
    type Key = ();

    fn build(&self, (): &()) -> Resource {
        let message = Secret {
            name: names::ROOT_CA_SECRET.to_owned(),
            r#type: Some(secret::Type::ValidationContext(
                CertificateValidationContext {
                    trusted_ca: Some(DataSource {
                        specifier: Some(Specifier::InlineString(self.pem.to_string())),
                        ..DataSource::default()
                    }),
                    ..CertificateValidationContext::default()
                },
            )),
        };
        Resource::new(
            type_url::SECRET,
            names::ROOT_CA_SECRET,
            self.scope.clone(),
            Vec::new(),
            &message,
        )
    }
}
