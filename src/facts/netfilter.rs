//! The firewall tools, and what they can do here.

use serde::{Deserialize, Serialize};

use super::configuration::Configuration;
use super::engine::{find, search_path};
use super::kernel::Kernel;
use super::{Fact, FactError, Root, nftables};
use crate::probe;
use crate::probe::background::Background;
pub use crate::probe::netfilter::{Attempt, Candidate, Failure, Flavour, Wanted};

/// The firewall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Netfilter {
    /// The programs that the daemon will find come first, the other flavour's after them where those failed.
    pub candidates: Vec<Candidate>,
    /// Whether the kernel has ip_tables loaded or built in.
    pub legacy_in_kernel: bool,
    /// What came of making a set of networks; `None` if this version makes none.
    #[serde(default)]
    pub ipset: Option<Fact<probe::Attempt>>,
    /// What came of writing the rules with nft; `None` if the daemon writes with iptables.
    #[serde(default)]
    pub nftables: Option<Fact<nftables::Nftables>>,
}

impl Netfilter {
    /// The programs that the daemon will find.
    pub fn own(&self) -> Option<&Candidate> {
        self.candidates.first()
    }
}

/// A probe that is under way.
pub struct PendingNetfilter {
    facts: Netfilter,
    probe: Option<Background<Vec<Candidate>>>,
    ipset: Option<Background<probe::Attempt>>,
    nftables: Option<nftables::PendingNftables>,
}

/// Looks at the tools and starts trying the rules.
pub(super) fn start(
    root: &Root,
    kernel: &Fact<Kernel>,
    configuration: &Fact<Configuration>,
    wanted: &Wanted,
) -> PendingNetfilter {
    let nftables = wanted.nftables.as_ref().and_then(|wanted| nftables::start(root, kernel, configuration, wanted));
    // The file is there once ip_tables is: reading it loads nothing, unlike a run of the legacy program.
    let legacy_in_kernel = root.exists("/proc/net/ip_tables_names");
    let path = search_path();
    let own = find(root, &path, "iptables").map(|program| {
        let flavour = flavour(root, &program);
        (flavour, program, find(root, &path, "ip6tables"))
    });
    let others = [(Flavour::Nft, "nft"), (Flavour::Legacy, "legacy")].into_iter().filter_map(|(flavour, suffix)| {
        let program = find(root, &path, &format!("iptables-{suffix}"))?;
        Some((flavour, program, find(root, &path, &format!("ip6tables-{suffix}"))))
    });
    let own_flavour = own.as_ref().map(|(flavour, ..)| *flavour);
    let candidates: Vec<Candidate> = own
        .into_iter()
        .chain(others.filter(|(flavour, ..)| own_flavour.is_some_and(|own| own != *flavour)))
        .map(|(flavour, iptables, ip6tables)| {
            let not_tried = if !root.is_live() {
                Some("this is a captured machine".to_owned())
            } else {
                would_load(flavour, legacy_in_kernel, kernel, wanted)
            };
            Candidate { flavour, iptables, ip6tables, not_tried, attempts: Vec::new() }
        })
        .collect();
    let is_tried = nftables.is_none() && !candidates.is_empty() && root.is_live();
    let probe = is_tried.then(|| probe::netfilter::start(candidates.clone(), wanted));
    let not_tried = would_load_sets(root, kernel);
    let ipset = (wanted.ipset && not_tried.is_none()).then(probe::ipset::start);
    let without = not_tried.filter(|_| wanted.ipset).map(|reason| Err(FactError::new("try", "an ipset", reason)));
    let facts = Netfilter { candidates, legacy_in_kernel, ipset: without, nftables: None };
    PendingNetfilter { facts, probe, ipset, nftables }
}

impl PendingNetfilter {
    /// Waits for the attempts, which have deadlines of their own.
    pub(super) fn finish(mut self) -> Fact<Netfilter> {
        if let Some(probe) = self.probe {
            self.facts.candidates = probe.finish()?;
        }
        if let Some(ipset) = self.ipset {
            self.facts.ipset = Some(ipset.finish());
        }
        self.facts.nftables = self.nftables.map(nftables::PendingNftables::finish);
        Ok(self.facts)
    }
}

