//! limits.kernel: inotify and keys.

use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::limits::{KEY_USERS, Limits, Setting};
use crate::finding::{Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "limits.kernel",
    docs: Docs {
        title: "inotify and keys",
        motivation: "These are the host's, shared with all that runs there. Few inotify instances make systemd and \
                     file watchers in inner containers fail; few keys make runc fail with \"disk quota exceeded\".",
        looks_at: "fs.inotify.max_user_instances; kernel.keys.root_maxkeys against what /proc/key-users says is in \
                   use.",
        remedy: "On the host: sysctl -w fs.inotify.max_user_instances=512 kernel.keys.root_maxkeys=1000000; \
                 dindcheck --fix --allow-host-changes does it.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "raises them: for the host with --allow-host-changes alone", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let limits = facts.limits.as_ref()?;
    if limits.inotify_instances.is_none() && limits.root_keys.is_none() {
        return Ok(Verdict::unknown("neither can be read"));
    }
    let low = low_settings(limits);
    if low.is_empty() {
        return Ok(Verdict::pass("enough"));
    }
    let names: Vec<&str> = low.iter().map(|(setting, ..)| setting.path.trim_start_matches("/proc/sys/")).collect();
    let mut verdict = Verdict::fail(Severity::Warning, format!("low: {}", names.join(", ")))
        .because("They are shared with everything on the host, and run out under load.")
        .remedy("on the host: sysctl -w fs.inotify.max_user_instances=512 kernel.keys.root_maxkeys=1000000")
        .source("moby daemon/keys.go; kubernetes-sigs/kind#3423");
    for (setting, least, _) in low {
        let value = setting.value.map(|value| value.to_string()).unwrap_or_default();
        verdict = verdict.saw_wanted(setting.path.clone(), value, format!("{least} or more"));
    }
    if let Some(used) = limits.root_keys_used {
        verdict = verdict.saw(KEY_USERS, format!("{used} keys of root are in use"));
    }
    Ok(verdict)
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let low = low_settings(facts.limits.as_ref().ok()?);
    let settings: Vec<_> = low.into_iter().map(|(setting, _, better)| (setting, better)).collect();
    fix::limits::raise(CHECK.id, &settings)
}

/// Each container of runc takes a key for its session, and most of them another one or two.
const KEYS_TO_SPARE: u64 = 200;

/// The settings that are low, each with what it should be at least and what to set.
///
/// The kernel's defaults (fs/notify/inotify/inotify_user.c, security/keys/key.c) are 128 and 1000000; moby raises the
/// second itself where it may (daemon/keys.go).
fn low_settings(limits: &Limits) -> Vec<(&Setting, u64, u64)> {
    let keys = limits.root_keys_used.map_or(10_000, |used| used.saturating_add(KEYS_TO_SPARE).max(10_000));
    let wanted = [(&limits.inotify_instances, 128, 512), (&limits.root_keys, keys, 1_000_000.max(2 * keys))];
    wanted
        .into_iter()
        .filter_map(|(setting, least, better)| {
            let setting = setting.as_ref()?;
            setting.value.is_some_and(|value| value < least).then_some((setting, least, better))
        })
        .collect()
}
