//! Into a running testbed, from another terminal.

use std::{fs, process::Command};

use anyhow::{Context, bail};

use crate::{NETNS_FOLDER, enter::MARK, network::finish_pod_command};

/// A testbed that runs on this machine and that we may enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Process id of the one outside, which the user started.
    pub outside: u32,
    /// Process id, seen from outside, of the first process inside.
    pub inside: u32,
}

/// The one testbed that is meant: by the process id of the one outside, or the only one that runs.
pub fn running(outside: Option<u32>) -> anyhow::Result<Running> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: Vec<Running> = pids.filter_map(first).collect();
    let meant = all
        .iter()
        .filter(|one| outside.is_none_or(|pid| one.outside == pid));
    match meant.copied().collect::<Vec<_>>().as_slice() {
        [one] => Ok(*one),
        [] => bail!("no such testbed is running; start one with `heddle demo`"),
        several => {
            let pids: Vec<_> = several.iter().map(|one| one.outside.to_string()).collect();
            bail!(
                "several testbeds are running; choose by process id: {}",
                pids.join(", ")
            )
        }
    }
}

/// The first process in a testbed's process namespace: number 1 there, and marked.
fn first(pid: u32) -> Option<Running> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let numbers: Vec<_> = numbers.unwrap_or_default().split_whitespace().collect();
    if numbers.len() < 2 || numbers.last() != Some(&"1") {
        return None;
    }
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mark = format!("{MARK}=");
    let mut words = environment.split(|byte| *byte == 0);
    let outside = words.find_map(|word| word.strip_prefix(mark.as_bytes()))?;
    Some(Running {
        outside: std::str::from_utf8(outside).ok()?.parse().ok()?,
        inside: pid,
    })
}

/// A command that runs in a pod of a running testbed. `pod` is `namespace/name`, or a name that only one pod has.
pub fn attach(testbed: Running, pod: &str, program: &str) -> anyhow::Result<Command> {
    let pid = testbed.inside;
    let netns = find(pid, pod)?;
    let mut command = Command::new("nsenter");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--preserve-credentials"]);
    }
    command
        .arg(format!("--target={pid}"))
        .args(["--mount", "--pid"]);
    command.arg(format!("--net=/proc/{pid}/root{NETNS_FOLDER}/{netns}"));
    finish_pod_command(&mut command, &netns, program);
    Ok(command)
}

fn find(pid: u32, pod: &str) -> anyhow::Result<String> {
    let folder = format!("/proc/{pid}/root{NETNS_FOLDER}");
    let entries = fs::read_dir(&folder)
        .with_context(|| folder.clone())?
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut pods: Vec<String> = names.filter(|name| name.contains('_')).collect();
    pods.sort();
    let wanted = pod.replace('/', "_");
    let fits = |name: &&String| {
        **name == wanted || name.split_once('_').is_some_and(|(_, short)| short == pod)
    };
    let found: Vec<_> = pods.iter().filter(fits).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => bail!(
            "no pod {pod}; there are: {}",
            pods.join(" ").replace('_', "/")
        ),
        several => bail!("{pod} is ambiguous: {several:?}; say namespace/name"),
    }
}
