//! What a process has used, from `/proc`.

use std::time::Duration;

use anyhow::{Context, Result};

/// CPU time (user and system) of the process and of those children that it has waited for.
pub(super) fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended")?;
    // `PID (NAME) STATE …`, and a name may hold spaces and parentheses; utime is the 14th field of all.
    let (_, fields) = stat.rsplit_once(") ").context("an odd stat")?;
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// The most memory it has ever had resident, in MiB.
pub fn peak_memory(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the process has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kibibytes: f64 = line.split_whitespace().next().context("no number")?.parse()?;
    Ok(kibibytes / 1024.0)
}

/// Runnable processes over the last minute: above the number of cores, others were using them too.
pub(super) fn load() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_some_memory_and_its_cpu_time_grows() {
        let pid = std::process::id();
        assert!(peak_memory(pid).unwrap() > 1.0);
        let before = cpu(pid).unwrap();
        let began = std::time::Instant::now();
        let mut sum = 0_u64;
        while cpu(pid).unwrap() == before && began.elapsed() < Duration::from_secs(5) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu(pid).unwrap() > before);
    }
}
