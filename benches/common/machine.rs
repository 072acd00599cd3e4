//! What the benchmark runs on, and how much of it others used meanwhile.
//!
//! Works of two workers on two cores are at the mercy of any third thread. So the share of the processors that other
//! processes used while the table was made is printed below it: all time that the system counts as busy (or as taken
//! by the hypervisor), less what this process and its children used.

use std::time::Instant;
use std::{env, fs, thread};

/// The machine in a few words, as far as the system tells.
pub(crate) fn description() -> String {
    let cpus = thread::available_parallelism().map_or("?".to_owned(), |n| n.to_string());
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown model", |(_, model)| model);
    let (os, arch) = (env::consts::OS, env::consts::ARCH);
    format!("{cpus} CPU(s), {model}, {os} {arch}")
}

/// Watches what others use from its making on.
#[derive(Debug)]
pub(crate) struct Others {
    since: Instant,
    before: Option<f64>,
}

impl Others {
    pub(crate) fn watch() -> Self {
        Self {
            since: Instant::now(),
            before: seconds_of_others(),
        }
    }

    /// The share of all processors that others had since, between 0 and 1, where the system tells.
    pub(crate) fn share(&self) -> Option<f64> {
        let used = seconds_of_others()? - self.before?;
        let all = self.since.elapsed().as_secs_f64() * cpus_online()?;
        Some((used / all).clamp(0.0, 1.0))
    }
}

/// Processor seconds since the machine started that went neither to this process, nor to its children, nor to nobody.
#[cfg(target_os = "linux")]
fn seconds_of_others() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    // `cpu  user nice system idle iowait irq softirq steal guest guest_nice`, in ticks; guests are in `user` as well.
    let ticks: Vec<f64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .map_while(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else {
        return None;
    };
    // SAFETY: `sysconf` takes any number and touches no memory of ours.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let busy = (user + nice + system + irq + softirq + steal) / per_second as f64;
    Some(busy - own_seconds(libc::RUSAGE_SELF)? - own_seconds(libc::RUSAGE_CHILDREN)?)
}

#[cfg(target_os = "linux")]
fn own_seconds(whose: libc::c_int) -> Option<f64> {
    let usage = super::harness::resource_usage(whose)?;
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Some(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

/// How many processors `/proc/stat` adds up.
#[cfg(target_os = "linux")]
fn cpus_online() -> Option<f64> {
    // SAFETY: as above.
    let cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    (cpus > 0).then_some(cpus as f64)
}

#[cfg(not(target_os = "linux"))]
fn seconds_of_others() -> Option<f64> {
    None
}

#[cfg(not(target_os = "linux"))]
fn cpus_online() -> Option<f64> {
    None
}
