//! Into a running testbed, from another terminal.

use std::{fs, process::Command};

use anyhow::{Context, bail};

use crate::{NETNS_FOLDER, enter::MARK, network::finish_pod_command};

/// Process ids of the testbeds that run on this machine and that we may enter; each is the first process of its testbed.
pub fn running() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is_first(*pid)).collect()
}

/// The first process in a testbed's process namespace: number 1 there, and marked.
fn is_first(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let numbers: Vec<_> = numbers.unwrap_or_default().split_whitespace().collect();
    if numbers.len() < 2 || numbers.last() != Some(&"1") {
        return false;
    }
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mark = format!("{MARK}=");
    environment
        .split(|byte| *byte == 0)
        .any(|word| word.starts_with(mark.as_bytes()))
}

/// A command that runs in a pod of a running testbed. `pod` is `namespace/name`, or a name that only one pod has.
pub fn attach(pod: &str, program: &str) -> anyhow::Result<Command> {
    let pids = running();
    let [pid] = pids.as_slice() else {
        bail!(
            "{} testbeds are running; start one with `heddle demo`",
            pids.len()
        );
    };
    let netns = find(*pid, pod)?;
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
