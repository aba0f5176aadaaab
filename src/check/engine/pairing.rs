//! engine.pairing: engine pairing.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "engine.pairing",
    docs: Docs {
        title: "engine pairing",
        motivation: "Some versions of the engine's companions do not work with it, or not inside of some outer \
                     engines: the daemon is up, and every container fails.",
        looks_at: "The versions of the companions that are known for it, against the profile's list of bad ones.",
        remedy: "Another version of that companion, or of the outer engine.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let engine = facts.engine.as_ref()?;
    let layers: Vec<&str> = facts.outer.as_ref()?.layers().collect();
    let mut judged = Vec::new();
    for pairing in profile.runtime_bad_pairings.value.iter().filter(|pairing| pairing.holds_in(&layers)) {
        let Some(version) = engine.companions.get(&pairing.program) else { continue };
        let version = version.as_ref()?;
        if pairing.has(version) {
            let place = if pairing.outer.is_empty() { String::new() } else { format!(" in {}", layers.join(", ")) };
            return Ok(Verdict::fail(
                Severity::Blocking,
                format!("{} {version} does not work{place}", pairing.program),
            )
            .saw_wanted(format!("{} --version", pairing.program), version.to_string(), pairing.good())
            .because(pairing.effect.clone())
            .remedy(pairing.remedy.clone())
            .source(profile.runtime_bad_pairings.source.clone()));
        }
        judged.push(format!("{} {version}", pairing.program));
    }
    judged.dedup();
    Ok(match judged.as_slice() {
        [] => Verdict::not_applicable("no bad one is known for this engine here"),
        _ => Verdict::pass(judged.join(", ")),
    })
}
