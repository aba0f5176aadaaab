//! privileges.no-new-privs: no_new_privs.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "privileges.no-new-privs",
    docs: Docs {
        title: "no_new_privs",
        motivation: "With no_new_privs set, set-user-id programs and file capabilities gain nothing, here and in \
                     every inner container: sudo, ping, newuidmap fail there.",
        looks_at: "NoNewPrivs in /proc/self/status.",
        remedy: "Leave --security-opt no-new-privileges out of the outer docker run.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let privileges = facts.privileges.as_ref()?;
    Ok(match privileges.no_new_privs {
        None => Verdict::not_applicable("the kernel does not say"),
        Some(false) => Verdict::pass("not set"),
        Some(true) => Verdict::fail(Severity::Warning, "no_new_privs is set and cannot be unset")
            .saw_wanted("/proc/self/status: NoNewPrivs", "1", "0")
            .because("sudo, ping and newuidmap gain nothing in any inner container.")
            .remedy("leave --security-opt no-new-privileges (Kubernetes: allowPrivilegeEscalation: false) out")
            .source("PR_SET_NO_NEW_PRIVS(2const)"),
    })
}
