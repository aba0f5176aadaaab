//! Mends of networks: flags for the daemon, and sysctls of this network namespace.

use super::step::Step;
use super::{Fix, Scope};
use crate::facts::network::rp_filter_path;
use crate::profile::Profile;

/// Gives inner networks an MTU that fits through the way out: the default one, and from 24.0 on those of users.
pub fn fit_mtu(check: &'static str, mtu: u32, profile: &Profile) -> Fix {
    let mut flags = vec![format!("--mtu={mtu}")];
    if profile.version.release() >= [24, 0, 0] {
        flags.push(format!("--default-network-opt=bridge=com.docker.network.driver.mtu={mtu}"));
    }
    with_flags(check, format!("start the daemon with an MTU of {mtu}"), flags)
}

/// Gives the default bridge a network, and from 18.06 on those of users a pool.
pub fn take_networks(check: &'static str, bip: &str, pool: &str, profile: &Profile) -> Fix {
    let mut flags = vec![format!("--bip={bip}")];
    if profile.version.release() >= [18, 6, 0] {
        flags.push(format!("--default-address-pool=base={pool},size=24"));
    }
    with_flags(check, format!("start the daemon with networks in {pool}"), flags)
}

fn with_flags(check: &'static str, title: String, flags: Vec<String>) -> Fix {
    Fix::in_container(check, title, flags.into_iter().map(|flag| Step::AddFlag { flag }).collect())
}

/// Lets packets in whose answers would leave by another interface, as long as their source is known at all. `own`:
/// whether the network namespace is the container's.
pub fn loosen(check: &'static str, before: u32, own: bool) -> Fix {
    let (value, before) = ("2".to_owned(), before.to_string());
    let steps = vec![Step::SetSysctl { path: rp_filter_path("all"), value, before }];
    let scope = if own { Scope::Container } else { Scope::Host };
    Fix { check, title: "make the reverse path filter loose".to_owned(), scope, steps }
}
