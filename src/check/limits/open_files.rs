//! limits.open-files: open files.

use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::limits::{LIMITS, Limit};
use crate::finding::{Fate, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "limits.open-files",
    docs: Docs {
        title: "open files",
        motivation: "Inner containers inherit the daemon's limit. With too few, daemons and databases run out; with \
                     10^9, programs that close every possible descriptor take minutes and memory.",
        looks_at: "Max open files in /proc/self/limits.",
        remedy: "docker run --ulimit nofile=1048576:1048576; dindcheck --fix sets the soft limit, as far as the hard \
                 one goes.",
        since: "1.0",
    },
    run,
    mend: Some(Mend {
        title: "starts the daemon with another soft limit, within the hard one",
        needs_trials: false,
        fix,
    }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let limits = facts.limits.as_ref()?;
    let Some(Limit { soft, hard }) = limits.open_files else {
        return Ok(Verdict::unknown(format!("{LIMITS} has no such line")));
    };
    let text = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    let verdict = |severity, summary: String, cause: &str| {
        let fate = if severity == Severity::Blocking { Fate::EveryContainerFails } else { Fate::Works };
        Verdict::fail(severity, summary)
            .foretells(fate)
            .saw_wanted(
                format!("{LIMITS}: Max open files"),
                format!("{} (up to {})", text(soft), text(hard)),
                format!("{FEW_FILES} to {MANY_FILES}"),
            )
            .because(cause)
            .remedy("docker run --ulimit nofile=1048576:1048576 …")
            .source("moby#38814, moby#45060; containerd#7566")
            .source(profile.limits_open_files.source.clone())
    };
    Ok(match (soft, hard) {
        (_, Some(hard)) if hard <= u64::from(profile.limits_open_files.value) => {
            verdict(Severity::Blocking, format!("{hard} at most"), "The daemon starts, and no container does.")
        }
        (_, Some(hard)) if hard < LEAST_FILES => verdict(
            Severity::Warning,
            format!("{hard} at most"),
            "The daemon and each of its containers get no more, and several at a time run out.",
        ),
        (Some(soft), _) if soft < LEAST_FILES => verdict(
            Severity::Warning,
            format!("{soft}, where {} would be allowed", text(hard)),
            "Inner containers get the soft limit, whatever the hard one is.",
        ),
        (_, Some(hard)) if hard < FEW_FILES => {
            verdict(Severity::Info, format!("{hard} at most"), "The daemon and each of its containers get no more.")
        }
        (None, _) => verdict(
            Severity::Warning,
            "unlimited".to_owned(),
            "Programs that close every possible descriptor take minutes.",
        ),
        (Some(soft), _) if soft > MANY_FILES => verdict(
            Severity::Warning,
            format!("{soft} is too many"),
            "Programs that close every possible descriptor take minutes.",
        ),
        (Some(soft), _) => Verdict::pass(format!("{soft}, up to {}", text(hard))),
    })
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let limit = facts.limits.as_ref().ok()?.open_files?;
    limit.hard.is_none_or(|hard| hard >= LEAST_FILES).then_some(())?;
    let odd = limit.soft.is_none_or(|soft| !(LEAST_FILES..=MANY_FILES).contains(&soft));
    odd.then(|| fix::limits::set_soft(CHECK.id, "nofile", limit, Some(USUAL_FILES)))?
}

/// Fewer than this, and a daemon with a few dozen containers runs out (kind and k0s warn at the same number).
const FEW_FILES: u64 = 64_000;

/// More than this, and programs that walk over all possible descriptors take minutes (moby#38814, moby#45060).
const MANY_FILES: u64 = 1 << 24;

/// What systemd and engines from 25.0 on give as the soft limit: fewer are a mistake.
const LEAST_FILES: u64 = 1024;

/// What the engine's own service files gave for years.
const USUAL_FILES: u64 = 1 << 20;
