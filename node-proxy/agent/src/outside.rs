//! What the CNI plugin may know while no node proxy is there (docs/decisions/0009).

use std::{collections::BTreeSet, fs, io, path::PathBuf};

use heddle_cni::protocol::{OUTSIDE, Outside};
use heddle_config::{ProxyConfig, Tunnel};

use crate::arguments::Arguments;

/// The file of namespaces outside of the mesh, beside the plugin's socket.
pub(crate) struct OutsideFile {
    path: Option<PathBuf>,
    written: Option<Outside>,
    followed: Option<u64>,
}

impl OutsideFile {
    /// Not written yet.
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let socket = arguments.cni_socket.as_ref();
        Self {
            path: socket.map(|socket| socket.with_file_name(OUTSIDE)),
            written: None,
            followed: None,
        }
    }

    /// Writes what a whole configuration says, if that is new.
    pub(crate) fn follow(&mut self, config: &ProxyConfig, revision: u64) {
        let Some(path) = &self.path else { return };
        if self.followed.replace(revision) == Some(revision) {
            return;
        }
        let outside = outside(config);
        if self.written.as_ref() == Some(&outside) {
            return;
        }
        match write(path, &outside) {
            Ok(()) => self.written = Some(outside),
            Err(error) => tracing::warn!(%error, path = %path.display(), "not written"),
        }
    }
}

/// Namespaces with pods of which none is in the mesh. Of one without pods nothing is known.
fn outside(config: &ProxyConfig) -> Outside {
    let workloads = || config.workloads.by_name.values();
    let of = |tunnel| {
        let of_that_kind = workloads().filter(move |workload| workload.tunnel == tunnel);
        of_that_kind.map(|workload| workload.name.namespace.as_str())
    };
    let inside: BTreeSet<&str> = of(Tunnel::Hbone)
        .chain(config.pods.keys().map(|pod| pod.namespace.as_str()))
        .collect();
    let namespaces = of(Tunnel::None).filter(|namespace| !inside.contains(namespace));
    Outside {
        namespaces: namespaces.map(str::to_owned).collect(),
    }
}

fn write(path: &PathBuf, outside: &Outside) -> io::Result<()> {
    let new = path.with_extension("json.new");
    fs::write(&new, serde_json::to_vec(outside)?)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use heddle_config::{PodName, PodUid, Workload};
    use heddle_identity::{ServiceAccount, SpiffeId};

    use super::*;

    fn add(config: &mut ProxyConfig, namespace: &str, name: &str, tunnel: Tunnel) {
        let account = ServiceAccount::new("default").unwrap();
        let name = PodName {
            namespace: namespace.parse().unwrap(),
            name: name.into(),
        };
        let trust_domain = "cluster.local".parse().unwrap();
        let workload = Workload {
            identity: SpiffeId::new(trust_domain, name.namespace.clone(), account),
            uid: PodUid("1".into()),
            addresses: Vec::new(),
            node: "node-a".into(),
            zone: "".into(),
            tunnel,
            host_network: false,
            owner: "".into(),
            app: "".into(),
            version: "".into(),
            name,
        };
        let name = workload.name.to_string().as_str().into();
        config.workloads.by_name.insert(name, workload.into());
    }

    #[test]
    fn a_namespace_is_outside_if_no_pod_of_it_is_in_the_mesh() {
        let mut config = ProxyConfig::default();
        add(&mut config, "tools", "a", Tunnel::None);
        add(&mut config, "shop", "cart", Tunnel::Hbone);
        add(&mut config, "mixed", "a", Tunnel::None);
        add(&mut config, "mixed", "b", Tunnel::Hbone);
        let namespaces = outside(&config).namespaces;
        assert_eq!(namespaces.into_iter().collect::<Vec<_>>(), ["tools"]);
    }

    #[test]
    fn it_is_written_when_it_changes_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(OUTSIDE);
        let mut file = OutsideFile {
            path: Some(path.clone()),
            written: None,
            followed: None,
        };
        let read = || serde_json::from_slice::<Outside>(&fs::read(&path).unwrap()).unwrap();
        let mut config = ProxyConfig::default();
        file.follow(&config, 1);
        assert_eq!(read(), Outside::default());
        add(&mut config, "tools", "a", Tunnel::None);
        file.follow(&config, 2);
        assert_eq!(read().namespaces.len(), 1);
        fs::remove_file(&path).unwrap();
        file.follow(&config, 3);
        assert!(!path.exists());
    }
}
