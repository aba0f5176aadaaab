//! The daemon's directories and the file systems that they lie on.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use memchr::memmem;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::engine::{find, search_path};
use super::kernel::Kernel;
use super::mounts::Mounts;
use super::{Fact, FactError, Request};
use crate::configuration::Setting;
use crate::probe::background::Background;
use crate::probe::storage as probe;
pub use crate::probe::storage::{Failure, Trial};
use crate::profile::ImageStore;

/// Where the daemon keeps its state unless told otherwise.
pub const DEFAULT_DATA_ROOT: &str = "/var/lib/docker";
/// The daemon's configuration file.
pub const DAEMON_JSON: &str = "/etc/docker/daemon.json";
/// The directories of storage drivers and snapshotters, whose presence tells what a data-root was made with.
const DRIVER_DIRECTORIES: [&str; 9] =
    ["overlay2", "overlay", "aufs", "btrfs", "zfs", "devicemapper", "fuse-overlayfs", "vfs", "containerd"];

/// What a running udev listens on (libdevmapper asks libudev for it).
pub const UDEV: &str = "/run/udev/control";

/// More of the engine's program is not looked at, in bytes.
const MAX_PROGRAM: u64 = 1 << 30;
/// How much of it is searched at once, in bytes.
const WINDOW: u64 = 1 << 20;

/// Where containerd keeps what images are made of, by digest, below a data-root. Storage drivers keep nothing there
/// (containerd plugins/content/local/store.go).
const CONTAINERD_CONTENT: &str = "containerd/daemon/io.containerd.content.v1.content/blobs/sha256";

/// The file in a data-root that a fix makes a file system in.
pub const IMAGE: &str = "dindcheck.ext4";
/// The program that it takes.
const MKFS: &str = "mkfs.ext4";

/// One directory that will carry images or layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// The directory.
    pub path: String,
    /// Where the file system below it is mounted.
    pub mount_point: String,
    /// Its type.
    pub fstype: String,
    /// The line of mountinfo that says so.
    pub line: usize,
    /// Whether nothing can be written there.
    pub read_only: bool,
    /// Whether programs in it cannot be run.
    pub noexec: bool,
    /// Whether device nodes in it do not work.
    pub nodev: bool,
}

/// The daemon's directories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// The data-root.
    pub data_root: String,
    /// How it is known: a default, a flag, daemon.json.
    pub said_by: String,
    /// The storage driver that the user asks for, and where.
    pub driver: Option<(String, String)>,
    /// Where images will be kept.
    pub image_store: ImageStore,
    /// What decides that.
    pub store_said_by: String,
    /// Storage drivers that have left something in the data-root.
    pub used_drivers: Vec<String>,
    /// Those of them and of what the user asks for that the engine's program was built without.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Whether udev runs here, which devicemapper needs.
    #[serde(default)]
    pub has_udev: bool,
    /// The directory with what containerd's own image store holds, if it holds anything: images that no storage driver
    /// sees.
    #[serde(default)]
    pub containerd_content: Option<String>,
    /// The directories that matter.
    pub directories: Vec<Directory>,
    /// Whether a daemon has kept its networks in the data-root.
    #[serde(default)]
    pub has_networks: bool,
    /// Whether a fix has made a file system in a file there.
    #[serde(default)]
    pub has_image: bool,
    /// The program that makes one.
    #[serde(default)]
    pub mkfs: Option<String>,
    /// Databases in the data-root that a running process holds a lock on.
    pub locked: Vec<String>,
    /// What came of mounting an overlay in each of the directories.
    pub trials: Fact<Vec<Trial>>,
}

impl Storage {
    /// Whether an earlier look came to the same, and all that was tried then worked.
    fn is_as_good_as(&self, earlier: &Self) -> bool {
        let worked =
            |trials: &Vec<Trial>| trials.iter().all(|trial| trial.not_tried.is_none() && trial.failure.is_none());
        earlier.trials.as_ref().is_ok_and(worked) && Self { trials: earlier.trials.clone(), ..self.clone() } == *earlier
    }

    /// What came of the trial in a directory.
    pub fn trial(&self, path: &str) -> Option<&Trial> {
        self.trials.as_ref().ok()?.iter().find(|trial| trial.path == path)
    }
}

