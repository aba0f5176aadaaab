//! cgroup.controllers: cgroup controllers.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::cgroup::Mode;
use crate::facts::mounts::MOUNTINFO;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "cgroup.controllers",
    docs: Docs {
        title: "cgroup controllers",
        motivation: "Without a controller the daemon switches its limits off with a warning: docker run --memory \
                     then sets nothing.",
        looks_at: "The mounted v1 hierarchies, or cgroup.controllers on v2, against what the profile wants.",
        remedy: "Mount or delegate the controllers named; on the host, boot with cgroup_enable=memory where it is \
                 memory.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let cgroup = facts.cgroup.as_ref()?;
    let wanted = &profile.cgroup_wanted;
    let (location, missing): (&str, Vec<&str>) = match (cgroup.mode, &cgroup.unified) {
        (Mode::Unified, Some(unified)) => {
            let has = |name: &str| unified.controllers.iter().any(|own| own == v2_name(name));
            let counts = |name: &&str| !NOT_ON_V2.contains(name);
            let wanted = wanted.value.iter().map(String::as_str).filter(counts);
            ("cgroup.controllers", wanted.filter(|name| !has(name)).collect())
        }
        (Mode::Legacy | Mode::Hybrid, _) if !cgroup.legacy_mounts.is_empty() => {
            let wanted = wanted.value.iter().map(String::as_str);
            (MOUNTINFO, wanted.filter(|name| cgroup.legacy_mount(name).is_none()).collect())
        }
        _ => return Ok(Verdict::not_applicable("nothing is mounted")),
    };
    if missing.is_empty() {
        return Ok(Verdict::pass("all that the engine sets limits with"));
    }
    Ok(Verdict::fail(Severity::Warning, format!("not available: {}", missing.join(", ")))
        .saw_wanted(location, format!("no {}", missing.join(", ")), wanted.value.join(" "))
        .because("The daemon warns and switches the limits of these controllers off.")
        .remedy("mount (v1) or delegate (v2) them to the outer container")
        .source(wanted.source.clone()))
}

/// On v2 these are no controllers: a BPF program and a file of every cgroup do their work.
const NOT_ON_V2: [&str; 2] = ["devices", "freezer"];

/// The v2 controller that does the work of a v1 one.
fn v2_name(name: &str) -> &str {
    match name {
        "blkio" => "io",
        "cpuacct" => "cpu",
        other => other,
    }
}
