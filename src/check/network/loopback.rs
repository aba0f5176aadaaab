//! network.loopback: whether anybody can be reached at 127.0.0.1.

use super::is_own;
use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::network::LOOPBACK_FLAGS;
use crate::finding::{Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "network.loopback",
    docs: Docs {
        title: "loopback",
        motivation: "The loopback of a new network namespace is down until an engine, or the init that LXC \
                     expects, sets it up. Without it published ports and the API are not reached by 127.0.0.1.",
        looks_at: "The flags of the interface lo.",
        remedy: "ip link set lo up; dindcheck --fix does it.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "sets it up", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    Ok(match facts.network.as_ref()?.loopback_up {
        None => Verdict::unknown(format!("{LOOPBACK_FLAGS} cannot be read")),
        Some(true) => Verdict::pass("lo is up"),
        Some(false) => Verdict::fail(Severity::Warning, "lo is down")
            .saw_wanted(LOOPBACK_FLAGS, "not up", "up")
            .because("Published ports and the API cannot be reached by 127.0.0.1.")
            .remedy("ip link set lo up, before dindcheck (LXC leaves that to an init in the container)")
            .remedy("or let dindcheck --fix set it up in this network namespace")
            .source("kernel net/core/dev.c: a new device is down; runc sets lo up (libcontainer/network_linux.go)"),
    })
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let is_down = facts.network.as_ref().ok()?.loopback_up == Some(false);
    is_down.then(|| fix::network::set_up(CHECK.id, "lo", is_own(facts)))
}
