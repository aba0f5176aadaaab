//! Files: the storage driver, its layers, and what is mounted.

use std::time::Duration;

use super::inside::Told;
use super::nest::Nest;
use super::scenario::{Refused, judge};
use super::work::Work;
use crate::finding::{Evidence, Severity, Verdict};

/// Which storage driver is in use; loudly if it copies everything.
pub(super) fn storage(nest: &Nest<'_>) {
    let driver = &nest.info.storage_driver;
    let verdict = match driver.as_str() {
        // `native` is the snapshotter of the same kind.
        "vfs" | "native" => {
            Verdict::fail(Severity::Warning, format!("{driver}: each layer and container is a full copy"))
                .because("No driver that shares layers works on the file system of the data-root.")
                .remedy("put the data-root on a volume of the outer container: docker run -v /var/lib/docker …")
        }
        _ => Verdict::pass(format!("{driver} shares layers")),
    };
    nest.ledger.write("storage", verdict.saw("API: info: Driver", driver.clone()), Duration::ZERO);
}

/// What one container changed, and what another one of the same image sees of it.
pub(super) fn layers(nest: &Nest<'_>, changed: Result<Told, Refused>, original: Result<&Told, &Refused>) {
    let (verdict, ms) =
        match (changed, original) {
            (Err(Refused(verdict)), _) => (*verdict, 0),
            (Ok(changed), Ok(original)) => {
                let mut evidence = changed.evidence;
                evidence.extend(original.evidence.iter().map(|one| Evidence {
                    location: format!("{} in a second container", one.location),
                    ..one.clone()
                }));
                let what = "files of the image are changed in one container, and as they were in another";
                (judge(what, evidence), changed.ms + original.ms)
            }
            // The first half still holds or not; the second could not be looked at.
            (Ok(changed), Err(_)) => {
                let what = "files of the image are changed in one container; there was no second one";
                (judge(what, changed.evidence), changed.ms)
            }
        };
    nest.ledger.write("layers", verdict, Duration::from_millis(ms));
}

/// What is mounted in the work container, and what a second one sees of the volume.
pub(super) fn volumes(nest: &Nest<'_>, work: &Work, volume: Option<&Told>) {
    let Ok(told) = work.told("volumes") else { return };
    let mut evidence = told.evidence;
    evidence.push(Evidence {
        location: "the file that came out of the bind mount".to_owned(),
        value: work.came_from_inside().unwrap_or_else(|error| error.to_string()),
        wanted: Some("from inside".to_owned()),
    });
    evidence.extend(volume.into_iter().flat_map(|volume| volume.evidence.clone()));
    let what =
        if work.volume.is_some() { "a named volume, a bind mount and a tmpfs work" } else { "a bind mount works" };
    nest.ledger.write("volumes", judge(what, evidence), Duration::from_millis(told.ms));
}
