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
        motivation: "The daemon turns IP forwarding on by writing below /proc/sys/net. Where that is read-only it \
                     dies, or its containers reach nothing outside.",
        looks_at: "The mount that /proc/sys/net is on, in /proc/self/mountinfo.",
        remedy: "--privileged; dindcheck --fix remounts it writable.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "remounts /proc/sys writable", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let mounts = facts.mounts.as_ref()?;
    let Some(mount) = mounts.of(NET) else {
        return Ok(Verdict::unknown("no mount below /proc/sys is listed"));
    };
    if !mount.is_read_only() {
        return Ok(Verdict::pass(format!("{} is writable", mount.point)));
    }
    Ok(Verdict::fail(
        Severity::Blocking,
        format!("{} is read-only", if mount.point == NET { NET } else { "/proc/sys" }),
    )
    .saw_wanted(mount.location(), mount.describe(), "rw")
    .because("The daemon cannot turn IP forwarding on, and its networks get no sysctls.")
    .remedy("start the outer container with --privileged")
    .source("moby libnetwork: enabling IP forwarding for the default bridge"))
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let mount = facts.mounts.as_ref().ok()?.of(NET).filter(|mount| mount.is_read_only())?;
    let title = format!("remount {} writable", mount.point);
    // A read-only /proc itself is a decision, not a mask of the runtime's.
    ["/proc/sys", NET].contains(&mount.point.as_str()).then(|| fix::mounts::make_writable(CHECK.id, &title, [mount]))
}

/// What the daemon writes to. LXC (proc:mixed) and systemd-nspawn mount it writable over a read-only /proc/sys.
const NET: &str = "/proc/sys/net";
