//! Judges of images: each is a pure function of what is in the image and of the profile.

mod certificates;
mod command;
mod daemon_json;
mod engine;
mod group;
mod iptables;
mod leftovers;
mod libc;
mod pairing;
mod plugins;
mod ports;
mod programs;
mod subuid;
mod tls_directory;
mod user;
mod volumes;

use super::image::{Image, Said};
use crate::check::Docs;
use crate::finding::{Finding, Verdict};
use crate::profile::Profile;

/// What an image is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The image.
    pub image: &'a Image,
    /// The version of the engine in it; `None` if unknown.
    pub engine: Option<&'a Said>,
    /// What that version needs.
    pub profile: &'a Profile,
}

/// One rule. It stands in a file of its own that has the rule's name: image.tls-directory in gate/check/tls_directory.rs.
#[derive(Clone, Copy)]
pub struct Check {
    /// Its name, `image.rule`; never renamed.
    pub id: &'static str,
    /// What `explain` prints.
    pub docs: Docs,
    run: fn(Subject<'_>) -> Verdict,
}

/// All rules, in the order of the report.
pub const CHECKS: &[Check] = &[
    command::CHECK,
    user::CHECK,
    engine::CHECK,
    programs::CHECK,
    pairing::CHECK,
    libc::CHECK,
    iptables::CHECK,
    daemon_json::CHECK,
    volumes::CHECK,
    subuid::CHECK,
    tls_directory::CHECK,
    certificates::CHECK,
    leftovers::CHECK,
    ports::CHECK,
    plugins::CHECK,
    group::CHECK,
];

/// The rule of that name.
pub fn find(id: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.id == id)
}

/// Judges an image by all rules but those left out.
pub fn run(subject: Subject<'_>, has: impl Fn(&str) -> bool) -> Vec<Finding> {
    CHECKS
        .iter()
        .filter(|check| has(check.id))
        .map(|check| Finding::new(check.id, check.docs.title, (check.run)(subject), None))
        .collect()
}
