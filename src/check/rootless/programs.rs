//! rootless.programs: what makes a daemon rootless.

use super::{AS_ROOT, of_user};
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::rootless::{MAPPERS, NETWORKS};
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "rootless.programs",
    docs: Docs {
        title: "what makes a daemon rootless",
        motivation: "A rootless daemon is started by RootlessKit, which has newuidmap and newgidmap map the ids and \
                     another program carry the packets. An image of the engine alone has none of them.",
        looks_at: "rootlesskit, newuidmap, newgidmap and slirp4netns, pasta or vpnkit in PATH, where dindcheck does \
                   not run as root.",
        remedy: "The packages rootlesskit (or docker-ce-rootless-extras), uidmap and slirp4netns.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    of_user(facts, |seen| {
        let (network, carrier) = &seen.network;
        // Others are parts of RootlessKit, or of the host.
        let needs_carrier = NETWORKS.contains(&network.as_str());
        let found = facts.engine.as_ref().map(|engine| &engine.binaries).ok();
        let is_missing = |name: &&String| found.is_some_and(|found| found.get(*name) == Some(&None));
        let engines = profile.binaries_rootless.value.iter().filter(is_missing);
        let mut packages = vec![
            ("rootlesskit", "rootlesskit", seen.rootlesskit.is_none()),
            (MAPPERS[0], "uidmap", !seen.mappers.contains_key(MAPPERS[0])),
            (MAPPERS[1], "uidmap", !seen.mappers.contains_key(MAPPERS[1])),
            (network, network, needs_carrier && carrier.is_none()),
        ];
        packages.extend(engines.map(|name| (name.as_str(), "docker-ce-rootless-extras", true)));
        let missing = || packages.iter().filter(|(.., missing)| *missing);
        if missing().next().is_none() {
            return Ok(Verdict::pass(format!("RootlessKit, its mappers and {network} are there")));
        }
        let programs: Vec<&str> = missing().map(|(program, ..)| *program).collect();
        let mut names: Vec<&str> = missing().map(|(_, package, _)| *package).collect();
        names.dedup();
        Ok(Verdict::fail(Severity::Blocking, format!("not found: {}", programs.join(", ")))
            .saw_wanted(format!("PATH={}", seen.path), "no such program", programs.join(" "))
            .because("dindcheck runs as a user, and without them no daemon does.")
            .remedy(format!(
                "install in the image: {} (Docker's own packages: docker-ce-rootless-extras)",
                names.join(" ")
            ))
            .remedy(AS_ROOT)
            .source("moby contrib/dockerd-rootless.sh"))
    })
}
