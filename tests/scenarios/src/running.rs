//! A demo that runs until it is ended.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// `heddle demo` on a copy of the lesson.
#[derive(Debug)]
pub struct Demo {
    child: Child,
    heddle: PathBuf,
    manifests: tempfile::TempDir,
}

impl Demo {
    /// Starts it and waits for its table.
    pub fn start() -> anyhow::Result<Self> {
        let heddle = crate::programs()?.join("heddle");
        let manifests = tempfile::tempdir()?;
        crate::copy(&crate::lesson(), manifests.path())?;
        let mut child = Command::new(&heddle)
            .args(["demo", "--manifests"])
            .arg(manifests.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("heddle demo")?;
        let output = child.stdout.take().context("no output")?;
        let demo = Self {
            child,
            heddle,
            manifests,
        };
        let (sender, lines) = mpsc::channel();
        // Reads on to the end, so that the demo never waits for its reader.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Nobody listens any more once the table was there.
                let _ = sender.send(line);
            }
        });
        let patience = Duration::from_secs(60);
        loop {
            let line = lines
                .recv_timeout(patience)
                .context("the demo shows no table")?;
            if line.contains("Service api-v2-svc") {
                return Ok(demo);
            }
        }
    }

    /// The folder that it watches.
    pub fn manifests(&self) -> &Path {
        self.manifests.path()
    }

    /// Process id of the one outside.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `heddle demo exec <pod> -- <command>`, to its end.
    pub fn exec(&self, pod: &str, command: &[&str]) -> anyhow::Result<Output> {
        let mut exec = Command::new(&self.heddle);
        let id = self.id().to_string();
        exec.args(["demo", "exec", "--demo", &id, pod, "--"]);
        exec.args(command);
        exec.stdin(Stdio::null())
            .output()
            .context("heddle demo exec")
    }

    /// `heddle probe ...` in a pod, as text.
    pub fn probe(&self, pod: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let heddle = self.heddle.display().to_string();
        let output = self.exec(pod, &[&[heddle.as_str(), "probe"], arguments].concat())?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Ends it by a signal and waits until nothing of it is left.
    pub fn end(mut self, signal: Signal) -> anyhow::Result<()> {
        let id = self.id();
        kill(Pid::from_raw(i32::try_from(id)?), signal)?;
        self.child.wait()?;
        let begin = Instant::now();
        loop {
            let left = heddle_testbed::leftovers(id);
            if left.is_empty() {
                return Ok(());
            }
            if begin.elapsed() > Duration::from_secs(10) {
                bail!("left behind 10 s after {signal}: {left:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Its namespaces and processes go with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
