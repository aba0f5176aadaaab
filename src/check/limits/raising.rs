//! limits.raising: limits that inner containers may be given.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::limits::{LIMITS, Limit};
use crate::finding::{Fate, Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "limits.raising",
    docs: Docs {
        title: "limits above the outer container's",
        motivation: "Databases and search engines ask for --ulimit memlock=-1 or a million open files. A hard limit \
                     rises, and oom_score_adj falls, only with CAP_SYS_RESOURCE in the host's own user namespace; \
                     elsewhere such a container fails with \"error setting rlimit type 8: operation not permitted\".",
        looks_at: "CAP_SYS_RESOURCE in CapEff of /proc/self/status, /proc/self/uid_map, and the hard limit in \
                   /proc/self/limits.",
        remedy: "Give the outer container the limits that its inner ones ask for (--ulimit nofile=…, memlock=-1), or \
                 run it with --privileged and without a user namespace.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let privileges = facts.privileges.as_ref()?;
    let limits = facts.limits.as_ref()?;
    let has = privileges.effective.contains(CAPABILITY);
    if has && privileges.initial_user_namespace {
        return Ok(Verdict::pass("a container may be given more than the daemon has"));
    }
    let verdict = Verdict::fail(Severity::Info, "no container is given more than the hard limits here");
    let verdict = if has {
        verdict.saw_wanted("/proc/self/uid_map", privileges.uid_map.clone(), "0 0 4294967295")
    } else {
        verdict.saw_wanted("/proc/self/status: CapEff", format!("without {CAPABILITY}"), CAPABILITY)
    };
    let verdict = match limits.open_files {
        Some(Limit { hard: Some(hard), .. }) => verdict.saw(format!("{LIMITS}: Max open files"), hard.to_string()),
        _ => verdict,
    };
    Ok(verdict
        .foretells(Fate::Works)
        .because(
            "A container that asks for more with --ulimit, or for a lower --oom-score-adj than the daemon has (\"can't get \
             final child's PID from pipe\"), fails; all others run.",
        )
        .remedy("docker run --ulimit nofile=1048576:1048576 --ulimit memlock=-1 … for the outer container")
        .source("kernel kernel/sys.c: do_prlimit; fs/proc/base.c: __set_oom_adj (both ask the initial user namespace)"))
}

/// What raising a hard limit takes (capabilities(7)).
const CAPABILITY: &str = "CAP_SYS_RESOURCE";
