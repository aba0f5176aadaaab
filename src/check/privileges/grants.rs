//! privileges.grants: what inner --privileged asks for.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::privileges::names;
use crate::finding::{Severity, Verdict};
use crate::profile::{Grants, Profile};

pub(in crate::check) const CHECK: Check = Check {
    id: "privileges.grants",
    docs: Docs {
        title: "what inner --privileged asks for",
        motivation: "Engines before 23.0 ask for every capability that they know for a privileged inner container, \
                     whatever they have themselves. Where one is missing here, `docker run --privileged` fails in \
                     them with \"unable to apply caps: operation not permitted\".",
        looks_at: "CapBnd in /proc/self/status against the list of this version.",
        remedy: "Add the missing capability to the outer container, or use an inner engine from 23.0 on.",
        since: "1.0 to 20.10",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let privileges = facts.privileges.as_ref()?;
    let grants = &profile.privileged_grants;
    let limit = match grants.value {
        Grants::Bounding => return Ok(Verdict::pass("what the daemon has itself")),
        Grants::UpToBlockSuspend => BLOCK_SUSPEND,
        Grants::UpToAuditRead => AUDIT_READ,
    };
    let last = limit.min(privileges.last.unwrap_or(limit));
    let asked = names((1u64 << (last + 1)) - 1);
    let missing: Vec<&str> = asked.difference(&privileges.bounding).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(Verdict::pass(format!("all {}", asked.len())));
    }
    let added: String = missing.iter().map(|name| format!(" --cap-add {}", name.trim_start_matches("CAP_"))).collect();
    Ok(Verdict::fail(Severity::Warning, format!("inner --privileged will fail: no {}", missing.join(", ")))
        .saw_wanted(
            "/proc/self/status: CapBnd",
            format!("without {}", missing.join(" ")),
            format!("all {}", asked.len()),
        )
        .because(format!("Docker {} asks for all of them, whatever it has itself.", profile.version))
        .remedy(format!("docker run{added} … for the outer container, where its host has them"))
        .source(grants.source.clone()))
}

/// The last capability of the fixed lists that old engines had (linux/capability.h).
const BLOCK_SUSPEND: u8 = 36;

const AUDIT_READ: u8 = 37;
