//! What it runs on.

use std::{fmt, fs, time::Duration};

use anyhow::Context;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::utsname::uname,
    unistd::{Pid, SysconfVar, sysconf},
};
use serde::Serialize;

/// Which core is whose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    /// All proxies' (they are measured one after the other).
    pub(crate) proxies: usize,
    /// Clients', servers' and the control plane's.
    pub(crate) others: usize,
}

impl Cores {
    /// The first two that this process may use; if there is but one, it is shared, and latencies tell little.
    pub(crate) fn choose() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("sched_getaffinity")?;
        let mut cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core) == Ok(true));
        let proxies = cores.next().context("no core at all")?;
        Ok(Self {
            proxies,
            others: cores.next().unwrap_or(proxies),
        })
    }

    pub(crate) fn keep_this_process_off_the_proxies(&self) -> anyhow::Result<()> {
        let mut set = CpuSet::new();
        set.set(self.others)?;
        sched_setaffinity(Pid::from_raw(0), &set).context("sched_setaffinity")
    }

    /// How long the proxies' core has been busy since the machine started, for whomever: with interrupts, and with what the
    /// hypervisor took.
    pub(crate) fn busy_time(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string("/proc/stat").context("/proc/stat")?;
        let ticks = busy_ticks(&stat, self.proxies).context("/proc/stat: no line of this core")?;
        let frequency = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100);
        Ok(Duration::from_secs_f64(ticks as f64 / frequency as f64))
    }
}

/// proc_stat(5): user nice system idle iowait irq softirq steal, the rest is counted in these.
fn busy_ticks(stat: &str, core: usize) -> Option<u64> {
    let name = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
    let fields = line.split_whitespace().take(8).enumerate();
    fields
        .filter(|(index, _)| !matches!(index, 3 | 4))
        .map(|(_, ticks)| ticks.parse::<u64>().ok())
        .sum()
}

/// The machine, for the report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory_gb: f64,
    kernel: String,
    /// Load averages over 1, 5 and 15 minutes before the run: what else it was busy with.
    load_before: String,
    core_of_proxies: usize,
    core_of_others: usize,
    /// Whether cores that wait are kept from going to sleep.
    is_kept_awake: bool,
    /// TCP's, in the network namespace of the thread that reads.
    congestion_control: String,
}

impl Machine {
    pub(crate) fn read(cores: &Cores, is_kept_awake: bool) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = field(&meminfo, "MemTotal").and_then(|value| {
            let kilobytes = value.strip_suffix("kB")?.trim();
            kilobytes.parse::<f64>().ok()
        });
        let kernel = uname().map(|name| name.release().to_string_lossy().into_owned());
        Self {
            cpu: field(&cpuinfo, "model name")
                .unwrap_or("unknown")
                .to_owned(),
            cores: cpuinfo
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            memory_gb: (memory.unwrap_or_default() / 1e5).round() / 10.0,
            kernel: kernel.unwrap_or_default(),
            load_before: load_average(),
            core_of_proxies: cores.proxies,
            core_of_others: cores.others,
            is_kept_awake,
            congestion_control: fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")
                .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} cores, {} GB, Linux {}, {}; proxies on core {}, clients and servers on core {}, {}; load before the run {}",
            self.cpu,
            self.cores,
            self.memory_gb,
            self.kernel,
            self.congestion_control,
            self.core_of_proxies,
            self.core_of_others,
            if self.is_kept_awake {
                "kept awake while they wait"
            } else {
                "which may sleep while they wait"
            },
            self.load_before
        )
    }
}

/// Over 1, 5 and 15 minutes.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(key, _)| key.trim() == name)?;
    Some(value.trim())
}

#[cfg(test)]
mod tests {
    use super::{busy_ticks, field};

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "model\t\t: 207\nmodel name\t: Some CPU: fast\n";
        assert_eq!(field(text, "model name"), Some("Some CPU: fast"));
        assert_eq!(field(text, "flags"), None);
    }

    #[test]
    fn a_core_is_busy_with_all_but_idling_and_waiting() {
        let stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu1 1 2 4 1000 1000 8 16 32 1000 1000\n";
        assert_eq!(busy_ticks(stat, 1), Some(63));
        assert_eq!(busy_ticks(stat, 0), None);
    }
}
