//! mounts.propagation: mount propagation of /.

use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "mounts.propagation",
    docs: Docs {
        title: "mount propagation of /",
        motivation: "A bind mount with :shared or :rshared into an inner container needs a shared mount below it; \
                     an outer engine makes the container's root private. \"path / is mounted on / but it is not a \
                     shared mount\".",
        looks_at: "shared:N of / in /proc/self/mountinfo.",
        remedy: "mount --make-rshared / before the daemon starts; dindcheck --fix does it.",
        since: "1.10",
    },
    run,
    mend: Some(Mend { title: "makes the mounts shared", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let mounts = facts.mounts.as_ref()?;
    let Some(root) = mounts.at("/") else { return Ok(Verdict::unknown("no mount on / is listed")) };
    if let Some(group) = root.shared {
        return Ok(Verdict::pass(format!("shared (peer group {group})")));
    }
    Ok(Verdict::fail(Severity::Info, "/ is private")
        .saw_wanted(root.location(), root.describe(), "shared")
        .because("Inner containers cannot be given mounts with shared propagation.")
        .remedy("mount --make-rshared / before the daemon starts, as moby's hack/dind does since 2022")
        .source("moby commit 1f32e3c95d; mount_namespaces(7)"))
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    // In a mount namespace that is not the host's own, a new peer group has no one else in it.
    let in_container = facts.outer.as_ref().is_ok_and(|outer| outer.in_container);
    let mounts = facts.mounts.as_ref().ok()?;
    in_container.then(|| fix::mounts::make_shared(CHECK.id, mounts))
}
