//! Limits that a daemon and its containers run into.

use super::{Check, Docs};
use crate::facts::limits::{KEY_USERS, LIMITS, Limit, Limits, Setting};
use crate::facts::{FactError, Facts};
use crate::finding::{Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

/// limits.open-files
pub(super) struct OpenFiles;

/// Fewer than this, and a daemon with a few dozen containers runs out (kind and k0s warn at the same number).
const FEW_FILES: u64 = 64_000;
/// More than this, and programs that walk over all possible descriptors take minutes (moby#38814, moby#45060).
const MANY_FILES: u64 = 1 << 24;
/// What systemd and engines from 25.0 on give as the soft limit: fewer are somebody's mistake.
const LEAST_FILES: u64 = 1024;
/// What the engine's own service files gave for years.
const USUAL_FILES: u64 = 1 << 20;

impl Check for OpenFiles {
    fn id(&self) -> &'static str {
        "limits.open-files"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("starts the daemon with another soft limit, within the hard one")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "open files",
            motivation: "Inner containers inherit the daemon's limit. With too few, daemons and databases run out; with \
                         a thousand million, programs that close every possible descriptor take minutes and memory.",
            looks_at: "Max open files in /proc/self/limits.",
            remedy: "docker run --ulimit nofile=1048576:1048576; dindcheck --fix sets the soft limit, as far as the hard \
                     one goes.",
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
            // Not even the daemon is sure to start.
            (_, Some(hard)) if hard < LEAST_FILES => verdict(
                Severity::Blocking,
                format!("{hard} at most"),
                "The daemon and each of its containers get no more.",
            ),
            (Some(soft), _) if soft < LEAST_FILES => verdict(
                Severity::Warning,
                format!("{soft}, where {} would be allowed", text(hard)),
                "Inner containers get the soft limit, whatever the hard one is.",
            ),
            (_, Some(hard)) if hard < FEW_FILES => {
                verdict(Severity::Info, format!("{hard} at most"), "The daemon and each of its containers get no more.")
            }
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

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        let limit = facts.limits.as_ref().ok()?.open_files?;
        limit.hard.is_none_or(|hard| hard >= LEAST_FILES).then_some(())?;
        let odd = limit.soft.is_none_or(|soft| !(LEAST_FILES..=MANY_FILES).contains(&soft));
        odd.then(|| fix::limits::set_soft(self.id(), "nofile", limit, Some(USUAL_FILES)))?
    }
}

/// limits.tasks
pub(super) struct Tasks;

/// Fewer tasks than this, and a daemon with a few containers runs out.
const FEW_TASKS: u64 = 512;

impl Check for Tasks {
    fn id(&self) -> &'static str {
        "limits.tasks"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("starts the daemon with a higher soft limit of processes, within the hard one")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "processes and threads",
            motivation: "dockerd, containerd and a shim for each container need some hundred threads. At the limit they \
                         die with \"failed to create new OS thread\".",
            looks_at: "pids.max of the container's cgroup, and Max processes in /proc/self/limits.",
            remedy: "docker run --pids-limit -1, and --ulimit nproc=-1; dindcheck --fix raises the soft limit of processes.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let limits = facts.limits.as_ref()?;
        let processes =
            limits.processes.and_then(|limit| limit.soft).map(|soft| (format!("{LIMITS}: Max processes"), soft));
        let group = limits.pids_max.as_ref().and_then(|setting| Some((setting.path.clone(), setting.value?)));
        let lowest = [processes, group].into_iter().flatten().min_by_key(|(_, limit)| *limit);
        Ok(match lowest {
            Some((location, limit)) if limit < FEW_TASKS => {
                let severity = if limit < 64 { Severity::Blocking } else { Severity::Warning };
                Verdict::fail(severity, format!("{limit} at most"))
                    .saw_wanted(location, limit.to_string(), format!("{FEW_TASKS} or more"))
                    .because("dockerd, containerd and the shims share this with all inner containers.")
                    .remedy("docker run --pids-limit -1 …, without a low --ulimit nproc")
                    .source("kernel Documentation/admin-guide/cgroup-v2.rst: pids.max; getrlimit(2): RLIMIT_NPROC")
            }
            Some((_, limit)) => Verdict::pass(format!("{limit}")),
            None => Verdict::pass("unlimited"),
        })
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        let limit = facts.limits.as_ref().ok()?.processes?;
        let few = limit.soft.is_some_and(|soft| soft < FEW_TASKS);
        few.then(|| fix::limits::set_soft(self.id(), "nproc", limit, None))?
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

/// Each container of runc takes a key for its session, and most of them another one or two.
const KEYS_TO_SPARE: u64 = 200;

/// The settings that are low, each with what it should be at least and what to set.
///
/// The kernel's defaults (fs/notify/inotify/inotify_user.c, security/keys/key.c) are 128 and 1000000; moby raises the
/// second itself where it may (daemon/keys.go).
fn low_settings(limits: &Limits) -> Vec<(&Setting, u64, u64)> {
    let keys = limits.root_keys_used.map_or(10_000, |used| used.saturating_add(KEYS_TO_SPARE).max(10_000));
    let wanted = [(&limits.inotify_instances, 128, 512), (&limits.root_keys, keys, 1_000_000.max(2 * keys))];
    wanted
        .into_iter()
        .filter_map(|(setting, least, better)| {
            let setting = setting.as_ref()?;
            setting.value.is_some_and(|value| value < least).then_some((setting, least, better))
        })
        .collect()
}

impl Check for KernelTables {
    fn id(&self) -> &'static str {
        "limits.kernel"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("raises them: for the host with --allow-host-changes alone")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "inotify and keys",
            motivation: "These are the host's, shared with all that runs there. Few inotify instances make systemd and \
                         file watchers in inner containers fail; few keys make runc fail with \"disk quota exceeded\".",
            looks_at: "fs.inotify.max_user_instances; kernel.keys.root_maxkeys against what /proc/key-users says is in \
                       use.",
            remedy: "On the host: sysctl -w fs.inotify.max_user_instances=512 kernel.keys.root_maxkeys=1000000; \
                     dindcheck --fix --allow-host-changes does it.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let limits = facts.limits.as_ref()?;
        if limits.inotify_instances.is_none() && limits.root_keys.is_none() {
            return Ok(Verdict::unknown("neither can be read"));
        }
        let low = low_settings(limits);
        if low.is_empty() {
            return Ok(Verdict::pass("enough"));
        }
        let names: Vec<&str> = low.iter().map(|(setting, ..)| setting.path.trim_start_matches("/proc/sys/")).collect();
        let mut verdict = Verdict::fail(Severity::Warning, format!("low: {}", names.join(", ")))
            .because("They are shared with everything on the host, and run out under load.")
            .remedy("on the host: sysctl -w fs.inotify.max_user_instances=512 kernel.keys.root_maxkeys=1000000")
            .source("moby daemon/keys.go; kubernetes-sigs/kind#3423");
        for (setting, least, _) in low {
            let value = setting.value.map(|value| value.to_string()).unwrap_or_default();
            verdict = verdict.saw_wanted(setting.path.clone(), value, format!("{least} or more"));
        }
        if let Some(used) = limits.root_keys_used {
            verdict = verdict.saw(KEY_USERS, format!("{used} keys of root are in use"));
        }
        Ok(verdict)
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        let low = low_settings(facts.limits.as_ref().ok()?);
        let settings: Vec<_> = low.into_iter().map(|(setting, _, better)| (setting, better)).collect();
        fix::limits::raise(self.id(), &settings)
    }
}
