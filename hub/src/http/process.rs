//! What the kernel says about this process (proc(5)).

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Memory, descriptors and time of a process; 0 where the kernel does not say.
#[derive(Debug, Default)]
pub struct Process {
    /// Bytes in memory.
    pub resident_bytes: u64,
    /// Open descriptors.
    pub open_fds: u64,
    /// Most descriptors.
    pub max_fds: u64,
    /// Processor time, in seconds.
    pub cpu_s: f64,
}

impl Process {
    /// This process, now.
    pub fn now() -> Process {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = resident.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
        // The listing itself has a descriptor open.
        let open_fds = std::fs::read_dir("/proc/self/fd").map_or(0, |listed| listed.count().saturating_sub(1) as u64);
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Process {
            resident_bytes: kilobytes * 1024,
            open_fds,
            max_fds: getrlimit(Resource::Nofile).current.unwrap_or(0),
            cpu_s: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        }
    }
}
