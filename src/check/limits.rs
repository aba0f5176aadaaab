//! Limits that a daemon and its containers run into.

use super::{Check, Docs};
use crate::facts::limits::{LIMITS, Limit, Setting};
use crate::facts::{FactError, Facts};
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

/// limits.open-files
pub(super) struct OpenFiles;

/// Fewer than this, and a daemon with a few dozen containers runs out (kind and k0s warn at the same number).
const FEW_FILES: u64 = 64_000;
/// More than this, and programs that walk over all possible descriptors take minutes (moby#38814, moby#45060).
const MANY_FILES: u64 = 1 << 24;

impl Check for OpenFiles {
    fn id(&self) -> &'static str {
        "limits.open-files"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "open files",
            motivation: "Inner containers inherit the daemon's limit. With too few, daemons and databases run out; with \
                         a thousand million, programs that close every possible descriptor take minutes and memory.",
            looks_at: "Max open files in /proc/self/limits.",
            remedy: "docker run --ulimit nofile=1048576:1048576.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let limits = facts.limits.as_ref()?;
        let Some(Limit { soft, hard }) = limits.open_files else {
            return Ok(Verdict::unknown(format!("{LIMITS} has no such line")));
        };
        let text = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
        let verdict = |severity, summary: String, cause: &str| {
            Verdict::fail(severity, summary)
                .saw_wanted(
                    format!("{LIMITS}: Max open files"),
                    format!("{} (up to {})", text(soft), text(hard)),
                    format!("{FEW_FILES} to {MANY_FILES}"),
                )
                .because(cause)
                .remedy("docker run --ulimit nofile=1048576:1048576 …")
                .source("moby#38814, moby#45060; containerd#7566")
        };
        Ok(match (soft, hard) {
            (_, Some(hard)) if hard < FEW_FILES => verdict(
                // A few containers run with a thousand; below that not even the daemon is sure to start.
                if hard < 1024 { Severity::Blocking } else { Severity::Info },
                format!("{hard} at most"),
                "The daemon and each of its containers get no more.",
            ),
            (None, _) => verdict(
                Severity::Warning,
                "unlimited".to_owned(),
                "Programs that close every possible descriptor take minutes.",
            ),
            (Some(soft), _) if soft > MANY_FILES => verdict(
                Severity::Warning,
                format!("{soft} is too many"),
                "Programs that close every possible descriptor take minutes.",
            ),
            (Some(soft), _) => Verdict::pass(format!("{soft}, up to {}", text(hard))),
        })
    }
}

/// limits.tasks
pub(super) struct Tasks;

impl Check for Tasks {
    fn id(&self) -> &'static str {
        "limits.tasks"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "processes and threads",
            motivation: "dockerd, containerd and a shim for each container need some hundred threads. At the limit they \
                         die with \"failed to create new OS thread\".",
            looks_at: "pids.max of the container's cgroup, and Max processes in /proc/self/limits.",
            remedy: "docker run --pids-limit -1, and --ulimit nproc=-1.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        const FEW: u64 = 512;
        let limits = facts.limits.as_ref()?;
        let processes =
            limits.processes.and_then(|limit| limit.soft).map(|soft| (format!("{LIMITS}: Max processes"), soft));
        let group = limits.pids_max.as_ref().and_then(|setting| Some((setting.path.clone(), setting.value?)));
        let lowest = [processes, group].into_iter().flatten().min_by_key(|(_, limit)| *limit);
        Ok(match lowest {
            Some((location, limit)) if limit < FEW => {
                let severity = if limit < 64 { Severity::Blocking } else { Severity::Warning };
                Verdict::fail(severity, format!("{limit} at most"))
                    .saw_wanted(location, limit.to_string(), format!("{FEW} or more"))
                    .because("dockerd, containerd and the shims share this with all inner containers.")
                    .remedy("docker run --pids-limit -1 …, without a low --ulimit nproc")
                    .source("kernel Documentation/admin-guide/cgroup-v2.rst: pids.max; getrlimit(2): RLIMIT_NPROC")
            }
            Some((_, limit)) => Verdict::pass(format!("{limit}")),
            None => Verdict::pass("unlimited"),
        })
    }
}

