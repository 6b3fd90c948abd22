//! Going into namespaces of our own.

use std::{
    io::{self, Read},
    path::Path,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::atomic::{AtomicI32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{SigSet, Signal, kill},
    unistd::Pid,
};

/// Set for the process inside, and for all that it starts.
pub(crate) const MARK: &str = "HEDDLE_TESTBED";

/// Whether this process is in a testbed already.
pub fn is_inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Tools that are needed and not there, with the Debian package of each.
pub fn missing_tools() -> Vec<(&'static str, &'static str)> {
    let tools = [
        ("ip", "iproute2"),
        ("nft", "nftables"),
        ("unshare", "util-linux"),
        ("nsenter", "util-linux"),
        ("setpriv", "util-linux"),
        ("mount", "mount"),
    ];
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let is_there = |tool: &str| {
        path.split(':')
            .any(|folder| Path::new(folder).join(tool).exists())
    };
    tools
        .into_iter()
        .filter(|(tool, _)| !is_there(tool))
        .collect()
}

/// Runs this program again, with the same arguments, in fresh mount, network and process namespaces, and waits for it. The one outside only
/// passes signals on: an interrupt lets the one inside end by itself, a termination ends it at once; if the one outside is killed, so is
/// the one inside, and the kernel removes the rest.
pub fn enter() -> anyhow::Result<ExitCode> {
    run(Stdio::inherit()).map(|ended| ended.code)
}

/// As [`enter`], but keeps what the one inside writes to its standard output.
pub fn enter_capturing() -> anyhow::Result<Ended> {
    run(Stdio::piped())
}

/// How the one inside ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; 130 if a signal ended it.
    pub code: ExitCode,
    /// What it wrote to its standard output, if that was kept.
    pub output: String,
}

fn run(output: Stdio) -> anyhow::Result<Ended> {
    let missing = missing_tools();
    if !missing.is_empty() {
        let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
        packages.dedup();
        bail!(
            "needed, but not found: {missing:?}. On Debian: apt-get install {}",
            packages.join(" ")
        );
    }
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    // Before any thread is made, so that the waiting thread below is the only one that gets them.
    signals.thread_block()?;
    let mut child = inside()?
        .stdout(output)
        .spawn()
        .context("cannot run setpriv and unshare")?;
    let caught = std::sync::Arc::new(AtomicI32::new(0));
    {
        let caught = std::sync::Arc::clone(&caught);
        thread::spawn(move || {
            while let Ok(signal) = signals.wait() {
                caught.store(signal as i32, Ordering::SeqCst);
            }
        });
    }
    // Read by a thread of its own, so that a full pipe does not stop the one inside.
    let reader = child.stdout.take().map(|mut pipe| {
        thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).map(|_| text)
        })
    });
    let status = wait(&mut child, &caught)?;
    let output = match reader.map(thread::JoinHandle::join) {
        Some(Ok(read)) => read.context("cannot read the output of the one inside")?,
        _ => String::new(),
    };
    let code = match status.code() {
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => ExitCode::from(130),
    };
    Ok(Ended { code, output })
}

/// How long the one inside may take to end by itself after an interrupt.
const GRACE: Duration = Duration::from_secs(5);

fn wait(child: &mut Child, caught: &AtomicI32) -> io::Result<ExitStatus> {
    let mut interrupted: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let signal = caught.swap(0, Ordering::SeqCst);
        if signal == Signal::SIGINT as i32 {
            // The terminal sends it to the one inside as well.
            interrupted.get_or_insert_with(Instant::now);
        }
        let late = interrupted.is_some_and(|since| since.elapsed() > GRACE);
        if late || signal == Signal::SIGTERM as i32 || signal == Signal::SIGHUP as i32 {
            child.kill()?;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn inside() -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        "--",
        "unshare",
        "--mount",
        "--net",
        "--pid",
        "--fork",
    ]);
    command.args(["--kill-child=KILL", "--mount-proc"]);
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .arg("--")
        .arg(program)
        .args(std::env::args_os().skip(1));
    command.env(MARK, std::process::id().to_string());
    command.env(
        "PATH",
        std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin",
    );
    Ok(command)
}

/// Lets signals through again: those that the one outside blocked are blocked here too, as a mask is inherited.
pub(crate) fn unblock() -> anyhow::Result<()> {
    SigSet::all().thread_unblock()?;
    Ok(())
}

/// What a testbed that ended has left on this machine: namespaces, links or processes. Nothing, if all is well.
pub fn leftovers(pid_outside: u32) -> Vec<String> {
    let mark = format!("{MARK}={pid_outside}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let marked = environment
            .split(|byte| *byte == 0)
            .any(|word| word == mark.as_bytes());
        if marked && kill(Pid::from_raw(pid), None).is_ok() {
            found.push(format!("process {pid}"));
        }
    }
    for name in names_in("/run/netns") {
        if name.starts_with("node-") {
            found.push(format!("network namespace {name}"));
        }
    }
    for name in names_in("/sys/class/net") {
        if name == crate::network::BRIDGE || name.starts_with("vnode-") {
            found.push(format!("link {name}"));
        }
    }
    found
}

fn names_in(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
