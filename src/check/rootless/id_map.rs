//! rootless.id-map: the map of ids.

use super::of_user;
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::rootless::{MAKE, MAPPERS};
use crate::facts::{Attempt, Facts};
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "rootless.id-map",
    docs: Docs {
        title: "the map of ids",
        motivation: "newuidmap and newgidmap write the map with rights that the user does not have: as programs with \
                     CAP_SETUID and CAP_SETGID, or, set-user-id root, with CAP_SYS_ADMIN of the outer container. \
                     Copied without that, or under no_new_privs, they fail with \"write to uid_map failed: \
                     Operation not permitted\".",
        looks_at: "Both map the user's range into a user namespace that is made for it; their owner, mode and \
                   capabilities, and NoNewPrivs.",
        remedy: "In the image: setcap cap_setuid=ep newuidmap, setcap cap_setgid=ep newgidmap (and chmod u-s), or \
                 chmod u+s and --privileged; no --security-opt no-new-privileges.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    of_user(facts, |seen| {
        let maps: Vec<&Attempt> = seen.attempts.as_ref()?.iter().filter(|attempt| attempt.what != MAKE).collect();
        let refused = || maps.iter().filter_map(|map| Some((*map, map.error.as_ref()?)));
        if maps.is_empty() {
            return Ok(Verdict::unknown("nothing could be mapped: the checks above say why"));
        }
        if refused().next().is_none() {
            return Ok(Verdict::pass("written"));
        }
        let names: Vec<&str> = refused().map(|(map, _)| map.what.as_str()).collect();
        let mut verdict = Verdict::fail(Severity::Blocking, format!("refused: {}", names.join(", ")))
            .because("Without a map there is no root in the user namespace, and RootlessKit ends.");
        for (map, error) in refused() {
            verdict = verdict.saw_wanted(map.what.clone(), error.clone(), "it works");
        }
        if seen.no_new_privs {
            verdict = verdict
                .saw_wanted("/proc/self/status: NoNewPrivs", "1", "0")
                .remedy("leave --security-opt no-new-privileges (Kubernetes: allowPrivilegeEscalation: false) out");
        }
        for (name, mapper) in seen.mappers.iter().filter(|(_, mapper)| !mapper.capable) {
            let own = if name == MAPPERS[0] { "cap_setuid" } else { "cap_setgid" };
            let path = &mapper.path;
            verdict = verdict
                .saw_wanted(
                    path.clone(),
                    format!("owner {}, mode {:o}, no capabilities", mapper.owner, mapper.mode),
                    format!("{own}=ep, or owner 0 and mode 4755"),
                )
                .remedy(format!("in the image: chmod u-s {path} && setcap {own}=ep {path}"));
        }
        if seen.mappers.values().any(|mapper| mapper.owner == 0 && mapper.mode & SET_USER_ID != 0) {
            verdict = verdict.remedy(
                "or start the outer container with --privileged, or --cap-add SYS_ADMIN: \
                                      set-user-id root alone makes no owner of the user namespace",
            );
        }
        Ok(verdict.source("newuidmap(1); kernel kernel/user_namespace.c map_write"))
    })
}

/// The bit of a mode (chmod(2)).
const SET_USER_ID: u32 = 0o4000;
