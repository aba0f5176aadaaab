//! image.pairing: versions that do not go together.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};

pub(super) const CHECK: Check = Check {
    id: "image.pairing",
    docs: Docs {
        title: "versions that do not go together",
        motivation: "The engine is released with a containerd and a runc that it was tested with. With some others \
                     every container fails.",
        looks_at: "The versions of containerd, runc and crun, against the bad pairings of the profile.",
        remedy: "Install the version that the engine was released with.",
        since: "18.09",
    },
    run,
};

fn run(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
    let mut versions = Vec::new();
    for name in ["containerd", "runc", "crun"] {
        let Some(said) = image.version_of(name) else { continue };
        let bad = profile.runtime_bad_pairings.value.iter().find(|bad| {
            bad.program == name
                && bad.from.as_ref().is_none_or(|from| said.version >= *from)
                && bad.before.as_ref().is_none_or(|before| said.version < *before)
        });
        if let Some(bad) = bad {
            // In which outer engine it will run is not known here.
            let everywhere = bad.outer.is_empty();
            let severity = if everywhere { Severity::Blocking } else { Severity::Info };
            let place = if everywhere { String::new() } else { format!(" in {}", bad.outer.join(", ")) };
            return Verdict::fail(
                severity,
                format!("{name} {} with Docker {}{place}: {}", said.version, profile.version, bad.effect),
            )
            .saw(said.by, said.version.to_string())
            .remedy(bad.remedy.clone())
            .source(profile.runtime_bad_pairings.source.clone());
        }
        versions.push(format!("{name} {}", said.version));
    }
    if versions.is_empty() {
        return Verdict::not_applicable("neither containerd nor runc reports its version");
    }
    Verdict::pass(versions.join(", "))
}
