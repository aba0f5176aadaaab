//! Judges of images: each is a pure function of what is in the image and of the profile.

mod clients;
mod configuration;
mod files;
mod programs;
mod start;

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

/// One rule.
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
    start::COMMAND,
    start::USER,
    programs::ENGINE,
    programs::PROGRAMS,
    programs::PAIRING,
    programs::LIBC,
    programs::IPTABLES,
    configuration::FILE,
    configuration::VOLUMES,
    configuration::SUBUID,
    configuration::TLS_DIRECTORY,
    files::CERTIFICATES,
    files::LEFTOVERS,
    clients::PORTS,
    clients::PLUGINS,
    clients::GROUP,
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
