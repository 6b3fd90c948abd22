//! Which release of the Gateway API's CRDs the cluster has.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The annotation of a CRD of the Gateway API that tells its release.
pub const BUNDLE_VERSION: &str = "gateway.networking.k8s.io/bundle-version";

/// The minor releases whose CRDs are read as they are meant: 1.5 to 1.7. (The `v1` types only get new fields.)
const SUPPORTED: std::ops::RangeInclusive<u32> = 5..=7;

/// CRDs of the Gateway API by name, with their [`BUNDLE_VERSION`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayApi(BTreeMap<Arc<str>, Option<Arc<str>>>);

impl GatewayApi {
    /// Notes a CRD; `None`: it has no such annotation.
    pub fn insert(&mut self, name: &str, version: Option<&str>) {
        self.0.insert(name.into(), version.map(Arc::from));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is unsupported about them, in words: a CRD of another release, or one that does not tell its release.
    pub fn unsupported(&self) -> Option<String> {
        let others: Vec<(&str, Option<&str>)> = self
            .0
            .iter()
            .map(|(name, version)| (&**name, version.as_deref()))
            .filter(|(_, version)| !version.is_some_and(is_supported))
            .collect();
        let (first, _) = others.first()?;
        let versions: BTreeSet<&str> = others
            .iter()
            .map(|(_, version)| version.unwrap_or("no stated version"))
            .collect();
        let versions: Vec<&str> = versions.into_iter().collect();
        let more = match others.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let (least, most) = (SUPPORTED.start(), SUPPORTED.end());
        Some(format!(
            "the CRDs of the Gateway API are of {} ({first}{more}); v1.{least} to v1.{most} are supported, others are read as far as they are the same",
            versions.join(", ")
        ))
    }
}

/// `v1.7.0`, `v1.7.0-rc.1`.
fn is_supported(version: &str) -> bool {
    let minor = version
        .strip_prefix("v1.")
        .and_then(|rest| rest.split('.').next())
        .and_then(|minor| minor.parse().ok());
    minor.is_some_and(|minor: u32| SUPPORTED.contains(&minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(crds: &[(&str, Option<&str>)]) -> Option<String> {
        let mut api = GatewayApi::default();
        crds.iter()
            .for_each(|(name, version)| api.insert(name, *version));
        api.unsupported()
    }

    #[test]
    fn the_releases_that_are_read_as_they_are_meant_are_supported() {
        assert_eq!(of(&[]), None);
        for version in ["v1.5.0", "v1.6.3", "v1.7.0", "v1.7.1-rc.2"] {
            assert_eq!(of(&[("httproutes", Some(version))]), None, "{version}");
        }
        for version in ["v1.4.9", "v1.8.0", "v2.5.0", "1.7.0", "v1.70.0", "v1.", ""] {
            assert!(of(&[("httproutes", Some(version))]).is_some(), "{version}");
        }
        assert!(of(&[("httproutes", None)]).is_some());
    }

    #[test]
    fn the_words_name_the_releases_and_a_crd() {
        let words = of(&[
            ("gateways", Some("v1.7.0")),
            ("grpcroutes", Some("v1.0.0")),
            ("httproutes", None),
        ]);
        assert_eq!(
            words.as_deref(),
            Some(
                "the CRDs of the Gateway API are of no stated version, v1.0.0 (grpcroutes and 1 more); v1.5 to v1.7 are supported, others are read as far as they are the same"
            )
        );
    }
}