/// The databases that a daemon and its containerd lock for as long as they run (bbolt: flock). Trying the lock tells
/// of daemons in other containers too, whose processes are not seen here.
const DATABASES: [&str; 4] = [
    "volumes/metadata.db",
    "network/files/local-kv.db",
    "buildkit/cache.db",
    "containerd/daemon/io.containerd.metadata.v1.bolt/meta.db",
];

/// A look that is under way.
pub struct PendingStorage {
    storage: Fact<Storage>,
    probe: Option<Background<Vec<Trial>>>,
}

impl PendingStorage {
    /// Waits for the trials.
    pub(super) fn finish(self) -> Fact<Storage> {
        let mut storage = self.storage?;
        if let Some(probe) = self.probe {
            storage.trials = probe.finish();
        }
        Ok(storage)
    }
}

/// Reads the settings and the mount table, and starts trying, unless an earlier look has done so. An overlay that the
/// kernel does not have yet makes it load the module, on the host (fs/filesystems.c get_fs_type: request_module): it is
/// not mounted then.
pub(super) fn start(
    request: &Request,
    kernel: &Fact<Kernel>,
    mounts: &Fact<Mounts>,
    earlier: Option<&Storage>,
) -> PendingStorage {
    let root = &request.root;
    let would_load = kernel.as_ref().is_ok_and(|kernel| kernel.would_load("overlay"));
    let storage = match mounts {
        Ok(mounts) => read(request, mounts),
        Err(error) => Err(error.clone()),
    };
    if let (Ok(now), Some(earlier)) = (&storage, earlier)
        && now.is_as_good_as(earlier)
    {
        return PendingStorage { storage: Ok(earlier.clone()), probe: None };
    }
    let probe = storage.as_ref().ok().filter(|_| root.is_live()).map(|storage| {
        let paths: Vec<String> = storage.directories.iter().map(|directory| directory.path.clone()).collect();
        probe::start(&paths, would_load.then_some("it would load overlay on the host"))
    });
    PendingStorage { storage, probe }
}

/// The storage drivers that a program was built without: distributions leave some out, and the released ones need a tag
/// for it. Go's linker keeps the names of functions in stripped programs, too. None is, in what has not even vfs: a
/// script, or a program that was packed. What every build has is not looked for.
fn left_out(program: &Path, drivers: &[&String]) -> io::Result<Vec<String>> {
    let package = |name: &str| if name == "devicemapper" { "devmapper".to_owned() } else { name.to_owned() };
    let wanted = drivers.iter().map(|name| name.as_str()).filter(|name| !["overlay2", "vfs"].contains(name));
    let mut missing: Vec<(&str, String)> =
        wanted.chain(["vfs"]).map(|name| (name, format!("graphdriver/{}.Init", package(name)))).collect();
    if missing.len() == 1 {
        return Ok(Vec::new());
    }
    let mut file = File::open(program)?.take(MAX_PROGRAM);
    let mut window = Vec::new();
    let longest = missing.iter().map(|(_, mark)| mark.len()).max().unwrap_or_default();
    while !missing.is_empty() {
        window.drain(..window.len().saturating_sub(longest));
        if file.by_ref().take(WINDOW).read_to_end(&mut window)? == 0 {
            break;
        }
        missing.retain(|(_, mark)| memmem::find(&window, mark.as_bytes()).is_none());
    }
    let is_none = missing.iter().any(|(name, _)| *name == "vfs");
    Ok(missing.into_iter().filter(|_| !is_none).map(|(name, _)| name.to_owned()).collect())
}

