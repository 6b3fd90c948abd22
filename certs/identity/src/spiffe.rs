//! SPIFFE ids of the form that meshes on Kubernetes use.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{InvalidName, Namespace, ServiceAccount};

/// The name of a mesh's root of trust (SPIFFE-ID section 2.1), for example `cluster.local`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// Parses a trust domain: 1 to 255 of `a-z 0-9 . - _` (SPIFFE-ID section 2.1).
    pub fn new(value: &str) -> Result<Self, InvalidSpiffeId> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-_".contains(&c);
        if value.is_empty() || value.len() > 255 || !value.bytes().all(allowed) {
            return Err(InvalidSpiffeId::TrustDomain(
                value.chars().take(80).collect(),
            ));
        }
        Ok(Self(value.into()))
    }

    /// The trust domain as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = InvalidSpiffeId;
    fn from_str(value: &str) -> Result<Self, InvalidSpiffeId> {
        Self::new(value)
    }
}

impl TryFrom<String> for TrustDomain {
    type Error = InvalidSpiffeId;
    fn try_from(value: String) -> Result<Self, InvalidSpiffeId> {
        Self::new(&value)
    }
}

impl From<TrustDomain> for String {
    fn from(value: TrustDomain) -> Self {
        value.0.to_string()
    }
}

/// Who a workload is: `spiffe://<trust-domain>/ns/<namespace>/sa/<service-account>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpiffeId {
    /// The root of trust that vouches for it.
    pub trust_domain: TrustDomain,
    /// The namespace of its service account.
    pub namespace: Namespace,
    /// Its service account.
    pub service_account: ServiceAccount,
}

/// Not a SPIFFE id of our form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpiffeId {
    /// It does not read `spiffe://<trust-domain>/ns/<namespace>/sa/<service-account>`.
    #[error("{0:?} does not read spiffe://<trust-domain>/ns/<namespace>/sa/<service-account>")]
    Form(String),
    /// Its trust domain has characters that are not allowed.
    #[error("{0:?} is not a trust domain: 1 to 255 of a-z 0-9 . - _ (SPIFFE-ID section 2.1)")]
    TrustDomain(String),
    /// Its namespace or service account is no Kubernetes name.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

impl SpiffeId {
    /// Puts an id together from its parts.
    pub fn new(
        trust_domain: TrustDomain,
        namespace: Namespace,
        service_account: ServiceAccount,
    ) -> Self {
        Self {
            trust_domain,
            namespace,
            service_account,
        }
    }
}

impl FromStr for SpiffeId {
    type Err = InvalidSpiffeId;

    fn from_str(value: &str) -> Result<Self, InvalidSpiffeId> {
        let form = || InvalidSpiffeId::Form(value.chars().take(200).collect());
        let rest = value.strip_prefix("spiffe://").ok_or_else(form)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let [trust_domain, "ns", namespace, "sa", service_account] = parts.as_slice() else {
            return Err(form());
        };
        Ok(Self {
            trust_domain: TrustDomain::new(trust_domain)?,
            namespace: Namespace::new(namespace)?,
            service_account: ServiceAccount::new(service_account)?,
        })
    }
}

impl TryFrom<String> for SpiffeId {
    type Error = InvalidSpiffeId;
    fn try_from(value: String) -> Result<Self, InvalidSpiffeId> {
        value.parse()
    }
}

impl From<SpiffeId> for String {
    fn from(value: SpiffeId) -> Self {
        value.to_string()
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "spiffe://{}/ns/{}/sa/{}",
            self.trust_domain, self.namespace, self.service_account
        )
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
