//! The words on modules of the kernel, which several checks share.

use crate::facts::Facts;
use crate::facts::kernel::Presence;
use crate::finding::Evidence;

/// Whether the kernel has a module, as evidence: `part` is what rests on it.
pub(super) fn evidence(facts: &Facts, part: impl Into<String>, module: &str) -> Evidence {
    Evidence { location: part.into(), value: format!("{module}: {}", presence(facts, module)), wanted: None }
}

fn presence(facts: &Facts, module: &str) -> &'static str {
    let Ok(kernel) = &facts.kernel else { return "not known" };
    match kernel.module(module) {
        Presence::BuiltIn | Presence::Loaded => "is in the kernel",
        Presence::Loadable => "a module that is not loaded",
        Presence::Absent => "neither built in nor a module of this kernel",
        Presence::Untold if !kernel.modular => "built in or not there: this kernel loads no modules",
        Presence::Untold => "not loaded; whether the host has it is not told: /lib/modules is not seen here",
    }
}

/// What to do about modules that are missing.
pub(super) fn remedy(facts: &Facts, modules: &[String]) -> String {
    let kernel = facts.kernel.as_ref();
    let cannot_come =
        |module: &String| kernel.is_ok_and(|kernel| kernel.module(module) == Presence::Absent || !kernel.modular);
    if modules.iter().any(cannot_come) {
        return format!("a host kernel that has {}", modules.join(", "));
    }
    format!("on the host: modprobe -a {}, or let dindcheck --fix --allow-host-changes load it", modules.join(" "))
}
