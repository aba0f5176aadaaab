//! rootless.engine: a rootless engine.

use super::{AS_ROOT, of_user};
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::profile::{Profile, Rootless as Mode};

pub(in crate::check) const CHECK: Check = Check {
    id: "rootless.engine",
    docs: Docs {
        title: "a rootless engine",
        motivation: "Before 19.03 every daemon was root's: one that is started as a user says \"dockerd needs to be \
                     started with root\" and dies.",
        looks_at: "Whether this version can be rootless, where dindcheck does not run as root.",
        remedy: "An engine from 19.03 on, better 20.10; or run as root in the outer container (--user 0).",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    of_user(facts, |seen| {
        let mode = &profile.launch_rootless;
        Ok(match mode.value {
            Mode::Supported => Verdict::pass("this version can be rootless"),
            Mode::Experimental => Verdict::pass("this version can be rootless, with --experimental"),
            Mode::None => Verdict::fail(Severity::Blocking, "this version cannot be rootless")
                .saw_wanted("the user", seen.uid.to_string(), "0")
                .because("The daemon dies without root.")
                .remedy("an engine from 19.03 on")
                .remedy(AS_ROOT)
                .source(mode.source.clone()),
        })
    })
}
