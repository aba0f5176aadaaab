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
