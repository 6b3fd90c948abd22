//! Running the tools of iproute2 and util-linux.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

/// Runs a command to its end, with text on its standard input; an error holds what it printed.
pub(crate) fn run(command: &mut Command, input: &str) -> anyhow::Result<()> {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {name}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{name}: {}\n{input}", text.trim());
    }
    Ok(())
}

/// Several lines of `ip`, in a named namespace or in this one, with one process.
pub(crate) fn ip(netns: Option<&str>, lines: &str) -> anyhow::Result<()> {
    let mut command = Command::new("ip");
    if let Some(netns) = netns {
        command.args(["-n", netns]);
    }
    run(command.args(["-batch", "-"]), lines)
}
