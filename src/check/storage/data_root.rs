//! storage.data-root: data-root and storage driver.

use std::path::Path;

use super::{location, order, settled, volumes};
use crate::check::{Check, Docs, Mend, modules};
use crate::configuration::Configuration;
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::kernel::Presence;
use crate::facts::storage::{Directory, Failure, Storage, Trial, UDEV};
use crate::finding::{Evidence, Fate, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::{ImageStore, OverlayProbe, Profile};

pub(in crate::check) const CHECK: Check = Check {
    id: "storage.data-root",
    docs: Docs {
        title: "data-root and storage driver",
        motivation: "An overlay cannot be stacked on the outer container's own overlay. Some engines notice and \
                     fall back to vfs, slow and large; others start, and every container fails with \"invalid \
                     argument\".",
        looks_at: "An overlay with two lower layers, a whiteout, an opaque directory and an attribute, mounted in \
                   each directory that this version keeps layers in, in a mount namespace that vanishes, unless \
                   that would load a module on the host; the \
                   driver that the user asks for, and what is in the data-root already.",
        remedy: "A volume (or tmpfs) on the data-root of the outer container; or dindcheck --fix, which takes \
                 mkfs.ext4.",
        since: "1.4",
    },
    run,
    mend: Some(Mend {
        title: "mounts an ext4 of its own there, in a sparse file on a loop device, where nothing is kept yet; or loads \
         `overlay`, if the host may be changed",
        needs_trials: false,
        fix,
    }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let storage = facts.storage.as_ref()?;
    if let Some(directory) = storage.directories.iter().find(|directory| directory.read_only) {
        return Ok(Verdict::fail(Severity::Blocking, format!("{} is read-only", directory.path))
            .saw_wanted(location(directory), directory.fstype.clone(), "rw")
            .remedy(volumes(storage)));
    }
    let failed = |is: fn(&Failure) -> bool| {
        storage.directories.iter().find_map(|directory| {
            let trial = storage.trial(&directory.path)?;
            Some((trial, trial.failure.as_ref().filter(|failure| is(failure))?))
        })
    };
    if let Some((trial, failure)) = failed(Failure::is_forbidden_directory) {
        return Ok(Verdict::fail(Severity::Blocking, format!("{} cannot be written to", trial.tried_in))
            .saw_wanted(format!("{} in {}", failure.what, trial.tried_in), failure.error.clone(), "it works")
            .because("It belongs to another user, as seen from this container: the daemon cannot make its directories there.")
            .remedy(format!("on the host, chown it to the id that is root in this container (/proc/self/uid_map: {})", uid_map(facts)))
            .remedy(volumes(storage))
            .source("moby v28.5.2 daemon/daemon_unix.go setupDaemonRoot"));
    }
    let may_mount = facts.privileges.as_ref().map_or(true, |own| own.effective.contains("CAP_SYS_ADMIN"));
    if let Some((trial, failure)) = failed(Failure::is_forbidden_mount).filter(|_| !may_mount) {
        return Ok(Verdict::unknown("no overlay was mounted: that takes CAP_SYS_ADMIN")
            .saw(format!("{} in {}", failure.what, trial.tried_in), failure.error.clone()));
    }
    let bad = storage.directories.iter().find(|directory| lacks_overlay(facts) || !carries_overlay(directory, storage));
    let settled = settled(storage, profile);
    if let Some(verdict) = settled.and_then(|settled| lacking(settled, storage, facts, profile)) {
        return Ok(verdict);
    }
    let settled = settled.map(|(driver, _)| driver).filter(|driver| WITHOUT_OVERLAY.contains(driver));
    let Some(directory) = bad else {
        if let Some(reason) = not_tried(storage).filter(|_| settled.is_none()) {
            return Ok(Verdict::unknown(format!("no overlay was mounted: {reason}"))
                .evidence([modules::evidence(facts, "overlay", OVERLAY)])
                .because("The daemon will mount one. Where the host's modprobe does not load it then, it does without.")
                .remedy(modules::remedy(facts, &[OVERLAY.to_owned()])));
        }
        if let Some((trial, failure)) = failed(|_| true).filter(|_| settled.is_none()) {
            return Ok(Verdict::unknown("no overlay could be mounted, and whether the daemon can is not known")
                .saw(format!("{} in {}", failure.what, trial.tried_in), failure.error.clone()));
        }
        let places: Vec<String> = storage
            .directories
            .iter()
            .map(|directory| {
                let tried = if tried(directory, storage).is_some() { ", an overlay was mounted there" } else { "" };
                format!("{} on {}{tried}", directory.path, directory.fstype)
            })
            .collect();
        return Ok(Verdict::pass(places.join(", ")).foretells(fate_with(settled)));
    };
    let rescued = fuse_overlayfs(facts, storage, profile);
    if let Some(driver) = settled {
        return Ok(Verdict::pass(format!("{} on {}, driver {driver}", directory.path, directory.fstype))
            .foretells(fate_with(settled)));
    }
    Ok(predict(directory, storage, facts, profile, rescued.as_ref()))
}

fn fix(facts: &Facts, profile: &Profile) -> Option<Fix> {
    let storage = facts.storage.as_ref().ok()?;
    if settled(storage, profile).is_some_and(|settled| lacking(settled, storage, facts, profile).is_some()) {
        return None;
    }
    let no_overlay = |directory: &Directory| {
        tried(directory, storage).and_then(|trial| trial.failure.as_ref()).is_some_and(is_no_overlay)
    };
    if not_tried(storage).is_some() || storage.directories.iter().any(no_overlay) {
        return fix::kernel::load(CHECK.id, &facts.kernel, &[OVERLAY.to_owned()]);
    }
    own_file_system(facts, profile)
}

/// File systems that cannot carry the upper layer of an overlay: overlay itself, network and FUSE ones that lack
/// whiteouts or trusted xattrs, and an encrypted stack (kernel Documentation/filesystems/overlayfs.rst, "upper
/// filesystem").
const NO_UPPER_LAYER: [&str; 8] = ["overlay", "aufs", "ecryptfs", "nfs", "nfs4", "9p", "virtiofs", "fuse.sshfs"];

/// Drivers that have no use for an overlay.
const WITHOUT_OVERLAY: [&str; 6] = ["vfs", "fuse-overlayfs", "btrfs", "zfs", "devicemapper", "native"];

/// What a driver that has no use for an overlay needs and does not find here, where the daemon takes no other one.
fn lacking((driver, by): (&str, &str), storage: &Storage, facts: &Facts, profile: &Profile) -> Option<Verdict> {
    if storage.image_store == ImageStore::Containerd {
        return None;
    }
    let option = |name: &str| {
        let given =
            |configuration: &Configuration| configuration.all("storage-opt").any(|own| own.value.starts_with(name));
        facts.configuration.as_ref().is_ok_and(given)
    };
    let refused = |missing: &str| {
        Verdict::fail(Severity::Blocking, format!("{missing}: the daemon will refuse the driver {driver}"))
    };
    const ANOTHER: &str = "give the daemon a fresh data-root, and no --storage-driver";
    let verdict = match driver {
        "btrfs" | "zfs" => {
            let root = storage.directories.iter().find(|directory| directory.path == storage.data_root)?;
            if root.fstype == driver || option("zfs.fsname=") {
                return None;
            }
            refused(&format!("{} lies on {}", root.path, root.fstype))
                .foretells(Fate::Dies)
                .saw_wanted(location(root), root.fstype.clone(), driver)
                .remedy(format!("docker run -v DIRECTORY:{} …, with a directory on {driver}", root.path))
                .remedy(format!("or {ANOTHER}"))
        }
        "aufs" => {
            let kernel = facts.kernel.as_ref().ok()?;
            match kernel.module(driver) {
                Presence::Absent => {}
                Presence::Untold if !kernel.modular => {}
                _ => return None,
            }
            refused("the kernel has no aufs")
                .foretells(Fate::Dies)
                .saw_wanted("/proc/filesystems", "no aufs", "aufs, which takes a patched kernel")
                .remedy(ANOTHER)
        }
        "devicemapper" => {
            if storage.has_udev || option("dm.override_udev_sync_check=") {
                return None;
            }
            refused("there is no udev")
                .foretells(Fate::Dies)
                .saw_wanted(UDEV, "not there", "udev runs")
                .remedy(ANOTHER)
                .source("moby v20.10.24 daemon/graphdriver/devmapper/deviceset.go: initDevmapper")
        }
        FUSE_OVERLAYFS => match fuse_overlayfs(facts, storage, profile) {
            Some(FuseOverlayfs { refused: Some(error), .. }) => {
                let summary = format!("no {FUSE}: every container will fail with the driver {driver}");
                Verdict::fail(Severity::Blocking, summary)
                    .foretells(Fate::EveryContainerFails)
                    .saw_wanted(FUSE, error, "it can be opened")
                    .remedy(DEVICE)
            }
            None if facts.engine.as_ref().ok()?.binaries.get(FUSE_OVERLAYFS) == Some(&None) => {
                refused("fuse-overlayfs is not in PATH")
                    .foretells(Fate::Dies)
                    .saw_wanted("PATH", format!("no {FUSE_OVERLAYFS}"), FUSE_OVERLAYFS)
                    .remedy(format!("install {FUSE_OVERLAYFS} in the image"))
                    .remedy(format!("or {ANOTHER}"))
            }
            _ => return None,
        },
        _ => return None,
    };
    let cause = format!("{by} asks for {driver}, and then the daemon takes no other one.");
    Some(verdict.because(cause).source("moby daemon/graphdriver/driver.go: New"))
}

/// What becomes of a daemon with a driver that has no use for an overlay.
fn fate_with(driver: Option<&str>) -> Fate {
    match driver {
        Some("vfs" | "native" | FUSE_OVERLAYFS) => Fate::FallsBack,
        _ => Fate::Works,
    }
}

/// The kernel's module.
const OVERLAY: &str = "overlay";

/// A file system of its own under the data-root, where that helps.
fn own_file_system(facts: &Facts, profile: &Profile) -> Option<Fix> {
    const MOST: u64 = 256 << 30;
    const LEAST: u64 = 1 << 30;
    let storage = facts.storage.as_ref().ok()?;
    let data_root = storage.data_root.as_str();
    let bad: Vec<_> = storage.directories.iter().filter(|directory| !carries_overlay(directory, storage)).collect();
    let first = bad.first()?;
    // What lies elsewhere is not helped by it, and what is kept there would be hidden.
    let helps = !first.read_only && bad.iter().all(|own| Path::new(&own.path).starts_with(data_root));
    // What forbids one mount forbids the other.
    let trial = tried(first, storage)
        .filter(|trial| trial.failure.as_ref().is_none_or(|failure| !failure.is_forbidden_mount()))?;
    let devices = &facts.devices.as_ref().ok()?.all;
    let has_loop = devices.iter().any(|device| device.path == LOOP_CONTROL && device.error.is_none());
    let kept = !storage.used_drivers.is_empty() || storage.has_networks;
    let rescued = fuse_overlayfs(facts, storage, profile).is_some_and(|program| program.refused.is_none());
    if !helps || !has_loop || kept || rescued {
        return None;
    }
    facts.privileges.as_ref().ok().filter(|privileges| privileges.effective.contains("CAP_SYS_ADMIN"))?;
    let is_there = trial.tried_in == data_root;
    if storage.has_image {
        return Some(fix::storage::own_file_system(CHECK.id, data_root, is_there, None));
    }
    storage.mkfs.as_ref()?;
    // Others write to the file system below as well.
    let bytes = (trial.free_bytes? / 4 * 3).min(MOST) & !0xf_ffff;
    (bytes >= LEAST).then(|| fix::storage::own_file_system(CHECK.id, data_root, is_there, Some(bytes)))
}

fn uid_map(facts: &Facts) -> &str {
    facts.privileges.as_ref().map_or("not known", |own| own.uid_map.as_str())
}

/// Why no overlay was mounted, where there was a reason.
fn not_tried(storage: &Storage) -> Option<&str> {
    storage.trials.as_ref().ok()?.iter().find_map(|trial| trial.not_tried.as_deref())
}

/// mount(2): the file system type is not configured in the kernel.
fn is_no_overlay(failure: &Failure) -> bool {
    failure.is_no_overlay()
}

/// Whether the kernel's own lists say that it has none.
fn lacks_overlay(facts: &Facts) -> bool {
    facts.kernel.as_ref().is_ok_and(|kernel| kernel.module(OVERLAY) == Presence::Absent)
}

/// What every loop device comes from.
const LOOP_CONTROL: &str = "/dev/loop-control";

/// The program that the daemon falls back to before vfs.
struct FuseOverlayfs {
    program: String,
    /// What opening its device gave, where that failed: then it can mount nothing.
    refused: Option<String>,
}

/// The program and driver, and its device.
const FUSE_OVERLAYFS: &str = "fuse-overlayfs";

const FUSE: &str = "/dev/fuse";
/// How the container gets it.
const DEVICE: &str = "docker run --device /dev/fuse …, or let dindcheck --fix make it in a privileged container";

/// The program, where this version knows it and has it. The daemon looks for no more than that (moby
/// daemon/graphdriver/fuse-overlayfs Init).
fn fuse_overlayfs(facts: &Facts, storage: &Storage, profile: &Profile) -> Option<FuseOverlayfs> {
    order(storage, profile).iter().find(|name| *name == FUSE_OVERLAYFS)?;
    let program = facts.engine.as_ref().ok()?.binaries.get(FUSE_OVERLAYFS)?.clone()?;
    let devices = &facts.devices.as_ref().ok()?.all;
    // Where it is not listed the kernel has no driver for it.
    let refused = devices
        .iter()
        .find(|device| device.path == FUSE)
        .map_or(Some("no driver".to_owned()), |device| device.error.clone());
    Some(FuseOverlayfs { program, refused })
}

/// The trial of a directory, where it says something: without the right to mount, or without space, it does not.
fn tried<'s>(directory: &Directory, storage: &'s Storage) -> Option<&'s Trial> {
    storage
        .trial(&directory.path)
        .filter(|trial| trial.not_tried.is_none())
        .filter(|trial| trial.failure.as_ref().is_none_or(Failure::is_about_overlay))
}