/// A set of a type that the kernel does not have yet makes it load the module, on the host (net/netfilter/ipset/
/// ip_set_core.c: request_module). What that would be.
fn would_load_sets(root: &Root, kernel: &Fact<Kernel>) -> Option<String> {
    if !root.is_live() {
        return Some("this is a captured machine".to_owned());
    }
    let kernel = kernel.as_ref().ok()?;
    let missing: Vec<&str> = ["ip_set", "ip_set_hash_net"].into_iter().filter(|name| kernel.would_load(name)).collect();
    (!missing.is_empty()).then(|| format!("it would load {} on the host", missing.join(" and ")))
}

/// The legacy program makes the kernel load ip_tables, and a module for each table, on the host
/// (net/netfilter/x_tables.c xt_find_table_lock: request_module). What that would be.
fn would_load(flavour: Flavour, legacy_in_kernel: bool, kernel: &Fact<Kernel>, wanted: &Wanted) -> Option<String> {
    if flavour != Flavour::Legacy {
        return None;
    }
    if !legacy_in_kernel {
        return Some("trying it would load ip_tables on the host".to_owned());
    }
    let kernel = kernel.as_ref().ok()?;
    let mut missing: Vec<String> = wanted
        .rules
        .iter()
        .filter_map(|rule| rule.strip_prefix("-t ")?.split(' ').next())
        .map(|table| format!("iptable_{table}"))
        .filter(|module| kernel.would_load(module))
        .collect();
    missing.dedup();
    (!missing.is_empty()).then(|| format!("trying it would load {} on the host", missing.join(", ")))
}

/// Told by the program that the links end at: iptables is one program under many names since 1.8.
fn flavour(root: &Root, path: &str) -> Flavour {
    let Ok(real) = root.path(path).canonicalize() else { return Flavour::Unknown };
    let name = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.contains("nft") {
        Flavour::Nft
    } else if name.contains("legacy") || name == "xtables-multi" {
        Flavour::Legacy
    } else {
        Flavour::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::kernel::Presence;

    #[test]
    fn the_legacy_program_is_not_run_where_it_would_load_a_module() {
        let modules = [("iptable_nat", Presence::Loadable), ("iptable_filter", Presence::Loaded)];
        let modules = modules.map(|(name, presence)| (name.to_owned(), presence)).into();
        let kernel = Kernel { release: "6.12".to_owned(), machine: None, modular: true, modules };
        let rules = ["-t nat -A X", "-t nat -A Y", "-t raw -A X", "-t filter -A X", "-A X"].map(str::to_owned).to_vec();
        let wanted = Wanted { rules, ..Wanted::default() };
        let would_load = |flavour, is_there, kernel: &Fact<Kernel>| would_load(flavour, is_there, kernel, &wanted);
        let kernel = Ok(kernel);
        let legacy = |is_there| would_load(Flavour::Legacy, is_there, &kernel);
        assert_eq!(legacy(false).as_deref(), Some("trying it would load ip_tables on the host"));
        // Of raw nothing is told.
        assert_eq!(legacy(true).as_deref(), Some("trying it would load iptable_nat, iptable_raw on the host"));
        for flavour in [Flavour::Nft, Flavour::Unknown] {
            assert_eq!([false, true].map(|is_there| would_load(flavour, is_there, &kernel)), [None, None]);
        }
        let fixed = Kernel { modular: false, modules: Default::default(), ..kernel.clone().unwrap() };
        assert_eq!(would_load(Flavour::Legacy, true, &Ok(fixed)), None);
        let untold = Err(FactError::new("read", "/proc/sys/kernel/osrelease", "on purpose"));
        assert_eq!(would_load(Flavour::Legacy, true, &untold), None);
    }
}
