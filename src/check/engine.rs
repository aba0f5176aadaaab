//! The inner engine's programs and version.

use super::{Check, Docs, nftables};
use crate::facts::{FactError, Facts};
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

/// engine.binaries
pub(super) struct Binaries;

impl Check for Binaries {
    fn id(&self) -> &'static str {
        "engine.binaries"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "engine programs",
            motivation: "From 1.11 the engine is several programs, and their names changed twice. A missing one shows \
                         up late, as a start that times out or a first container that fails.",
            looks_at: "Each program that the profile names, in PATH.",
            remedy: "Install the packages that the image leaves out, or fix PATH.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let engine = facts.engine.as_ref()?;
        // netfilter.nftables says what it is then.
        let needless = |name: &&String| name.as_str() == "iptables" && nftables::is_used(facts);
        let absent = |names: &[String]| -> Vec<String> {
            let missing = names.iter().filter(|name| !matches!(engine.binaries.get(*name), Some(Some(_))));
            missing.filter(|name| !needless(name)).cloned().collect()
        };
        let (needed, missing) = (&profile.binaries_required, absent(&profile.binaries_required.value));
        if !missing.is_empty() {
            return Ok(Verdict::fail(Severity::Blocking, format!("not found: {}", missing.join(", ")))
                .saw_wanted(format!("PATH={}", engine.path), "no such program", needed.value.join(" "))
                .because(format!("Docker {} does not start, or runs no container, without them.", engine.version))
                .remedy(format!("install {} in the image, or put their directory into PATH", missing.join(", ")))
                .source(needed.source.clone()));
        }
        let optional = absent(&profile.binaries_optional.value);
        if !optional.is_empty() {
            return Ok(Verdict::fail(
                Severity::Info,
                format!("not found, can be done without: {}", optional.join(", ")),
            )
            .saw(format!("PATH={}", engine.path), "no such program")
            .source(profile.binaries_optional.source.clone()));
        }
        Ok(Verdict::pass(needed.value.join(", ")))
    }
}

/// engine.profile
pub(super) struct ProfileKnown;

impl Check for ProfileKnown {
    fn id(&self) -> &'static str {
        "engine.profile"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "engine version",
            motivation: "What is wanted here depends on the engine's version, so it has to be known.",
            looks_at: "What dockerd --version (docker --version before 1.12) prints, or --inner.",
            remedy: "Put the engine's programs into PATH, or say the version with --inner.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
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
                .saw(format!("{} {}", error.verb, error.path), error.reason.clone())
                .because("There is no engine in PATH, or it does not say which it is.")
                .remedy("install the engine in the image, or put its directory into PATH")
                .remedy("or say the version: --inner 28.5.2"),
        })
    }
}

/// engine.pairing
pub(super) struct Pairing;

impl Check for Pairing {
    fn id(&self) -> &'static str {
        "engine.pairing"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "engine pairing",
            motivation: "Some versions of the engine's companions do not work with it, or not inside of some outer \
                         engines: the daemon is up, and every container fails.",
            looks_at: "The versions of the companions that are known for it, against the profile's list of bad ones.",
            remedy: "Another version of that companion, or of the outer engine.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
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
}
