//! limits.tasks: processes and threads.

use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::limits::LIMITS;
use crate::finding::{Fate, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "limits.tasks",
    docs: Docs {
        title: "processes and threads",
        motivation: "dockerd, containerd and a shim for each container need some hundred threads. At the limit they \
                     die with \"failed to create new OS thread\".",
        looks_at: "pids.max of the container's cgroup, and Max processes in /proc/self/limits.",
        remedy: "docker run --pids-limit -1, and --ulimit nproc=-1; dindcheck --fix raises the soft limit of processes.",
        since: "1.0",
    },
    run,
    mend: Some(Mend {
        title: "starts the daemon with a higher soft limit of processes, within the hard one",
        needs_trials: false,
        fix,
    }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let limits = facts.limits.as_ref()?;
    let processes =
        limits.processes.and_then(|limit| limit.soft).map(|soft| (format!("{LIMITS}: Max processes"), soft));
    let group = limits.pids_max.as_ref().and_then(|setting| Some((setting.path.clone(), setting.value?)));
    let lowest = [processes, group].into_iter().flatten().min_by_key(|(_, limit)| *limit);
    Ok(match lowest {
        Some((location, limit)) if limit < FEW_TASKS => {
            let severity =
                if limit <= u64::from(profile.limits_tasks.value) { Severity::Blocking } else { Severity::Warning };
            let fate = if severity == Severity::Blocking { Fate::EveryContainerFails } else { Fate::Works };
            Verdict::fail(severity, format!("{limit} at most"))
                .foretells(fate)
                .saw_wanted(location, limit.to_string(), format!("{FEW_TASKS} or more"))
                .because("dockerd, containerd and the shims share this with all inner containers.")
                .remedy("docker run --pids-limit -1 …, without a low --ulimit nproc")
                .source("kernel Documentation/admin-guide/cgroup-v2.rst: pids.max; getrlimit(2): RLIMIT_NPROC")
                .source(profile.limits_tasks.source.clone())
        }
        Some((_, limit)) => Verdict::pass(format!("{limit}")),
        None => Verdict::pass("unlimited"),
    })
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let limit = facts.limits.as_ref().ok()?.processes?;
    let few = limit.soft.is_some_and(|soft| soft < FEW_TASKS);
    few.then(|| fix::limits::set_soft(CHECK.id, "nproc", limit, None))?
}

/// Fewer tasks than this, and a daemon with a few containers runs out.
const FEW_TASKS: u64 = 512;
