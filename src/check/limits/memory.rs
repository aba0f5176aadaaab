//! limits.memory: memory.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::limits::Setting;
use crate::finding::{Fate, Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "limits.memory",
    docs: Docs {
        title: "memory",
        motivation: "The daemon, containerd and all inner containers share the outer container's limit. With little \
                     of it the kernel kills the daemon in the middle of a pull.",
        looks_at: "memory.max (v1: memory.limit_in_bytes) of the container's cgroup.",
        remedy: "docker run --memory with more, or without.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    const FEW: u64 = 256 << 20;
    let limits = facts.limits.as_ref()?;
    Ok(match &limits.memory_max {
        Some(Setting { path, value: Some(bytes) }) if *bytes < FEW => {
            let (severity, cause) = if *bytes <= u64::from(profile.limits_memory.value) << 20 {
                (Severity::Blocking, "The kernel kills the daemon as it starts, or with its first container.")
            } else {
                (Severity::Warning, "dockerd and containerd alone take about 150 MiB while they pull or build.")
            };
            let fate = if severity == Severity::Blocking { Fate::EveryContainerFails } else { Fate::Works };
            Verdict::fail(severity, format!("{} MiB for the daemon and all inner containers", bytes >> 20))
                .foretells(fate)
                .saw_wanted(path.clone(), bytes.to_string(), format!("{FEW} or more"))
                .because(cause)
                .remedy("docker run --memory 1g …, or without a limit")
                .source("kernel Documentation/admin-guide/cgroup-v2.rst: memory.max")
                .source(profile.limits_memory.source.clone())
        }
        // Version 1 says the largest number of pages where there is no limit.
        Some(Setting { value: Some(bytes), .. }) if *bytes < 1 << 60 => Verdict::pass(format!("{} MiB", bytes >> 20)),
        Some(_) => Verdict::pass("no limit"),
        None => Verdict::not_applicable("the memory controller is not seen"),
    })
}
