//! When the certificates that were given out run out, for `heddle status`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use heddle_identity::{SpiffeId, not_after_of};
use heddle_issuer::Signed;
use rustls::pki_types::{CertificateDer, pem::PemObject};

/// By node, then by identity. What this replica has not signed itself it does not know.
type Known = BTreeMap<Arc<str>, BTreeMap<SpiffeId, SystemTime>>;

/// The certificates that are valid at present; one that has run out is forgotten when its node gets another.
#[derive(Debug, Default)]
pub(crate) struct Expiries(Mutex<Known>);

/// A certificate that was given out.
#[derive(Debug)]
pub(crate) struct Given {
    /// The node that asked for it, or the workload's SPIFFE id.
    pub(crate) holder: Arc<str>,
    /// Whom it is for.
    pub(crate) identity: SpiffeId,
    /// When it runs out.
    pub(crate) end: SystemTime,
}

impl Expiries {
    /// A certificate was given out.
    pub(crate) fn note(&self, signed: Signed<'_>) {
        let Some(end) = signed.chain.first().and_then(|pem| not_after(pem)) else {
            return;
        };
        let now = SystemTime::now();
        let mut known = self.lock();
        let of_node = known.entry(Arc::clone(signed.node)).or_default();
        // Pods come and go, and their certificates are not renewed any more.
        of_node.retain(|_, end| *end > now);
        of_node.insert(signed.identity.clone(), end);
    }

    /// When the first of these runs out: the certificates of a node, or those of one identity (`spiffe://...`). Only those count whose
    /// holder may still have them (`may`): of a pod that has left, nobody renews them.
    pub(crate) fn of(
        &self,
        name: &str,
        may: impl Fn(&str, &SpiffeId) -> bool,
    ) -> Option<SystemTime> {
        let known = self.lock();
        let ends = |of: &BTreeMap<SpiffeId, SystemTime>| {
            let still = of.iter().filter(|(identity, _)| may(name, identity));
            still.map(|(_, end)| *end).min()
        };
        match known.get(name) {
            Some(of_node) => ends(of_node),
            None => {
                let identity: SpiffeId = name.parse().ok()?;
                let with = known.iter().filter(|(node, _)| may(node, &identity));
                with.filter_map(|(_, of_node)| of_node.get(&identity))
                    .min()
                    .copied()
            }
        }
    }

    /// All that have not run out, for whoever puts several replicas' together.
    pub(crate) fn all(&self, may: impl Fn(&str, &SpiffeId) -> bool) -> Vec<Given> {
        let now = SystemTime::now();
        let mut known = self.lock();
        known.retain(|_, of_node| of_node.values().any(|end| *end > now));
        let all = known.iter().flat_map(|(holder, of_holder)| {
            of_holder.iter().map(|(identity, end)| Given {
                holder: Arc::clone(holder),
                identity: identity.clone(),
                end: *end,
            })
        });
        all.filter(|given| given.end > now && may(&given.holder, &given.identity))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_after(pem: &str) -> Option<SystemTime> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    not_after_of(&der).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use heddle_issuer::{Issuer, Settings};

    use super::*;

    fn id(account: &str) -> SpiffeId {
        format!("spiffe://cluster.local/ns/shop/sa/{account}")
            .parse()
            .unwrap()
    }

    /// What a replica knows that has given `cart` and `pay` to node-a, and the workload `web` its own.
    fn expiries() -> Expiries {
        let folder = tempfile::tempdir().unwrap();
        let domain = "cluster.local".parse().unwrap();
        let issuer = Issuer::open(folder.path(), domain, Settings::default()).unwrap();
        let expiries = Expiries::default();
        let note = |holder: &str, account: &str| {
            let chain = [issuer
                .serving_certificate(&id(account), &[])
                .unwrap()
                .chain_pem];
            expiries.note(Signed {
                node: &holder.into(),
                identity: &id(account),
                chain: &chain,
            });
        };
        note("node-a", "cart");
        note("node-a", "pay");
        note(&id("web").to_string(), "web");
        expiries
    }

    #[test]
    fn what_its_holder_may_no_longer_have_does_not_count() {
        let expiries = expiries();
        assert!(expiries.of("node-a", |_, _| true).is_some());
        assert!(expiries.of("node-a", |_, _| false).is_none());
        assert!(expiries.of("node-b", |_, _| true).is_none());
        let web = id("web").to_string();
        assert!(expiries.of(&web, |holder, _| holder == web).is_some());
        let left = |holder: &str, identity: &SpiffeId| holder != "node-a" || *identity == id("pay");
        let all = expiries.all(left);
        let names: Vec<_> = all
            .iter()
            .map(|given| (&*given.holder, given.identity.clone()))
            .collect();
        assert_eq!(names, [("node-a", id("pay")), (&*web, id("web"))]);
        let soon = SystemTime::now() + Duration::from_secs(60);
        assert!(all.iter().all(|given| given.end > soon));
    }

    #[test]
    fn an_identity_is_found_at_whichever_node_has_it() {
        let expiries = expiries();
        let cart = id("cart").to_string();
        assert!(expiries.of(&cart, |_, _| true).is_some());
        assert!(expiries.of(&cart, |node, _| node != "node-a").is_none());
    }
}