/// By trial, or else by the type of the file system.
fn carries_overlay(directory: &Directory, storage: &Storage) -> bool {
    match tried(directory, storage) {
        Some(trial) => trial.failure.is_none(),
        None => !NO_UPPER_LAYER.contains(&directory.fstype.as_str()),
    }
}

/// How the daemon finds out whether overlay works. A snapshotter of containerd's is never tried, and an engine whose
/// default that is tries its drivers by mounting, as those before it did.
fn probe(storage: &Storage, profile: &Profile) -> OverlayProbe {
    match (storage.image_store, profile.storage_image_store.value) {
        (ImageStore::Containerd, _) => OverlayProbe::None,
        (ImageStore::Graphdriver, ImageStore::Containerd) => OverlayProbe::Mount,
        (ImageStore::Graphdriver, ImageStore::Graphdriver) => profile.storage_overlay_probe.value,
    }
}

/// What this version does with a directory that cannot carry an overlay.
fn predict(
    directory: &Directory,
    storage: &Storage,
    facts: &Facts,
    profile: &Profile,
    rescued: Option<&FuseOverlayfs>,
) -> Verdict {
    let overlay = profile.storage_priority.value.iter().find(|name| name.starts_with("overlay")).cloned();
    let asked = settled(storage, profile).filter(|(name, _)| name.starts_with("overlay"));
    let fallback =
        order(storage, profile).iter().skip_while(|name| !name.starts_with("overlay")).any(|name| name == "vfs");
    let refused = rescued.and_then(|own| own.refused.as_deref());
    let trial = tried(directory, storage).and_then(|trial| Some((trial, trial.failure.as_ref()?)));
    let no_overlay = lacks_overlay(facts) || trial.is_some_and(|(_, failure)| is_no_overlay(failure));
    let forbidden = trial.is_some_and(|(_, failure)| failure.is_forbidden_mount());
    let label = facts.privileges.as_ref().ok().and_then(|own| own.label.as_deref()).filter(|_| forbidden);
    let place = match (no_overlay, forbidden, label) {
        (true, ..) => "the kernel has no overlay".to_owned(),
        (_, true, Some(label)) => format!("an overlay is refused under the security label {label}"),
        (_, true, None) => "an overlay is refused".to_owned(),
        _ => format!("{} lies on {}", directory.path, directory.fstype),
    };
    let (severity, fate, summary, cause) = match (probe(storage, profile), asked, overlay) {
        (OverlayProbe::None, None, None) => {
            return Verdict::pass(format!("{} on {}; this engine tries no overlay", directory.path, directory.fstype));
        }
        (OverlayProbe::None, _, _) => (
            Severity::Blocking,
            Fate::EveryContainerFails,
            format!("{place}: the daemon will start, and every container will fail"),
            format!(
                "Docker {} settles on overlay without trying it; the first mount gives \"invalid argument\".",
                profile.version
            ),
        ),
        (_, Some((name, by)), _) => (
            Severity::Blocking,
            Fate::Dies,
            format!("{place}: the daemon will refuse the driver {name}"),
            format!("{by} asks for {name}, which cannot work there."),
        ),
        (_, None, _) if refused.is_some() => (
            Severity::Blocking,
            Fate::EveryContainerFails,
            format!("{place}: the daemon will take fuse-overlayfs, and every container will fail"),
            format!(
                "Docker {} takes fuse-overlayfs because the program is there, and without {FUSE} it can mount nothing.",
                profile.version
            ),
        ),
        (_, None, _) if rescued.is_some() => (
            Severity::Info,
            Fate::FallsBack,
            format!("{place}: the daemon will fall back to fuse-overlayfs"),
            format!(
                "Docker {} tries overlay, is refused, and takes {} instead: slower, and no larger.",
                profile.version,
                rescued.map(|own| own.program.as_str()).unwrap_or_default()
            ),
        ),
        (_, None, _) if fallback => (
            Severity::Warning,
            Fate::FallsBack,
            format!("{place}: the daemon will fall back to vfs"),
            format!(
                "Docker {} tries overlay, is refused, and copies whole layers instead: slow, and large.",
                profile.version
            ),
        ),
        (_, None, _) => (
            Severity::Blocking,
            Fate::Dies,
            format!("{place}: no storage driver will work"),
            format!("Docker {} tries overlay, is refused, and has nothing to fall back to.", profile.version),
        ),
    };
    let seen = trial.map(|(trial, failure)| Evidence {
        location: format!("{} in {}", failure.what, trial.tried_in),
        value: failure.error.clone(),
        wanted: Some("it works".to_owned()),
    });
    let verdict = Verdict::fail(severity, summary).foretells(fate).evidence(seen);
    let verdict = match refused {
        Some(error) => verdict.saw_wanted(FUSE, error, "it can be opened").remedy(DEVICE),
        None => verdict,
    };
    if no_overlay {
        return verdict
            .evidence([modules::evidence(facts, "overlay", OVERLAY)])
            .because(cause)
            .remedy(modules::remedy(facts, &[OVERLAY.to_owned()]))
            .source(profile.storage_overlay_probe.source.clone());
    }
    if forbidden {
        return verdict
            .because(cause)
            .remedy(
                "start the outer container without that confinement: --privileged, --security-opt apparmor=unconfined",
            )
            .source(profile.storage_overlay_probe.source.clone());
    }
    verdict
        .saw_wanted(
            location(directory),
            directory.fstype.clone(),
            "ext4, xfs, btrfs, tmpfs: what can be an overlay's upper layer",
        )
        .because(cause)
        .remedy(volumes(storage))
        .remedy("or let dindcheck --fix mount an ext4 there, in a file (with mkfs.ext4 in the image, and nothing kept there yet)")
        .source("kernel Documentation/filesystems/overlayfs.rst: upper filesystem")
        .source(profile.storage_overlay_probe.source.clone())
}
