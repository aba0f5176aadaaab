//! storage.space: space and inodes.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Evidence, Fate, Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "storage.space",
    docs: Docs {
        title: "space and inodes",
        motivation: "A full data-root shows up as anything but that: pulls that hang, databases that cannot be \
                     opened. Inodes run out before bytes do, with many small layers.",
        looks_at: "statvfs of each directory that carries layers.",
        remedy: "A larger volume, or a file system with more inodes.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    const FEW_BYTES: u64 = 1 << 30;
    const FEW_INODES: u64 = 20_000;
    // Measured with the daemon alone, of 20.10.24 and 28.5.2, with an image of one program: with 1 MiB no image is
    // imported, with 4 MiB one is, and runs; with 100 inodes no container runs, with 200 one does.
    const TOO_FEW_BYTES: u64 = 1 << 20;
    const TOO_FEW_INODES: u64 = 100;
    let storage = facts.storage.as_ref()?;
    let trials = storage.trials.as_ref()?;
    let mut low = Vec::new();
    for trial in trials {
        for (what, free, least, too_few) in [
            ("bytes free", trial.free_bytes, FEW_BYTES, TOO_FEW_BYTES),
            ("inodes free", trial.free_inodes, FEW_INODES, TOO_FEW_INODES),
        ] {
            if let Some(free) = free.filter(|free| *free < least) {
                let severity = if free <= too_few { Severity::Blocking } else { Severity::Warning };
                low.push((trial, what, free, least, severity));
            }
        }
    }
    // The scarcest first: it is what fails first.
    low.sort_by_key(|(_, _, free, _, severity)| (std::cmp::Reverse(*severity), *free));
    let Some((first, what, free, _, severity)) = low.first() else {
        // Without the number: it is another one each time.
        return Ok(if trials.iter().any(|trial| trial.free_bytes.is_some()) {
            Verdict::pass(format!("more than {} MiB and {FEW_INODES} inodes free", FEW_BYTES >> 20))
        } else {
            Verdict::unknown("the file system does not say")
        });
    };
    let fate = if *severity == Severity::Blocking { Fate::EveryContainerFails } else { Fate::Works };
    Ok(Verdict::fail(*severity, format!("{free} {what} in {}", first.tried_in))
        .evidence(low.iter().map(|(trial, what, free, least, _)| Evidence {
            location: format!("statvfs {}", trial.tried_in),
            value: format!("{free} {what}"),
            wanted: Some(format!("{least} or more")),
        }))
        .foretells(fate)
        .because("Images need both, and the daemon's own databases some of the first.")
        .remedy("a larger volume on the data-root of the outer container")
        .source("moby#29508, moby#37077; statvfs(3)"))
}
