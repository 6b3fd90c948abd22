//! Into the running demo from another terminal.

use std::{fs, os::unix::process::CommandExt, process::ExitCode};

use anyhow::{Context, bail};

use super::FOLDER;

/// Which pod, and what to run.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Arguments {
    /// `namespace/name`, or a name that only one pod has. A bare `client` is the one of the default namespace.
    pod: String,
    /// Which demo, if several run: the process id of `heddle demo`.
    #[arg(long)]
    demo: Option<u32>,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Becomes the command; comes back only with an error.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Some((program, rest)) = arguments.command.split_first() else {
        bail!("say what to run: heddle demo exec client -- curl http://my-api.production/");
    };
    let demo = heddle_testbed::running(arguments.demo)?;
    let attach = |pod: &str| heddle_testbed::attach(demo, pod, program);
    let in_default = format!("default/{}", arguments.pod);
    let mut command = attach(&in_default).or_else(|_| attach(&arguments.pod))?;
    Err(command.args(rest).exec()).with_context(|| format!("cannot run {program}"))
}

/// Prints a program's log.
pub(super) fn logs(name: &str, demo: Option<u32>) -> anyhow::Result<ExitCode> {
    let pid = heddle_testbed::running(demo)?.inside;
    let folder = format!("/proc/{pid}/root{}/logs", FOLDER.display());
    let path = format!("{folder}/{}.log", name.replace('/', "_"));
    match fs::read_to_string(&path) {
        Ok(text) => print!("{text}"),
        Err(_) => bail!("no log of {name}; there are: {}", names(&folder)),
    }
    Ok(ExitCode::SUCCESS)
}

fn names(folder: &str) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = files
        .filter_map(|file| Some(file.strip_suffix(".log")?.to_owned()))
        .collect();
    names.sort();
    names.join(" ")
}
