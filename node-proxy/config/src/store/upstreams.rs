//! TLS of the clusters in force.

use std::{collections::BTreeMap, sync::Arc};

use super::kept::Kept;
use crate::{Certificate, ClientTls, ClusterTls, Trust, UpstreamTls, decode::Secret};

/// TLS of the clusters in force, by cluster.
#[derive(Debug, Default)]
pub(super) struct Upstreams(BTreeMap<Arc<str>, Ready>);

#[derive(Debug)]
struct Ready {
    told: Arc<UpstreamTls>,
    certificate: Option<Certificate>,
    validation: Option<Arc<Trust>>,
    tls: ClientTls,
}

impl Ready {
    fn is_of(
        &self,
        told: &Arc<UpstreamTls>,
        certificate: Option<&Certificate>,
        validation: Option<&Arc<Trust>>,
    ) -> bool {
        let same_certificate = match (&self.certificate, certificate) {
            (Some(one), Some(other)) => one.is(other),
            (None, None) => true,
            _ => false,
        };
        let same_trust = match (&self.validation, validation) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        Arc::ptr_eq(&self.told, told) && same_certificate && same_trust
    }
}

impl Upstreams {
    /// TLS as it was told, with its newest secrets; what was there before if one of them went or cannot be used. `None`: there is nothing to
    /// speak with yet.
    pub(super) fn ready(
        &mut self,
        cluster: &Arc<str>,
        told: &Arc<UpstreamTls>,
        secrets: &Kept<Secret>,
    ) -> Option<ClientTls> {
        let known = self
            .0
            .get(cluster)
            .filter(|known| Arc::ptr_eq(&known.told, told));
        let fallback = known.map(|known| known.tls.clone());
        let certificate = match &told.certificate {
            Some(name) => match secrets.get(name).and_then(Secret::certificate) {
                Some(certificate) => Some(certificate),
                None => return fallback,
            },
            None => None,
        };
        let validation = match &told.validation {
            Some(name) => match secrets.get(name).and_then(Secret::trust) {
                Some(trust) => Some(trust),
                None => return fallback,
            },
            None => None,
        };
        if known.is_some_and(|known| known.is_of(told, certificate, validation)) {
            return fallback;
        }
        match told.ready(certificate, validation.map(|trust| &**trust)) {
            Ok(tls) => {
                let ready = Ready {
                    told: Arc::clone(told),
                    certificate: certificate.cloned(),
                    validation: validation.cloned(),
                    tls: tls.clone(),
                };
                self.0.insert(Arc::clone(cluster), ready);
                Some(tls)
            }
            Err(error) => {
                tracing::error!(%cluster, %error, "TLS cannot be spoken as it was told");
                fallback
            }
        }
    }

    pub(super) fn forget(&mut self, cluster: &str) {
        self.0.remove(cluster);
    }

    /// Secrets of the clusters in force.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.values().flat_map(|ready| of(&ready.told))
    }
}

/// Secrets that a cluster's TLS refers to.
pub(super) fn secrets_of(tls: &ClusterTls) -> impl Iterator<Item = &str> {
    let told = match tls {
        ClusterTls::Told(told) => Some(told),
        ClusterTls::None | ClusterTls::Ready(_) => None,
    };
    told.into_iter().flat_map(|told| of(told))
}

fn of(told: &UpstreamTls) -> impl Iterator<Item = &str> {
    let all = told.certificate.iter().chain(&told.validation);
    all.map(|name| &**name)
}
