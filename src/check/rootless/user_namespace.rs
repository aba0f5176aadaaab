//! rootless.user-namespace: an unprivileged user namespace.

use super::of_user;
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::rootless::MAKE;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "rootless.user-namespace",
    docs: Docs {
        title: "an unprivileged user namespace",
        motivation: "A host can forbid users to make user namespaces: by a sysctl of Debian or Ubuntu, by a \
                     count of 0, by AppArmor, by the outer engine's filter.",
        looks_at: "One is made; and what forbids it: kernel.unprivileged_userns_clone, user.max_user_namespaces, \
                   kernel.apparmor_restrict_unprivileged_userns.",
        remedy: "The sysctl on the host; --privileged, or --security-opt seccomp=unconfined and \
                 apparmor=unconfined, for the outer container.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    of_user(facts, |seen| {
        let attempts = seen.attempts.as_ref()?;
        let Some(error) = attempts.iter().find(|attempt| attempt.what == MAKE).and_then(|made| made.error.as_ref())
        else {
            return Ok(Verdict::pass("made"));
        };
        let mut verdict = Verdict::fail(Severity::Blocking, "no user namespace can be made")
            .saw_wanted("unshare(CLONE_NEWUSER)", error.clone(), "it works")
            .because("Without one RootlessKit cannot start.");
        for setting in &seen.settings {
            let Some(value) = setting.value else { continue };
            let restricts = setting.path.ends_with("restrict_unprivileged_userns");
            if (value == 0) == restricts {
                continue;
            }
            let name = setting.path.trim_start_matches("/proc/sys/").replacen('/', ".", 1);
            let wanted = match name.as_str() {
                "user.max_user_namespaces" => "28633",
                _ if restricts => "0",
                _ => "1",
            };
            verdict = verdict
                .saw_wanted(setting.path.clone(), value.to_string(), wanted)
                .remedy(format!("on the host: sysctl -w {name}={wanted}"));
        }
        Ok(verdict
            .remedy(
                "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined …, or --privileged",
            )
            .source("user_namespaces(7); rootlesskit#421, rootlesskit#425"))
    })
}
