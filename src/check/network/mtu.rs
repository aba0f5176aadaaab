//! network.mtu: MTU of inner networks.

use super::may_add;
use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "network.mtu",
    docs: Docs {
        title: "MTU of inner networks",
        motivation: "Inner networks have 1500 whatever the way out has. Behind a smaller one (overlay networks, \
                     VPNs) large packets vanish: small requests work, downloads and TLS hang.",
        looks_at: "The MTU of the interface that the default route goes by.",
        remedy: "dockerd --mtu, and --default-network-opt for the networks that users make.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "starts the daemon with an MTU that fits", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    const ETHERNET: u32 = 1500;
    let network = facts.network.as_ref()?;
    let Some((interface, mtu)) = &network.default_mtu else {
        return Ok(Verdict::not_applicable("there is no default route"));
    };
    if *mtu >= ETHERNET {
        return Ok(Verdict::pass(format!("{interface} has {mtu}")));
    }
    if let Some(set) = network.daemon_mtu.filter(|set| set <= mtu) {
        return Ok(Verdict::pass(format!("{interface} has {mtu}, and the daemon gets {set}")));
    }
    Ok(Verdict::fail(Severity::Warning, format!("{interface} has {mtu}, and inner networks will have {ETHERNET}"))
        .saw_wanted(format!("/sys/class/net/{interface}/mtu"), mtu.to_string(), format!("{ETHERNET}, or --mtu {mtu}"))
        .because("Packets of inner containers that are larger than the way out vanish.")
        .remedy(format!("dindcheck -- --mtu {mtu}"))
        .remedy(format!(
            "and for networks that users make: --default-network-opt=bridge=com.docker.network.driver.mtu={mtu}, where Docker {} has it (24.0 and later)",
            profile.version
        ))
        .remedy("or let dindcheck --fix add them")
        .source("moby daemon/config: mtu is of the default bridge alone; actions-runner-controller#393, #1046"))
}

fn fix(facts: &Facts, profile: &Profile) -> Option<Fix> {
    let network = facts.network.as_ref().ok()?;
    let (_, mtu) = network.default_mtu.as_ref()?;
    let ours_to_say = network.daemon_mtu.is_none() && may_add(facts, &["mtu", "default-network-opts"]);
    ours_to_say.then(|| fix::network::fit_mtu(CHECK.id, *mtu, profile))
}
