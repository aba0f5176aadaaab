//! engine.profile: engine version.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "engine.profile",
    docs: Docs {
        title: "engine version",
        motivation: "What is wanted here depends on the engine's version, so it has to be known.",
        looks_at: "What dockerd --version (docker --version before 1.12) prints, or --inner.",
        remedy: "Put the engine's programs into PATH, or give the version with --inner.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    Ok(match &facts.engine {
        Ok(engine) if profile.stands_in => {
            Verdict::fail(Severity::Info, format!("Docker {} is newer than every profile", engine.version))
                .saw(engine.said_by.clone(), engine.version.to_string())
                .because(format!(
                    "It is judged by the newest, {}; what changed since then is not known.",
                    profile.profile
                ))
                .remedy("use a newer dindcheck, or give it a profile: --profile-dir")
        }
        Ok(engine) => {
            Verdict::pass(format!("Docker {} ({}), judged by {}", engine.version, engine.said_by, profile.profile))
        }
        Err(error) => Verdict::fail(Severity::Blocking, "the engine's version is not known")
            .saw(format!("{} {}", error.verb, error.path), error.reason.text())
            .because("There is no engine in PATH, or it does not say which it is.")
            .remedy("install the engine in the image, or put its directory into PATH")
            .remedy("or give the version: --inner 28.5.2"),
    })
}
