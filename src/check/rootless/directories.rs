//! rootless.directories: user directories.

use super::of_user;
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "rootless.directories",
    docs: Docs {
        title: "user directories",
        motivation: "A rootless daemon keeps its state below HOME, and its socket and what lives no longer than it \
                     in XDG_RUNTIME_DIR. A volume on one of them is often root's.",
        looks_at: "Whether the user can write to XDG_RUNTIME_DIR (/run/user/UID if it is not set), HOME and the \
                   data-root.",
        remedy: "Make them in the image, with the user as their owner: a new volume takes that along.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    of_user(facts, |seen| {
        let refused = || seen.directories.iter().filter_map(|one| Some((one, one.error.as_ref()?)));
        if refused().next().is_none() {
            return Ok(Verdict::pass("can be written to"));
        }
        let names: Vec<&str> = refused().map(|(one, _)| one.what.as_str()).collect();
        let mut verdict = Verdict::fail(Severity::Blocking, format!("cannot be written to: {}", names.join(", ")))
            .because("RootlessKit, the daemon or its socket has no place there.");
        for (one, error) in refused() {
            verdict = verdict
                .saw_wanted(format!("{}={}", one.what, one.path), error.clone(), "it can be written to")
                .remedy(format!("in the image: install -d -o {} {}", seen.uid, one.path));
        }
        Ok(verdict.source("moby contrib/dockerd-rootless.sh; docker-library/docker dockerd-entrypoint.sh"))
    })
}
