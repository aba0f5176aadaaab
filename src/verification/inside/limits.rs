//! Limits: what the own cgroup says, and what happens to one who takes more.

use std::fs;
use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::pause;
use serde::{Deserialize, Serialize};

use super::{saw, tell, want};
use crate::finding::Evidence;
use crate::process;
use crate::process::stat::Stat;
use crate::verification::STATUS;

/// The limits that the container was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::verification) struct Order {
    /// Bytes.
    pub(in crate::verification) memory: Option<i64>,
    /// Processes and threads.
    pub(in crate::verification) pids: Option<i64>,
    /// Thousandths of a CPU.
    pub(in crate::verification) millicpus: Option<i64>,
    /// Whether all of them are tried, and not memory alone.
    pub(in crate::verification) enforced: bool,
}

/// How much CPU time is enough to tell that no one stops us, in clock ticks of 10 ms (proc_pid_stat(5), utime).
const ENOUGH_TICKS: u64 = 40;
/// Where it stands what happened to one who takes a whole CPU.
pub(in crate::verification) const CPU_LOCATION: &str = "a process that takes a whole CPU is";
/// And that nothing can be told from it.
pub(in crate::verification) const STARVED: &str = "given less than the limit by a busy machine";
/// How long the machine may take to give us that much.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) fn run(order: &Order) -> io::Result<()> {
    if let Some(limit) = order.pids {
        tell("limits.pids", || pids(limit, order.enforced))?;
    }
    if let Some(millicpus) = order.millicpus {
        tell("limits.cpu", || cpu(millicpus, order.enforced))?;
    }
    if let Some(bytes) = order.memory {
        tell("limits.memory", || memory(bytes))?;
    }
    Ok(())
}

/// Takes this much memory, page by page.
pub(super) fn hog(bytes: usize) {
    let mut memory = vec![0_u8; bytes];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    black_box(memory);
}

fn memory(limit: i64) -> Vec<Evidence> {
    let mut evidence: Vec<Evidence> = read_back("memory", "memory.limit_in_bytes", "memory.max")
        .map(|(path, value)| want(&path, value, limit))
        .into_iter()
        .collect();
    let child = process::fork(|| {
        hog(usize::try_from(limit * 2).unwrap_or_default());
        STATUS
    });
    let how = match child.and_then(|child| Ok(waitpid(child, None)?)) {
        Ok(WaitStatus::Signaled(_, signal, _)) => format!("killed by signal {}", signal as i32),
        Ok(WaitStatus::Exited(_, status)) => format!("had it all (exit status {status})"),
        Ok(other) => format!("{other:?}"),
        Err(error) => error.to_string(),
    };
    evidence.push(want("a process that takes twice the limit is", how, "killed by signal 9"));
    evidence
}

fn pids(limit: i64, enforced: bool) -> Vec<Evidence> {
    let mut evidence: Vec<Evidence> =
        read_back("pids", "pids.max", "pids.max").map(|(path, value)| want(&path, value, limit)).into_iter().collect();
    if !enforced {
        return evidence;
    }
    let mut running = Vec::new();
    let mut refused = None;
    while i64::try_from(running.len()).unwrap_or(i64::MAX) < limit + 8 {
        let idle = || {
            pause();
            0
        };
        match process::fork(idle) {
            Ok(child) => running.push(child),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let count = running.len();
    for child in running {
        // Nothing of it outlives the container.
        let _ = kill(child, Signal::SIGKILL).and_then(|()| waitpid(child, None));
    }
    let next = match refused {
        None => "started".to_owned(),
        // What a limit gives (kernel Documentation/admin-guide/cgroup-v2.rst, PID).
        Some(error) if error.kind() == io::ErrorKind::WouldBlock => "refused".to_owned(),
        Some(error) => error.to_string(),
    };
    evidence.push(saw("processes that could be started", count));
    evidence.push(want("one more than the limit is", next, "refused"));
    evidence
}

fn cpu(millicpus: i64, enforced: bool) -> Vec<Evidence> {
    // v2 has `QUOTA PERIOD` in cpu.max; v1 the quota alone.
    let quota = millicpus * 100;
    let mut evidence = Vec::new();
    if let Some((path, value)) = read_back("cpu", "cpu.cfs_quota_us", "cpu.max") {
        let value = value.split_whitespace().next().unwrap_or_default().to_owned();
        evidence.push(want(&path, value, quota));
    }
    if !enforced {
        return evidence;
    }
    let Some(before) = throttled() else {
        evidence.push(saw("cpu.stat", "not visible in the container"));
        return evidence;
    };
    let (start, used) = (Instant::now(), ticks());
    let mut sum = 0_u64;
    while throttled() == Some(before) && ticks() - used < ENOUGH_TICKS && start.elapsed() < PATIENCE {
        for _ in 0..1_000_000 {
            sum = black_box(sum.wrapping_add(1));
        }
    }
    let (used, wall) = (u128::from(ticks() - used) * 10, start.elapsed().as_millis());
    let how = match throttled() {
        Some(after) if after > before => "throttled",
        // On a machine that is that busy the limit cannot be reached, so that nothing is told.
        _ if used * 1000 < wall * u128::try_from(millicpus).unwrap_or_default() => STARVED,
        _ => "not throttled",
    };
    evidence.push(saw("CPU time that it had", format!("{used} ms in {wall} ms")));
    evidence.push(want(CPU_LOCATION, how, "throttled"));
    evidence
}

/// The CPU time of this process, in clock ticks.
fn ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    Stat::parse(&stat).map(|stat| stat.cpu_ticks()).unwrap_or_default()
}

fn throttled() -> Option<u64> {
    let (_, stat) = read_back("cpu", "cpu.stat", "cpu.stat")?;
    stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")?.trim().parse().ok())
}

/// A file of the own cgroup, where engines mount it: of the v1 controller, or of the unified hierarchy.
fn read_back(controller: &str, legacy: &str, unified: &str) -> Option<(String, String)> {
    [
        format!("/sys/fs/cgroup/{controller}/{legacy}"),
        format!("/sys/fs/cgroup/cpu,cpuacct/{legacy}"),
        format!("/sys/fs/cgroup/{unified}"),
    ]
    .into_iter()
    .find_map(|path| Some((path.clone(), fs::read_to_string(path).ok()?.trim().to_owned())))
}
