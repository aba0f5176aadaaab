//! The directories that carry images and layers.

use super::{Check, Docs};
use crate::facts::storage::{Directory, Storage};
use crate::facts::{FactError, Facts};
use crate::finding::{Severity, Verdict};
use crate::profile::{OverlayProbe, Profile};

/// File systems that cannot carry the upper layer of an overlay: overlay itself, network and FUSE ones that lack
/// whiteouts or trusted xattrs, and an encrypted stack (kernel Documentation/filesystems/overlayfs.rst, "upper
/// filesystem").
const NO_UPPER_LAYER: [&str; 8] = ["overlay", "aufs", "ecryptfs", "nfs", "nfs4", "9p", "virtiofs", "fuse.sshfs"];

/// storage.data-root
pub(super) struct DataRoot;

impl Check for DataRoot {
    fn id(&self) -> &'static str {
        "storage.data-root"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "data-root and storage driver",
            motivation: "An overlay cannot be stacked on the outer container's own overlay. Some engines notice and \
                         fall back to vfs, slow and large; others start, and every container fails with \"invalid \
                         argument\".",
            looks_at: "The file system below the directories that this version keeps layers in, the driver that the \
                       user asks for, and what is in the data-root already.",
            remedy: "A volume (or tmpfs) on the data-root of the outer container.",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let storage = facts.storage.as_ref()?;
        if let Some(directory) = storage.directories.iter().find(|directory| directory.read_only) {
            return Ok(Verdict::fail(Severity::Blocking, format!("{} is read-only", directory.path))
                .saw_wanted(location(directory), directory.fstype.clone(), "rw")
                .remedy(volumes(storage)));
        }
        let bad = storage.directories.iter().find(|directory| NO_UPPER_LAYER.contains(&directory.fstype.as_str()));
        let Some(directory) = bad else {
            let places: Vec<String> = storage
                .directories
                .iter()
                .map(|directory| format!("{} on {}", directory.path, directory.fstype))
                .collect();
            return Ok(Verdict::pass(places.join(", ")));
        };
        // What was chosen for this data-root before, or by the user, is used again.
        let settled = storage.driver.as_ref().map(|(name, _)| name.as_str()).or_else(|| {
            storage.used_drivers.iter().map(String::as_str).find(|name| ["vfs", "fuse-overlayfs"].contains(name))
        });
        if let Some(driver @ ("vfs" | "fuse-overlayfs" | "btrfs" | "zfs" | "devicemapper" | "native")) = settled {
            return Ok(Verdict::pass(format!("{} on {}, driver {driver}", directory.path, directory.fstype)));
        }
        Ok(predict(directory, storage, profile))
    }
}

/// What this version does with a directory that cannot carry an overlay.
fn predict(directory: &Directory, storage: &Storage, profile: &Profile) -> Verdict {
    let overlay = profile.storage_priority.value.iter().find(|name| name.starts_with("overlay")).cloned();
    let asked = storage.driver.as_ref().filter(|(name, _)| name.starts_with("overlay"));
    let fallback =
        profile.storage_priority.value.iter().skip_while(|name| !name.starts_with("overlay")).any(|name| name == "vfs");
    let (severity, summary, cause) = match (profile.storage_overlay_probe.value, asked, overlay) {
        (OverlayProbe::None, None, None) => {
            return Verdict::pass(format!("{} on {}; this engine tries no overlay", directory.path, directory.fstype));
        }
        (OverlayProbe::None, _, _) => (
            Severity::Blocking,
            format!(
                "{} lies on {}: the daemon will start, and every container will fail",
                directory.path, directory.fstype
            ),
            format!(
                "Docker {} settles on overlay without trying it; the first mount gives \"invalid argument\".",
                profile.version
            ),
        ),
        (_, Some((name, by)), _) => (
            Severity::Blocking,
            format!("{} lies on {}: the daemon will refuse the driver {name}", directory.path, directory.fstype),
            format!("{by} asks for {name}, which cannot work there."),
        ),
        (_, None, _) if fallback => (
            Severity::Warning,
            format!("{} lies on {}: the daemon will fall back to vfs", directory.path, directory.fstype),
            format!(
                "Docker {} tries overlay, is refused, and copies whole layers instead: slow, and large.",
                profile.version
            ),
        ),
        (_, None, _) => (
            Severity::Blocking,
            format!("{} lies on {}: no storage driver will work", directory.path, directory.fstype),
            format!("Docker {} tries overlay, is refused, and has nothing to fall back to.", profile.version),
        ),
    };
    Verdict::fail(severity, summary)
        .saw_wanted(
            location(directory),
            directory.fstype.clone(),
            "ext4, xfs, btrfs, tmpfs: what can be an overlay's upper layer",
        )
        .because(cause)
        .remedy(volumes(storage))
        .source("kernel Documentation/filesystems/overlayfs.rst: upper filesystem")
        .source(profile.storage_overlay_probe.source.clone())
}

fn location(directory: &Directory) -> String {
    format!(
        "{}:{} ({} on {})",
        crate::facts::mounts::MOUNTINFO,
        directory.line,
        directory.fstype,
        directory.mount_point
    )
}

fn volumes(storage: &Storage) -> String {
    let mut places: Vec<String> = Vec::new();
    for directory in &storage.directories {
        // A volume on the data-root covers what lies in it.
        let covered = directory.path.starts_with(&storage.data_root);
        let place = if covered { storage.data_root.clone() } else { directory.path.clone() };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let flags: String = places.iter().map(|place| format!(" -v {place}")).collect();
    format!("docker run{flags} …: volumes for what the daemon keeps")
}