/// Reads where the daemon will keep its state. The directories are those that profiles name, with the default data-root in
/// front where they lie in it.
fn read(request: &Request, mounts: &Mounts) -> Fact<Storage> {
    let (root, wanted) = (&request.root, &request.directories);
    let configuration = request.configuration.as_ref().map_err(FactError::clone)?;
    let Setting { value: data_root, origin, .. } = configuration.data_root();
    let said_by = origin.to_string();
    let driver = configuration.storage_driver().map(|driver| (driver.value.clone(), driver.origin.to_string()));
    let directories = wanted
        .iter()
        .filter_map(|path| {
            let own = path.strip_prefix(DEFAULT_DATA_ROOT).map(|rest| format!("{data_root}{rest}"));
            let path = configuration.moved(path).or(own).unwrap_or_else(|| path.clone());
            let mount = mounts.of(&path)?;
            Some(Directory {
                mount_point: mount.point.clone(),
                fstype: mount.fstype.clone(),
                line: mount.line,
                read_only: mount.is_read_only(),
                noexec: mount.options.contains_key("noexec"),
                nodev: mount.options.contains_key("nodev"),
                path,
            })
        })
        .collect();
    let used_drivers: Vec<String> = DRIVER_DIRECTORIES
        .iter()
        .filter(|name| root.list(&format!("{data_root}/{name}")).is_ok_and(|names| !names.is_empty()))
        .map(|name| (*name).to_owned())
        .collect();
    let content = format!("{DEFAULT_DATA_ROOT}/{CONTAINERD_CONTENT}");
    let content = configuration.moved(&content).unwrap_or(content);
    let containerd_content = root.list(&content).is_ok_and(|names| !names.is_empty()).then_some(content);
    let asked = driver.iter().map(|(name, _)| name);
    let unusual: Vec<&String> =
        used_drivers.iter().chain(asked).filter(|name| request.drivers.contains(name)).collect();
    let program = request.daemon.first().and_then(|name| find(root, &search_path(), name));
    let left_out = program.and_then(|program| left_out(&root.path(program), &unusual).ok()).unwrap_or_default();
    // vfs does not count, nor what the engine does not have (moby daemon/graphdriver/driver.go: scanPriorDrivers).
    let has_prior =
        used_drivers.iter().any(|name| name != "vfs" && request.drivers.contains(name) && !left_out.contains(name));
    let (image_store, store_said_by) = configuration.image_store(request.image_store, &request.drivers, has_prior);
    let locked = DATABASES
        .iter()
        .map(|name| format!("{data_root}/{name}"))
        .filter(|path| root.is_live() && is_locked(path))
        .collect();
    let has_networks = root.exists(&format!("{data_root}/network/files/local-kv.db"));
    let has_image = !is_blank(&root.path(format!("{data_root}/{IMAGE}")));
    let mkfs = find(root, &search_path(), MKFS);
    let trials = Err(FactError::captured("an overlay"));
    Ok(Storage {
        data_root,
        said_by,
        image_store,
        store_said_by,
        driver,
        used_drivers,
        left_out,
        has_udev: root.exists(UDEV),
        containerd_content,
        directories,
        has_networks,
        has_image,
        mkfs,
        locked,
        trials,
    })
}

/// Whether nothing is at a path, or a file with nothing where its superblock would be (kernel
/// Documentation/filesystems/ext4/super.rst: at 1024): mkfs writes that last.
pub(crate) fn is_blank(path: &Path) -> bool {
    use std::os::unix::fs::FileExt as _;
    let mut block = [0; 1024];
    match crate::state::open_regular(path) {
        Ok(file) => {
            let read = file.read_at(&mut block, 1024);
            read.is_ok_and(|count| block[..count].iter().all(|byte| *byte == 0))
        }
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Whether a process has locked the file for itself. Our own lock is let go with the file, at once.
fn is_locked(path: &str) -> bool {
    let Ok(file) = crate::state::open_regular(Path::new(path)) else { return false };
    matches!(Flock::lock(file, FlockArg::LockSharedNonblock), Err((_, Errno::EWOULDBLOCK)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_tells_which_drivers_were_left_out_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("dockerd");
        let names = ["btrfs", "devicemapper", "overlay", "overlay2", "vfs", "zfs"].map(str::to_owned);
        let told = |text: &[u8]| {
            std::fs::write(&program, text).unwrap();
            left_out(&program, &names.each_ref()).unwrap()
        };
        // A name that ends behind the first window, and one that is the beginning of another.
        let mut text = vec![0; usize::try_from(WINDOW).unwrap() - 16];
        text.extend(
            b"x/daemon/graphdriver/zfs.Init\0x/daemon/graphdriver/vfs.Init\0x/daemon/graphdriver/overlay2.Init\0",
        );
        assert_eq!(told(&text), ["btrfs", "devicemapper", "overlay"]);
        text.extend(b"x/daemon/graphdriver/devmapper.Init\0");
        assert_eq!(told(&text), ["btrfs", "overlay"]);
        assert_eq!(told(b"#!/bin/sh\nexec dockerd"), [""; 0]);
        // Every engine has these: nothing is read for them.
        assert_eq!(left_out(Path::new("/nonexistent"), &[&names[3], &names[4]]).unwrap(), [""; 0]);
        assert!(left_out(Path::new("/nonexistent"), &[&names[0]]).is_err());
    }
}
