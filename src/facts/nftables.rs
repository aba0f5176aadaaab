//! The firewall written by nft, which engines can be asked for from 29.0 on.

use serde::{Deserialize, Serialize};

use super::configuration::Configuration;
use super::engine::{find, search_path};
use super::kernel::Kernel;
use super::netfilter::Attempt;
use super::{Fact, Root};
use crate::probe::background::Background;
use crate::probe::nftables as probe;
pub use crate::probe::nftables::Wanted;

/// The program that the daemon runs.
const PROGRAM: &str = "nft";
/// What each kind of rule rests on, by the names of the modules (net/netfilter/Makefile): connection states, addresses
/// of this machine, and the three of translation.
const MODULES: [&str; 7] = ["nf_tables", "nft_ct", "nft_fib", "nft_fib_ipv4", "nft_chain_nat", "nft_nat", "nft_masq"];

/// What came of writing the daemon's rules with nft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nftables {
    /// The program; `None` if it is not in PATH.
    pub program: Option<String>,
    /// Why nothing was tried with it.
    pub not_tried: Option<String>,
    /// What was tried.
    pub attempts: Vec<Attempt>,
}

/// Attempts under way.
pub(super) struct PendingNftables {
    facts: Nftables,
    probe: Option<Background<Vec<Attempt>>>,
}

/// Starts trying the rules; `None` if the daemon writes with iptables.
pub(super) fn start(
    root: &Root,
    kernel: &Fact<Kernel>,
    configuration: &Fact<Configuration>,
    wanted: &Wanted,
) -> Option<PendingNftables> {
    let backend = configuration.as_ref().ok()?.text("firewall-backend");
    backend.filter(|backend| *backend == "nftables")?;
    let program = find(root, &search_path(), PROGRAM);
    let not_tried = if root.is_live() { would_load(kernel) } else { Some("this is a captured machine".to_owned()) };
    let probe = program.as_ref().filter(|_| not_tried.is_none()).map(|program| probe::start(program.clone(), wanted));
    Some(PendingNftables { facts: Nftables { program, not_tried, attempts: Vec::new() }, probe })
}

impl PendingNftables {
    /// Waits for the attempts, which have deadlines of their own.
    pub(super) fn finish(mut self) -> Fact<Nftables> {
        if let Some(probe) = self.probe {
            self.facts.attempts = probe.finish()?;
        }
        Ok(self.facts)
    }
}

/// A rule of a kind that the kernel does not have yet makes it load the module, on the host (net/netfilter/
/// nf_tables_api.c: nft_request_module). What that would be.
fn would_load(kernel: &Fact<Kernel>) -> Option<String> {
    let kernel = kernel.as_ref().ok()?;
    let missing: Vec<&str> = MODULES.into_iter().filter(|module| kernel.would_load(module)).collect();
    (!missing.is_empty()).then(|| format!("it would load {} on the host", missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::FactError;
    use crate::facts::kernel::Presence;

    #[test]
    fn nft_is_not_run_where_it_would_load_a_module() {
        let told = |missing: &[&str]| {
            let presence = |name: &str| if missing.contains(&name) { Presence::Loadable } else { Presence::Loaded };
            let modules = MODULES.map(|name| (name.to_owned(), presence(name))).into();
            would_load(&Ok(Kernel { release: "6.12".to_owned(), machine: None, modular: true, modules }))
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&["nft_fib"]).as_deref(), Some("it would load nft_fib on the host"));
        assert_eq!(told(&["nft_masq", "nf_tables"]).as_deref(), Some("it would load nf_tables, nft_masq on the host"));
        assert_eq!(would_load(&Err(FactError::new("read", "/proc/sys/kernel/osrelease", "on purpose"))), None);
    }

    #[test]
    fn what_came_of_the_attempts_is_told_with_the_rest() {
        let facts = Nftables { program: Some("/sbin/nft".to_owned()), not_tried: None, attempts: Vec::new() };
        let attempts =
            vec![Attempt { program: "/sbin/nft".to_owned(), v6: true, table: "x".to_owned(), failure: None }];
        let error = FactError::new("run", "/sbin/nft", "on purpose");
        let finish = |probe| PendingNftables { facts: facts.clone(), probe }.finish();
        assert_eq!(finish(None), Ok(facts.clone()));
        assert_eq!(finish(Some(Background::Done(Err(error.clone())))), Err(error));
        let tried = Nftables { attempts: attempts.clone(), ..facts.clone() };
        assert_eq!(finish(Some(Background::Done(Ok(attempts)))), Ok(tried));
    }
}
