//! mounts.proc-sys: /proc/sys writable.

use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "mounts.proc-sys",
    docs: Docs {
        title: "/proc/sys writable",
        motivation: "The daemon turns IP forwarding on by writing below /proc/sys. Where that is read-only it \
                     dies, or its containers reach nobody.",
        looks_at: "The mount below /proc/sys in /proc/self/mountinfo.",
        remedy: "--privileged; dindcheck --fix remounts it writable.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "remounts /proc/sys writable", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let mounts = facts.mounts.as_ref()?;
    let Some(mount) = mounts.of("/proc/sys") else {
        return Ok(Verdict::unknown("no mount below /proc/sys is listed"));
    };
    if !mount.is_read_only() {
        return Ok(Verdict::pass(format!("{} is writable", mount.point)));
    }
    Ok(Verdict::fail(Severity::Blocking, "/proc/sys is read-only")
        .saw_wanted(mount.location(), mount.describe(), "rw")
        .because("The daemon cannot turn IP forwarding on, and runc cannot set a container's sysctls.")
        .remedy("start the outer container with --privileged")
        .source("moby libnetwork: enabling IP forwarding for the default bridge"))
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let mount = facts.mounts.as_ref().ok()?.of("/proc/sys").filter(|mount| mount.is_read_only())?;
    // A read-only /proc itself is somebody's decision, not a mask of the runtime's.
    (mount.point == "/proc/sys").then(|| fix::mounts::make_writable(CHECK.id, "remount /proc/sys writable", [mount]))
}
