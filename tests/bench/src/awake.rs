//! Keeps cores that wait from going to sleep.

use std::{fs::File, io::Write};

/// While it lives, no core of this machine sleeps: what waits is awake at once, and whoever wakes it has no interrupt to send. In a virtual machine,
/// whose hypervisor does both, this is much: a timer was late by 40 us (p99 154) where cores slept, by 23 (p99 32) where they did not.
///
/// By the kernel's interface for quality of service (Documentation/power/pm_qos_interface.rst), as `tuned`'s profiles for low latency do it.
pub(crate) struct Awake {
    /// The wish is withdrawn when it is closed.
    _wish: File,
}

impl Awake {
    /// `None` without the right to it (it is root's), and without the interface.
    pub(crate) fn keep() -> Option<Self> {
        let mut wish = File::options()
            .write(true)
            .open("/dev/cpu_dma_latency")
            .ok()?;
        // So many microseconds may a core take to awake, as a native i32.
        wish.write_all(&0_i32.to_ne_bytes()).ok()?;
        Some(Self { _wish: wish })
    }
}
