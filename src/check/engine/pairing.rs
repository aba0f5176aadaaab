//! engine.pairing: engine pairing.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::probe::{Attempt, privileges};
use crate::profile::{PairingTrial, Profile};

pub(in crate::check) const CHECK: Check = Check {
    id: "engine.pairing",
    docs: Docs {
        title: "engine pairing",
        motivation: "Some versions of the engine's companions do not work with it, or not inside of some outer \
                     engines: the daemon is up, and every container fails.",
        looks_at: "The versions of the companions that are known for it, against the profile's list of bad ones; where \
                   it can be tried, what came of trying: a sysctl opened as runc 1.3.3 does, the tmpfs with which runc \
                   1.3.6, 1.4.3 and 1.5.0 mask directories, mkfs.erofs for containerd 2.3.0, the file of user namespaces that \
                   runc 1.3.3 wants.",
        remedy: "Another version of that companion, or of the outer engine.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let engine = facts.engine.as_ref()?;
    let layers: Vec<&str> = facts.outer.as_ref()?.layers().collect();
    let source = &profile.runtime_bad_pairings.source;
    let mut judged = Vec::new();
    for pairing in &profile.runtime_bad_pairings.value {
        let attempt = pairing.tried.and_then(|trial| tried(facts, trial));
        let refused = attempt.and_then(|attempt| Some((attempt, attempt.error.as_ref()?)));
        if !pairing.holds_in(&layers) && refused.is_none() {
            continue;
        }
        let location = format!("{} --version", pairing.program);
        let about = |verdict: Verdict| {
            let verdict = match refused {
                Some((attempt, error)) => verdict.saw_wanted(attempt.what.clone(), error.clone(), "it works"),
                None => verdict,
            };
            verdict.because(pairing.effect.clone()).remedy(pairing.remedy.clone()).source(source.clone())
        };
        let version = match engine.companions.get(&pairing.program) {
            Some(version) => version.as_ref()?,
            // It is asked where the outer engine is known for this.
            None if refused.is_some() => {
                let verdict = Verdict::fail(Severity::Warning, format!("{} may not work here", pairing.program));
                return Ok(about(verdict.saw_wanted(location, "not asked", pairing.good())));
            }
            None => continue,
        };
        if !pairing.has(version) || attempt.is_some_and(|attempt| attempt.error.is_none()) {
            judged.push(format!("{} {version}", pairing.program));
            continue;
        }
        let place = if pairing.outer.is_empty() { String::new() } else { format!(" in {}", layers.join(", ")) };
        // Where it can be tried and was not, the names alone tell, and they are wrong about mended releases.
        let (severity, word) = match pairing.tried {
            Some(_) if refused.is_none() => (Severity::Warning, "may not work"),
            // Which plugins containerd loads, its configuration has a say in.
            Some(PairingTrial::MkfsErofs) => (Severity::Warning, "may not come up"),
            _ => (Severity::Blocking, "does not work"),
        };
        let verdict = Verdict::fail(severity, format!("{} {version} {word}{place}", pairing.program));
        return Ok(about(verdict.saw_wanted(location, version.to_string(), pairing.good())));
    }
    judged.dedup();
    Ok(match judged.as_slice() {
        [] => Verdict::not_applicable("no bad one is known for this engine here"),
        _ => Verdict::pass(judged.join(", ")),
    })
}

/// The programs whose version decides whether what was refused here matters.
pub fn in_question<'p>(facts: &Facts, profile: &'p Profile) -> Vec<&'p str> {
    let refused = |trial| tried(facts, trial).is_some_and(|attempt| attempt.error.is_some());
    let pairings = profile.runtime_bad_pairings.value.iter();
    pairings.filter(|pairing| pairing.tried.is_some_and(refused)).map(|pairing| pairing.program.as_str()).collect()
}

/// What came of the trial that tells; `None` if it was not made.
fn tried(facts: &Facts, trial: PairingTrial) -> Option<&Attempt> {
    let what = match trial {
        PairingTrial::SysctlThroughOwnProc => privileges::SYSCTL,
        PairingTrial::MaskTmpfs => privileges::MASK,
        PairingTrial::MkfsErofs => privileges::EROFS,
        PairingTrial::Setgroups => privileges::SETGROUPS,
    };
    facts.privileges.as_ref().ok()?.attempts.as_ref().ok()?.iter().find(|attempt| attempt.what == what)
}
