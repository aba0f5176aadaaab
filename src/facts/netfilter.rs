//! The firewall tools, and what they can do here.

use serde::{Deserialize, Serialize};

use super::engine::{find, search_path};
use super::{Fact, Root};
use crate::probe;

/// Which interface of the kernel an iptables program writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// ip_tables, by socket options.
    Legacy,
    /// nf_tables, by netlink.
    Nft,
    /// Not told by the program's file name.
    Unknown,
}

/// One attempt to write a set of rules in a network namespace of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The program that was run.
    pub program: String,
    /// The table.
    pub table: String,
    /// None: all rules were written. Otherwise the rule that was refused, where it is known, and what was said.
    pub failure: Option<Failure>,
}

/// A refused rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The rule, in iptables' own words; empty where the program did not name it.
    pub rule: String,
    /// What the program or the kernel said.
    pub message: String,
}

/// The firewall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Netfilter {
    /// The iptables program that the daemon will find.
    pub iptables: Option<String>,
    /// Which kernel interface it writes to.
    pub flavour: Flavour,
    /// Whether the kernel has ip_tables loaded or built in.
    pub legacy_in_kernel: bool,
    /// What was tried; none where nothing can be tried (a captured machine, no program).
    pub attempts: Vec<Attempt>,
}

/// A probe that is under way.
pub struct Started {
    facts: Netfilter,
    probe: Option<probe::netfilter::Running>,
}

/// Looks at the tools and starts trying the rules.
pub(super) fn start(root: &Root, tables: &[String]) -> Started {
    let iptables = find(root, &search_path(), "iptables");
    let flavour = iptables.as_deref().map_or(Flavour::Unknown, |path| flavour(root, path));
    // The file is there once ip_tables is: reading it loads nothing, unlike a run of the legacy program.
    let legacy_in_kernel = root.exists("/proc/net/ip_tables_names");
    let may_try = root.is_live() && (flavour != Flavour::Legacy || legacy_in_kernel);
    let probe = iptables.as_deref().filter(|_| may_try).map(|program| probe::netfilter::start(program, tables));
    Started { facts: Netfilter { iptables, flavour, legacy_in_kernel, attempts: Vec::new() }, probe }
}

impl Started {
    /// Waits for the attempts, which have deadlines of their own.
    pub(super) fn finish(mut self) -> Fact<Netfilter> {
        if let Some(probe) = self.probe {
            self.facts.attempts = probe.finish()?;
        }
        Ok(self.facts)
    }
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
