//! rootless.ids: ids that the user may map.

use super::of_user;
use crate::check::{Check, Docs};
use crate::fact::{Fact, FactError};
use crate::facts::Facts;
use crate::facts::rootless::Range;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "rootless.ids",
    docs: Docs {
        title: "ids that the user may map",
        motivation: "Users of images other than root need ids of their own outside. Without a range of them \
                     RootlessKit does not start; with a short one layers fail with \"lchown: invalid argument\".",
        looks_at: "The user's lines in /etc/subuid and /etc/subgid, by name and by number.",
        remedy: "echo USER:100000:65536 >> /etc/subuid, and /etc/subgid likewise, in the image.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    of_user(facts, |seen| {
        let count = |ranges: &'f Fact<Vec<Range>>| {
            ranges.as_ref().map(|ranges| ranges.iter().map(|(_, count)| u64::from(*count)).sum::<u64>())
        };
        let counts = [("/etc/subuid", count(&seen.uids)?), ("/etc/subgid", count(&seen.gids)?)];
        let short: Vec<_> = counts.iter().filter(|(_, count)| *count < IDS).collect();
        if short.is_empty() {
            return Ok(Verdict::pass(format!("{} users, {} groups", counts[0].1, counts[1].1)));
        }
        let user = seen.user.clone().unwrap_or_else(|| seen.uid.to_string());
        let files: Vec<&str> = short.iter().map(|(file, _)| *file).collect();
        let mut verdict =
            Verdict::fail(Severity::Blocking, format!("too few ids for {user} in {}", files.join(" and ")))
                .because("No user of an image but root can be mapped, and RootlessKit refuses to start without.");
        for (file, count) in short {
            verdict = verdict
                .saw_wanted(*file, format!("{count} for {user}"), IDS.to_string())
                .remedy(format!("in the image: echo {user}:100000:65536 >> {file}"));
        }
        Ok(verdict.source("subuid(5); rootlesskit pkg/parent/idtools"))
    })
}

/// As many as the images of today use: users and groups up to 65535 (subuid(5), useradd(8)).
const IDS: u64 = 65536;
