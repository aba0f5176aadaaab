//! cgroup.delegation: cgroup v2 delegation.

use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::cgroup::{Mode, Unified};
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "cgroup.delegation",
    docs: Docs {
        title: "cgroup v2 delegation",
        motivation: "On v2 a cgroup with processes in it cannot hand controllers to its children. The container's \
                     own cgroup holds PID 1, so inner containers run, and each with a limit fails with \"cannot \
                     enter cgroupv2 … with domain controllers\".",
        looks_at: "cgroup.controllers, cgroup.subtree_control and cgroup.procs of the container's cgroup.",
        remedy: "dindcheck --fix moves the processes to a cgroup `init` below and enables the controllers.",
        since: "20.10",
    },
    run,
    mend: Some(Mend {
        title: "moves the processes to a cgroup below and enables the controllers, one at a time",
        needs_trials: false,
        fix,
    }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let cgroup = facts.cgroup.as_ref()?;
    if cgroup.mode != Mode::Unified {
        return Ok(Verdict::not_applicable("v1 hierarchies need none"));
    }
    let Some(unified) = &cgroup.unified else { return Ok(Verdict::not_applicable("nothing is mounted")) };
    let wanted = fix::cgroup::delegable(unified, &profile.cgroup_wanted.value);
    let missing: Vec<&str> =
        wanted.iter().copied().filter(|name| !unified.subtree_control.iter().any(|own| own == name)).collect();
    if missing.is_empty() {
        return Ok(Verdict::pass(format!("enabled for children: {}", unified.subtree_control.join(" "))));
    }
    let control = format!("{}/cgroup.subtree_control", unified.point);
    let refusals = missing.iter().filter_map(|name| {
        Some(Evidence { location: format!("+{name}"), value: fix::cgroup::refusal(unified, name)?, wanted: None })
    });
    let is_threaded = unified.kind.as_deref() == Some("domain threaded");
    let cause = if is_threaded {
        "Threads are kept apart in a cgroup below: until that is gone the kernel refuses, and inner containers with a limit fail."
    } else if unified.foreign {
        "It belongs to another user, as seen from this user namespace: no process here can make a cgroup in it."
    } else if !cgroup.owns_unified_top() {
        "The tree that is seen is the host's, and its processes are not ours to move."
    } else if unified.processes.is_empty() {
        "They were not enabled, or the kernel refused them."
    } else {
        "A v2 cgroup with processes in it cannot give controllers to its children, so each inner container with a limit fails."
    };
    Ok(Verdict::fail(Severity::Warning, format!("inner containers get no {}", missing.join(", ")))
        .saw_wanted(control, format!("`{}`", unified.subtree_control.join(" ")), wanted.join(" "))
        .saw(format!("{}/cgroup.procs", unified.point), occupants(unified))
        .evidence(refusals)
        .because(cause)
        .remedy(if is_threaded {
            format!(
                "in {}: move the threads out of the cgroups whose cgroup.type is `threaded`, and remove those",
                unified.point
            )
        } else if unified.foreign {
            "who makes the user namespace has to give the cgroup to its root (a delegated one, Delegate=)".to_owned()
        } else {
            "let dindcheck --fix move the processes to a cgroup below and enable the controllers".to_owned()
        })
        .source("kernel Documentation/admin-guide/cgroup-v2.rst: no internal process constraint"))
}

fn fix(facts: &Facts, profile: &Profile) -> Option<Fix> {
    let cgroup = facts.cgroup.as_ref().ok()?;
    fix::cgroup::delegate(CHECK.id, cgroup, &profile.cgroup_wanted.value)
}

/// Who holds the top, in a few words.
fn occupants(unified: &Unified) -> String {
    let count = unified.processes.len();
    let named: Vec<String> = unified
        .occupants
        .iter()
        .filter(|process| process.group.is_empty())
        .take(5)
        .map(|process| format!("{} ({})", process.pid, process.name.line()))
        .collect();
    match (count, named.as_slice()) {
        (0, _) => "no process".to_owned(),
        (_, []) => format!("{count} processes"),
        (_, named) => {
            format!("{count} processes: {}{}", named.join(", "), if count > named.len() { ", …" } else { "" })
        }
    }
}
