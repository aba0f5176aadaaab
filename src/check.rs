//! Judges: each check is a pure function of the facts and the profile. No check reads the system or the clock.

pub mod around;
mod cgroup;
mod configuration;
mod devices;
mod engine;
mod leftovers;
mod limits;
mod modules;
mod mounts;
mod netfilter;
mod network;
mod nftables;
mod privileges;
mod rootless;
mod storage;

use crate::facts::{FactError, Facts};
use crate::finding::{Finding, Outcome, Verdict};
use crate::fix::step::Step;
use crate::fix::{Fix, journal};
use crate::profile::Profile;

/// What `explain` prints of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Docs {
    /// A short title.
    pub title: &'static str,
    /// Why this matters.
    pub motivation: &'static str,
    /// What is looked at.
    pub looks_at: &'static str,
    /// What to do when it fails.
    pub remedy: &'static str,
    /// The first engine that it matters for, or a range: `1.11 to 17.03.0`.
    pub since: &'static str,
}

impl Docs {
    /// The engines that it matters for, in words.
    pub fn engines(&self) -> String {
        match self.since {
            "1.0" => "all".to_owned(),
            range if range.contains(' ') => range.to_owned(),
            first => format!("from {first}"),
        }
    }
}

/// One rule.
pub trait Check: Sync {
    /// Its name, `subject.rule`; never renamed.
    fn id(&self) -> &'static str;

    /// What `explain` prints.
    fn docs(&self) -> Docs;

    /// Judges.
    ///
    /// # Errors
    /// A fact that it needs is not known: the outcome is `unknown`.
    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError>;

    /// What `fix` does, in a few words; none: there is nothing that could be mended from here. All of it stays in this
    /// container, but for what says otherwise.
    fn mend(&self) -> Option<&'static str> {
        None
    }

    /// Whether the mend of a failure that is read needs what has to be tried as well ([`Facts::start_trials`]).
    fn mend_needs_trials(&self) -> bool {
        false
    }

    /// The mend of what `run` found, if there is one. Asked only when `run` did not pass.
    fn fix(&self, _facts: &Facts, _profile: &Profile) -> Option<Fix> {
        None
    }
}

/// All checks, in the order in which they are run, reported and mended: what others rest on comes first.
pub const CHECKS: &[&dyn Check] = &[
    &rootless::Engine,
    &rootless::Programs,
    &rootless::Directories,
    &rootless::Ids,
    &rootless::UserNamespace,
    &rootless::IdMap,
    &rootless::Tun,
    &privileges::Capabilities,
    &privileges::Seccomp,
    &privileges::NoNewPrivs,
    &engine::Binaries,
    &engine::ProfileKnown,
    &engine::Pairing,
    &privileges::Operations,
    &privileges::Grants,
    &limits::OpenFiles,
    &limits::Tasks,
    &limits::Memory,
    &limits::KernelTables,
    &cgroup::Version,
    &cgroup::Hybrid,
    &cgroup::Mounted,
    &cgroup::Writable,
    &cgroup::Controllers,
    &cgroup::Namespace,
    &cgroup::Delegation,
    &cgroup::Operations,
    &mounts::ProcSys,
    &mounts::Writable,
    &mounts::Propagation,
    &storage::DataRoot,
    &storage::DType,
    &storage::Space,
    &storage::Flags,
    &storage::Driver,
    &storage::InUse,
    &netfilter::Iptables,
    &netfilter::Ip6tables,
    &netfilter::Ipset,
    &nftables::Rules,
    &network::Namespace,
    &network::Devices,
    &network::Forward,
    &network::Subnets,
    &network::Nameservers,
    &network::Mtu,
    &network::ReversePath,
    &network::Arp,
    &network::BridgeFilter,
    &devices::Nodes,
    &leftovers::PidFiles,
    &leftovers::ContainerdSocket,
    &configuration::Accepted,
    &configuration::MountedSocket,
    &configuration::Client,
    &configuration::OpenTcp,
    &configuration::TcpDelay,
];

/// The check of that name.
pub fn find(id: &str) -> Option<&'static dyn Check> {
    CHECKS.iter().copied().find(|check| check.id() == id)
}

/// Which checks are run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// These alone, unless empty.
    pub only: Vec<String>,
    /// All but these.
    pub skip: Vec<String>,
}

impl Selection {
    /// Whether a check is run.
    pub fn has(&self, id: &str) -> bool {
        (self.only.is_empty() || self.only.iter().any(|only| only == id)) && !self.skip.iter().any(|skip| skip == id)
    }
}

/// Runs the selected checks: each finding with the fix that would mend it.
pub fn run(facts: &Facts, profile: &Profile, selection: &Selection) -> Vec<(Finding, Option<Fix>)> {
    CHECKS
        .iter()
        .filter(|check| selection.has(check.id()))
        .map(|check| {
            let verdict = rootless::instead(check.id(), facts)
                .unwrap_or_else(|| check.run(facts, profile).unwrap_or_else(Verdict::from));
            let fix = match verdict.outcome {
                Outcome::Fail | Outcome::Unknown => check.fix(facts, profile).filter(|fix| is_possible(fix, facts)),
                Outcome::Pass | Outcome::NotApplicable => None,
            };
            let title = fix.as_ref().map(|fix| fix.title.clone());
            (Finding::new(check.id(), check.docs().title, verdict, title), fix)
        })
        .collect()
}

/// Whether this process has the capabilities for a mend, and the journal a place. What is not known is tried.
fn is_possible(fix: &Fix, facts: &Facts) -> bool {
    let has = |name: &str| facts.privileges.as_ref().map_or(true, |own| own.effective.contains(name));
    let journal = facts.mounts.as_ref().ok().and_then(|mounts| mounts.of(journal::DEFAULT_PATH));
    journal.is_none_or(|mount| !mount.is_read_only()) && fix.steps.iter().filter_map(Step::capability).all(has)
}
