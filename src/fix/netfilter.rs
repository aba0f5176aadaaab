//! Mends of the firewall tools.

use super::Fix;
use super::step::Step;
use crate::facts::engine::SHIM_DIRECTORY;
use crate::facts::netfilter::Candidate;

/// Puts the programs of another flavour in front of those that the daemon would find: it looks `iptables` up in PATH
/// once (moby daemon/libnetwork/iptables), and each is one program under many names.
pub fn prefer(check: &'static str, candidate: &Candidate) -> Fix {
    let mut steps = vec![Step::MakeDirectory { path: SHIM_DIRECTORY.to_owned() }];
    let programs = [("iptables", Some(&candidate.iptables)), ("ip6tables", candidate.ip6tables.as_ref())];
    for (name, program) in programs {
        let Some(program) = program else { continue };
        for suffix in ["", "-restore", "-save"] {
            steps.push(Step::MakeLink {
                path: format!("{SHIM_DIRECTORY}/{name}{suffix}"),
                target: format!("{program}{suffix}"),
            });
        }
    }
    Fix::in_container(check, format!("put {} in front of the daemon's PATH as iptables", candidate.iptables), steps)
}
