//! Names of control groups. Pure.
//!
//! Below whatever root the kubelet was given, a container's group is, by driver of the kubelet:
//! ```text
//! cgroupfs  /kubepods/burstable/pod<uid>/<container>
//! systemd   /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid with _>.slice/cri-containerd-<container>.scope
//! mixed     /system.slice/containerd.service/kubepods-burstable-pod<uid with _>.slice:cri-containerd:<container>
//! ```
//! A reader in a group of its own sees paths relative to that: `/../../pod<uid>/<container>`.

/// The uid of the pod that a process belongs to, by its `/proc/PID/cgroup` (cgroups(7)): one line for each hierarchy of version 1,
/// `<id>:<controllers>:<path>`, one with the id 0 for version 2.
///
/// `None`: no pod's, or one that a container has put into groups of its own, whose names are the container's to choose; or lines that
/// contradict each other.
pub(super) fn pod(groups: &str) -> Option<String> {
    let mut found: Option<String> = None;
    for line in groups.lines() {
        let path = line.splitn(3, ':').nth(2)?;
        let Some((uid, depth)) = pod_in(path) else {
            continue;
        };
        if depth > 1 || found.as_ref().is_some_and(|known| *known != uid) {
            return None;
        }
        found = Some(uid);
    }
    found
}

/// The pod that a path names first, and how many groups there are below the pod's.
fn pod_in(path: &str) -> Option<(String, usize)> {
    let segments: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (index, uid) = segments
        .iter()
        .enumerate()
        .find_map(|(index, segment)| Some((index, uid(segment)?)))?;
    Some((uid, segments.len() - index - 1))
}

fn uid(segment: &str) -> Option<String> {
    // With `:<runtime>:<container>` behind it, where a runtime takes systemd's names for folders.
    let group = segment.split(':').next()?;
    let uid = match group.strip_suffix(".slice") {
        Some(slice) => slice.rsplit_once("-pod")?.1.replace('_', "-"),
        None => group.strip_prefix("pod")?.to_owned(),
    };
    is_uid(&uid).then_some(uid)
}

/// A UUID; pods of files on the node have 32 digits without dashes.
fn is_uid(text: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    let shaped = lengths == [8, 4, 4, 4, 12] || lengths == [32];
    shaped && text.split('-').all(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f7c1a3e-1b2c-4d5e-8f90-a1b2c3d4e5f6";
    const WITH_LINES: &str = "0f7c1a3e_1b2c_4d5e_8f90_a1b2c3d4e5f6";
    const OTHER: &str = "11111111-2222-3333-4444-555555555555";
    const CONTAINER: &str = "7d1e0cf4a8f2";

    fn of(path: &str) -> Option<String> {
        pod(&format!("0::{path}\n"))
    }

    #[test]
    fn the_kubelets_paths_name_the_pod_with_either_driver() {
        for path in [
            format!("/kubepods/pod{UID}/{CONTAINER}"),
            format!("/kubepods/burstable/pod{UID}/{CONTAINER}"),
            format!("/kubepods/besteffort/pod{UID}/{CONTAINER}"),
            format!("/node1/kubepods/burstable/pod{UID}/{CONTAINER}"),
            format!(
                "/kubepods.slice/kubepods-pod{WITH_LINES}.slice/cri-containerd-{CONTAINER}.scope"
            ),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{WITH_LINES}.slice/crio-{CONTAINER}.scope"
            ),
            format!(
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{WITH_LINES}.slice/cri-containerd-{CONTAINER}.scope"
            ),
            format!(
                "/system.slice/containerd.service/kubepods-burstable-pod{WITH_LINES}.slice:cri-containerd:{CONTAINER}"
            ),
            format!("/../../../besteffort/pod{UID}/{CONTAINER}"),
            format!("/../../kubepods-pod{WITH_LINES}.slice/cri-containerd-{CONTAINER}.scope"),
        ] {
            assert_eq!(of(&path).as_deref(), Some(UID), "{path}");
        }
    }

    #[test]
    fn pods_of_files_on_the_node_have_uids_without_dashes() {
        let uid = "0f7c1a3e1b2c4d5e8f90a1b2c3d4e5f6";
        assert_eq!(
            of(&format!("/kubepods/burstable/pod{uid}/{CONTAINER}")).as_deref(),
            Some(uid)
        );
    }

    #[test]
    fn version_1_says_it_once_for_each_hierarchy() {
        let path = format!("/kubepods/burstable/pod{UID}/{CONTAINER}");
        let text = format!(
            "12:cpuset:{path}\n11:cpu,cpuacct:{path}\n1:name=systemd:{path}\n0::/system.slice/containerd.service\n"
        );
        assert_eq!(pod(&text).as_deref(), Some(UID));
        let contradiction = format!("2:cpu:{path}\n1:pids:/kubepods/pod{OTHER}/{CONTAINER}\n");
        assert_eq!(pod(&contradiction), None);
    }

    #[test]
    fn groups_that_a_container_made_name_nobody() {
        for path in [
            format!("/kubepods/burstable/pod{UID}/{CONTAINER}/init.scope"),
            format!("/kubepods/burstable/pod{UID}/{CONTAINER}/pod{OTHER}/{CONTAINER}"),
            format!("/kubepods/burstable/pod{UID}/{CONTAINER}/pod{OTHER}"),
        ] {
            assert_eq!(of(&path), None, "{path}");
        }
    }

    #[test]
    fn other_paths_are_no_pods() {
        for path in [
            "/",
            "",
            "/kubepods/burstable",
            "/system.slice/podman.service",
            "/machine.slice/libpod-7d1e0cf4a8f2.scope",
            "/user.slice/user-0.slice/session-1.scope",
            "/podcast/7d1e",
            "/kubepods/pod0f7c1a3e/7d1e",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
        assert_eq!(pod("nonsense\n"), None);
        assert_eq!(pod(""), None);
    }
}
