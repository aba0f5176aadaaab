//! Judges: each check is a pure function of the facts and the profile. No check reads the system or the clock.

pub mod around;
pub mod cause;
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
mod privileges;
mod rootless;
mod storage;

pub use engine::pairing::in_question as companions_in_question;

use crate::fact::FactError;
use crate::facts::Facts;
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

/// One rule. It stands in a file of its own that has the rule's name: network.arp in check/network/arp.rs.
#[derive(Clone, Copy)]
pub struct Check {
    /// Its name, `subject.rule`; never renamed.
    pub id: &'static str,
    /// What `explain` prints.
    pub docs: Docs,
    /// Judges. An error is a fact that it needs and that is not known: the outcome is `unknown`.
    run: for<'f> fn(&'f Facts, &Profile) -> Result<Verdict, &'f FactError>,
    /// What mends it; `None` if there is nothing that could be mended from here.
    pub mend: Option<Mend>,
}

/// How a rule is mended.
#[derive(Clone, Copy)]
pub struct Mend {
    /// What `fix` does, in a few words. All of it stays in this container, but for what says otherwise.
    pub title: &'static str,
    /// Whether the mend of a failure that is read needs what has to be tried as well ([`Facts::start_trials`]).
    pub needs_trials: bool,
    /// The mend of what `run` found, if there is one. Asked only when `run` did not pass.
    fix: fn(&Facts, &Profile) -> Option<Fix>,
}

/// All checks, in the order in which they are run, reported and mended: what others rest on comes first.
pub const CHECKS: &[Check] = &[
    rootless::engine::CHECK,
    rootless::programs::CHECK,
    rootless::directories::CHECK,
    rootless::ids::CHECK,
    rootless::user_namespace::CHECK,
    rootless::id_map::CHECK,
    rootless::tun::CHECK,
    privileges::capabilities::CHECK,
    privileges::seccomp::CHECK,
    privileges::no_new_privs::CHECK,
    engine::binaries::CHECK,
    engine::profile::CHECK,
    engine::pairing::CHECK,
    privileges::operations::CHECK,
    privileges::grants::CHECK,
    limits::open_files::CHECK,
    limits::raising::CHECK,
    limits::tasks::CHECK,
    limits::memory::CHECK,
    limits::kernel::CHECK,
    cgroup::version::CHECK,
    cgroup::hybrid::CHECK,
    cgroup::mounted::CHECK,
    cgroup::writable::CHECK,
    cgroup::controllers::CHECK,
    cgroup::namespace::CHECK,
    cgroup::delegation::CHECK,
    cgroup::operations::CHECK,
    mounts::proc_sys::CHECK,
    mounts::writable::CHECK,
    mounts::propagation::CHECK,
    storage::data_root::CHECK,
    storage::d_type::CHECK,
    storage::space::CHECK,
    storage::flags::CHECK,
    storage::driver::CHECK,
    storage::in_use::CHECK,
    netfilter::iptables::CHECK,
    netfilter::ip6tables::CHECK,
    netfilter::ipset::CHECK,
    netfilter::nftables::CHECK,
    network::namespace::CHECK,
    network::devices::CHECK,
    network::loopback::CHECK,
    network::ip_forward::CHECK,
    network::subnets::CHECK,
    network::nameservers::CHECK,
    network::mtu::CHECK,
    network::rp_filter::CHECK,
    network::arp::CHECK,
    network::bridge_filter::CHECK,
    devices::nodes::CHECK,
    leftovers::pidfile::CHECK,
    leftovers::containerd_socket::CHECK,
    configuration::accepted::CHECK,
    configuration::tls_files::CHECK,
    configuration::mounted_socket::CHECK,
    configuration::client::CHECK,
    configuration::open_tcp::CHECK,
    configuration::tcp_delay::CHECK,
];

/// The check of that name.
pub fn find(id: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.id == id)
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
    let mut findings: Vec<_> = CHECKS
        .iter()
        .filter(|check| selection.has(check.id))
        .map(|check| {
            let verdict = rootless::instead(check.id, facts)
                .unwrap_or_else(|| (check.run)(facts, profile).unwrap_or_else(Verdict::from));
            let fix = match verdict.outcome {
                Outcome::Fail | Outcome::Unknown => {
                    check.mend.and_then(|mend| (mend.fix)(facts, profile)).filter(|fix| is_possible(fix, facts))
                }
                Outcome::Pass | Outcome::NotApplicable => None,
            };
            let title = fix.as_ref().map(|fix| fix.title.clone());
            (Finding::new(check.id, check.docs.title, verdict, title), fix)
        })
        .collect();
    cause::link(findings.iter_mut().map(|(finding, _)| finding));
    findings
}

/// Whether this process has the capabilities for a mend, and the journal a place. What is not known is tried.
fn is_possible(fix: &Fix, facts: &Facts) -> bool {
    let has = |name: &str| facts.privileges.as_ref().map_or(true, |own| own.effective.contains(name));
    let journal = facts.mounts.as_ref().ok().and_then(|mounts| mounts.of(journal::DEFAULT_PATH));
    journal.is_none_or(|mount| !mount.is_read_only()) && fix.steps.iter().filter_map(Step::capability).all(has)
}
