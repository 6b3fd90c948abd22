//! What the kernel charged to processes.

use std::{fs, time::Duration};

use anyhow::Context;
use nix::{time::clock_getcpuclockid, unistd::Pid};
use serde::Serialize;

/// CPU time of some processes, user and system, with all of their threads, also those that ended.
///
/// It is the process CPU clock (`clock_getcpuclockid(3)`), of which utime and stime in `/proc/PID/stat` are a split by sampling, rounded to
/// hundredths of a second. The split is of the whole life of a process and says nothing of some seconds of it, so it is not told.
pub(crate) fn cpu_time(processes: &[Pid]) -> anyhow::Result<Duration> {
    let mut sum = Duration::ZERO;
    for pid in processes {
        let clock = clock_getcpuclockid(*pid).with_context(|| format!("process {pid}"))?;
        sum += Duration::from(clock.now()?);
    }
    Ok(sum)
}

/// Memory of some processes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Memory {
    /// Resident now, kB.
    pub(crate) resident_kb: u64,
    /// The most that was ever resident, kB.
    pub(crate) peak_kb: u64,
}

impl Memory {
    /// Of these processes now.
    pub(crate) fn of(processes: &[Pid]) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        for pid in processes {
            let path = format!("/proc/{pid}/status");
            let status = fs::read_to_string(&path).context(path)?;
            sum.resident_kb += kilobytes(&status, "VmRSS").context("VmRSS")?;
            sum.peak_kb += kilobytes(&status, "VmHWM").context("VmHWM")?;
        }
        Ok(sum)
    }
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.strip_prefix(':')?
        .trim()
        .strip_suffix("kB")?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_its_own_line() {
        let status = "VmHWM:\t    5000 kB\nVmRSS:\t    4000 kB\nRssAnon:\t 1 kB\n";
        assert_eq!(kilobytes(status, "VmRSS"), Some(4000));
        assert_eq!(kilobytes(status, "VmHWM"), Some(5000));
        assert_eq!(kilobytes(status, "VmSwap"), None);
    }

    #[test]
    fn this_process_has_used_some_cpu_and_memory() {
        let own = [Pid::this()];
        // Each reading costs some itself.
        assert!(cpu_time(&own).unwrap() < cpu_time(&own).unwrap());
        assert_eq!(cpu_time(&[]).unwrap(), Duration::ZERO);
        assert!(Memory::of(&own).unwrap().resident_kb > 0);
    }
}