/// limits.memory
pub(super) struct Memory;

impl Check for Memory {
    fn id(&self) -> &'static str {
        "limits.memory"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "memory",
            motivation: "The daemon, containerd and all inner containers share the outer container's limit. With little \
                         of it the kernel kills the daemon in the middle of a pull.",
            looks_at: "memory.max (v1: memory.limit_in_bytes) of the container's cgroup.",
            remedy: "docker run --memory with more, or without.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        const FEW: u64 = 256 << 20;
        let limits = facts.limits.as_ref()?;
        Ok(match &limits.memory_max {
            Some(Setting { path, value: Some(bytes) }) if *bytes < FEW => {
                Verdict::fail(Severity::Warning, format!("{} MiB for the daemon and all inner containers", bytes >> 20))
                    .saw_wanted(path.clone(), bytes.to_string(), format!("{FEW} or more"))
                    .because("dockerd and containerd alone take about 150 MiB while they pull or build.")
                    .remedy("docker run --memory 1g …, or without a limit")
                    .source("kernel Documentation/admin-guide/cgroup-v2.rst: memory.max")
            }
            // Version 1 says the largest number of pages where there is no limit.
            Some(Setting { value: Some(bytes), .. }) if *bytes < 1 << 60 => {
                Verdict::pass(format!("{} MiB", bytes >> 20))
            }
            Some(_) => Verdict::pass("no limit"),
            None => Verdict::not_applicable("the memory controller is not seen"),
        })
    }
}

/// limits.kernel
pub(super) struct KernelTables;

impl Check for KernelTables {
    fn id(&self) -> &'static str {
        "limits.kernel"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "inotify and keys",
            motivation: "These are the host's, shared with all that runs there. Few inotify instances make systemd and \
                         file watchers in inner containers fail; few keys make runc fail with \"disk quota exceeded\".",
            looks_at: "fs.inotify.max_user_instances, kernel.keys.root_maxkeys.",
            remedy: "On the host: sysctl -w fs.inotify.max_user_instances=512 kernel.keys.root_maxkeys=1000000.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let limits = facts.limits.as_ref()?;
        // The kernel's defaults (fs/notify/inotify/inotify_user.c, security/keys/key.c) are 128 and 1000000; moby
        // raises the second itself where it may (daemon/keys.go).
        let low = [(&limits.inotify_instances, 128), (&limits.root_keys, 10_000)];
        let low: Vec<(&str, u64, u64)> = low
            .into_iter()
            .filter_map(|(setting, least)| {
                let setting = setting.as_ref()?;
                let value = setting.value.filter(|value| *value < least)?;
                Some((setting.path.as_str(), value, least))
            })
            .collect();
        if limits.inotify_instances.is_none() && limits.root_keys.is_none() {
            return Ok(Verdict::unknown("neither can be read"));
        }
        if low.is_empty() {
            return Ok(Verdict::pass("enough"));
        }
        let names: Vec<&str> = low.iter().map(|(path, ..)| path.trim_start_matches("/proc/sys/")).collect();
        let mut verdict = Verdict::fail(Severity::Warning, format!("low: {}", names.join(", ")))
            .because("They are shared with everything on the host, and run out under load.")
            .remedy("on the host: sysctl -w fs.inotify.max_user_instances=512 kernel.keys.root_maxkeys=1000000")
            .source("moby daemon/keys.go; kubernetes-sigs/kind#3423");
        for (path, value, least) in low {
            verdict = verdict.saw_wanted(path, value.to_string(), format!("{least} or more"));
        }
        Ok(verdict)
    }
}
