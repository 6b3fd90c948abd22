//! Pods' network namespaces by their processes: the kubelet puts each pod's into a control group with the pod's uid in its name.

mod cgroup;

use std::{collections::HashMap, fs, path::PathBuf};

use heddle_config::PodUid;
use heddle_redirect::{Netns, NetnsId};

/// For each pod the first of its processes.
pub(crate) type Found = HashMap<PodUid, Process>;

/// A process of a pod.
pub(crate) struct Process {
    pub(crate) netns: Netns,
    /// `/proc/PID/ns/net`.
    file: PathBuf,
    /// When it started, in ticks since the node did.
    started: u64,
}

impl Process {
    /// Whether it is still there, in the same namespace.
    pub(crate) fn is_there(&self) -> bool {
        Netns::open(&self.file).is_ok_and(|netns| netns == self.netns)
    }
}

/// The node's processes.
pub(crate) struct Processes {
    /// `/proc` of the node.
    folder: PathBuf,
    /// The node's own namespace.
    own: NetnsId,
}

impl Processes {
    pub(crate) fn new(folder: PathBuf, own: NetnsId) -> Self {
        Self { folder, own }
    }

    /// Reads one small file for each process of the node. Processes that end meanwhile are none.
    ///
    /// The first process of a pod is its sandbox's, which was there before anything of the pod's own ran: one that a container starts may
    /// go to other namespaces. One in the node's namespace is either being started, or of a pod that needs no capture.
    pub(crate) fn look(&self) -> Found {
        let mut found = Found::new();
        let Ok(entries) = fs::read_dir(&self.folder) else {
            tracing::warn!(folder = %self.folder.display(), "processes cannot be looked at");
            return found;
        };
        for entry in entries.flatten() {
            let is_process = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.parse::<u32>().is_ok());
            if let Some((uid, process)) = is_process.then(|| self.read(&entry.path())).flatten()
                && found
                    .get(&uid)
                    .is_none_or(|known| process.started < known.started)
            {
                found.insert(uid, process);
            }
        }
        found
    }

    fn read(&self, process: &std::path::Path) -> Option<(PodUid, Process)> {
        let groups = fs::read_to_string(process.join("cgroup")).ok()?;
        let uid = cgroup::pod(&groups)?;
        let started = started(&fs::read_to_string(process.join("stat")).ok()?)?;
        let file = process.join("ns/net");
        let netns = match Netns::open(&file) {
            Ok(netns) => netns,
            Err(error) => {
                tracing::debug!(%error, "a pod's process was passed over");
                return None;
            }
        };
        let process = Process {
            netns,
            file,
            started,
        };
        (process.netns.id() != self.own).then(|| (PodUid(uid.as_str().into()), process))
    }
}

/// Field 22 of `/proc/PID/stat` (proc_pid_stat(5)). Field 2 is the program's name in parentheses and may contain anything.
fn started(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_name_does_not_hide_when_it_started() {
        let stat = "42 (a b) 7) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8812 1 2 3";
        assert_eq!(started(stat), Some(8812));
        assert_eq!(started("42 (a"), None);
    }

    #[test]
    fn no_process_of_this_machine_disturbs_the_look() {
        let own = Netns::current().unwrap().id();
        let processes = Processes::new("/proc".into(), own);
        assert!(
            processes
                .look()
                .values()
                .all(|process| process.netns.id() != own)
        );
        assert!(Processes::new("/nowhere".into(), own).look().is_empty());
    }
}
