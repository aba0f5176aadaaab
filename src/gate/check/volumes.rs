//! image.volumes: volumes of the image.

use super::{Check, Subject};
use crate::check::Docs;
use crate::facts::storage::DEFAULT_DATA_ROOT;
use crate::finding::{Severity, Verdict};
use crate::profile::OverlayProbe;

pub(super) const CHECK: Check = Check {
    id: "image.volumes",
    docs: Docs {
        title: "volumes of the image",
        motivation: "Layers in the outer container's own overlay cannot be stacked: some engines fall back to vfs, \
                     slow and large, and 29 and later fail at every container. A VOLUME gives everybody who runs the \
                     image a place that works.",
        looks_at: "VOLUME of the image, against the directories in which this version keeps layers.",
        remedy: "VOLUME /var/lib/docker",
        since: "1.0",
    },
    run,
};

fn run(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
    // One that cannot be read is another check's matter.
    let data_root = image.configuration(None).map_or(DEFAULT_DATA_ROOT.to_owned(), |own| own.data_root().value);
    let wanted: Vec<String> =
        profile.storage_directories.value.iter().map(|path| path.replacen(DEFAULT_DATA_ROOT, &data_root, 1)).collect();
    let covered = |path: &str| {
        image.config.volumes.iter().any(|volume| {
            let volume = volume.trim_end_matches('/');
            path == volume || path.strip_prefix(volume).is_some_and(|rest| rest.starts_with('/'))
        })
    };
    let bare: Vec<&str> = wanted.iter().map(String::as_str).filter(|path| !covered(path)).collect();
    if bare.is_empty() {
        return Verdict::pass(format!("VOLUME {}", image.config.volumes.join(" ")));
    }
    let fatal = profile.storage_overlay_probe.value == OverlayProbe::None;
    let effect = if fatal { "every container fails" } else { "the daemon falls back to a slow driver" };
    Verdict::fail(
        if fatal { Severity::Blocking } else { Severity::Warning },
        format!("{} is no volume: without -v, {effect}", bare.join(", ")),
    )
    .saw_wanted("VOLUME", image.config.volumes.join(" "), wanted.join(" "))
    .because("There, layers would lie on the overlay of the outer container, and overlays cannot be stacked so.")
    .remedy(format!("VOLUME {} in the Dockerfile", bare.join(" ")))
    .remedy(format!(
        "or each user has to know: docker run {} …",
        bare.iter().map(|path| format!("-v {path}")).collect::<Vec<_>>().join(" ")
    ))
    .source(profile.storage_overlay_probe.source.clone())
}
