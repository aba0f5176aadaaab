//! Mounting an overlay on the directories that will carry layers, in a mount namespace of its own. The directories that
//! it takes are removed again, and the times of the one that they were in are put back.
#![expect(unsafe_code, reason = "getxattr and setxattr are not in std or nix")]

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::CloneFlags;
use nix::sys::stat::{Mode, UtimensatFlags, utimensat};
use nix::sys::statvfs::statvfs;
use nix::sys::time::TimeSpec;
use serde::{Deserialize, Serialize};

use super::background::Background;
use super::child;

/// Its name on the hidden command line.
pub(super) const NAME: &str = "storage";
/// What the names of the directories that it makes begin with.
const LITTER: &str = ".dindcheck-probe-";

/// What is done first of all.
const MAKE: &str = "make a directory";

/// What was found out about one directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The directory that was asked for.
    pub path: String,
    /// Where it was tried: the directory itself, or the nearest one above it that is there.
    pub tried_in: String,
    /// Why no overlay was mounted.
    #[serde(default)]
    pub not_tried: Option<String>,
    /// What did not work, in the order of doing; `None` if all did.
    pub failure: Option<Failure>,
    /// Whether directory entries say of what type they are.
    pub d_type: Option<bool>,
    /// Free bytes, for others than root.
    pub free_bytes: Option<u64>,
    /// Free inodes; none where the file system makes them as it needs them.
    pub free_inodes: Option<u64>,
}

/// What did not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was tried: `mount an overlay`.
    pub what: String,
    /// The kernel's error.
    pub error: String,
    /// The same as a number.
    #[serde(default)]
    pub errno: Option<i32>,
    /// What it was about.
    #[serde(default)]
    pub stage: Stage,
}

/// What a step of the trial is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The directories that the trial needs, before and after: nothing follows for an overlay.
    Directory,
    /// Mounting the overlay.
    Mount,
    /// What an overlay has to do.
    #[default]
    Overlay,
}

impl Failure {
    /// Whether the answer is about an overlay there. Without space it is not; one to the mount itself is, also where a
    /// security module or the user namespace forbids it: the daemon is told the same.
    pub fn is_about_overlay(&self) -> bool {
        match self.errno {
            _ if self.stage == Stage::Directory => false,
            Some(libc::EPERM) => self.stage == Stage::Mount,
            Some(libc::ENOSPC | libc::EDQUOT) => false,
            _ => true,
        }
    }

    /// Whether the mount is forbidden, whatever the file system: by a missing capability (EPERM), a security module
    /// (EACCES), or the kernel in a user namespace (EPERM before Linux 5.11).
    pub fn is_forbidden_mount(&self) -> bool {
        self.stage == Stage::Mount && matches!(self.errno, Some(libc::EPERM | libc::EACCES))
    }

    /// Whether nothing can be made in the directory, for want of the right to.
    pub fn is_forbidden_directory(&self) -> bool {
        self.what == MAKE && matches!(self.errno, Some(libc::EPERM | libc::EACCES))
    }

    /// Whether the kernel has no overlay at all (mount(2): ENODEV).
    pub fn is_no_overlay(&self) -> bool {
        self.stage == Stage::Mount && self.errno == Some(libc::ENODEV)
    }
}

/// What an error is in numbers.
fn number(error: io::Error) -> (String, Option<i32>) {
    (error.to_string(), error.raw_os_error())
}

impl Failure {
    fn new(stage: Stage, what: &str, error: impl Into<io::Error>) -> Self {
        let (error, errno) = number(error.into());
        Self { what: what.to_owned(), error, errno, stage }
    }
}

/// Starts the trial in each directory; without an overlay where there is a reason against one.
pub fn start(directories: &[String], no_overlay: Option<&str>) -> Background<Vec<Trial>> {
    child::start(NAME, &(directories, no_overlay), CloneFlags::CLONE_NEWNS)
}

/// What runs in the child.
pub(super) fn run(directories: &[String], no_overlay: Option<&str>) -> Vec<Trial> {
    // Nothing of this may reach the mount namespace that we come from.
    let private = mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>);
    directories
        .iter()
        .map(|path| match private {
            Ok(()) => directory(path, no_overlay),
            Err(error) => failed(path, Failure::new(Stage::Directory, "make the mounts private", error)),
        })
        .collect()
}

fn failed(path: &str, failure: Failure) -> Trial {
    Trial {
        path: path.to_owned(),
        tried_in: path.to_owned(),
        not_tried: None,
        failure: Some(failure),
        d_type: None,
        free_bytes: None,
        free_inodes: None,
    }
}

fn directory(path: &str, no_overlay: Option<&str>) -> Trial {
    let Some(existing) = Path::new(path).ancestors().find(|path| path.is_dir()) else {
        let failure = Failure::new(Stage::Directory, "find the directory", io::Error::from_raw_os_error(libc::ENOENT));
        return failed(path, failure);
    };
    let space = statvfs(existing).ok();
    let mut trial = Trial {
        path: path.to_owned(),
        tried_in: existing.display().to_string(),
        not_tried: no_overlay.map(str::to_owned),
        failure: None,
        d_type: None,
        free_bytes: space.map(|space| space.blocks_available().saturating_mul(space.fragment_size())),
        free_inodes: space.filter(|space| space.files() > 0).map(|space| space.files_available()),
    };
    let before = fs::metadata(existing);
    super::litter::sweep(existing, LITTER);
    trial.failure = match super::litter::make(existing, LITTER) {
        Err(error) => Some(Failure::new(Stage::Directory, MAKE, error)),
        Ok(work) => {
            let failure = overlay(&work, &mut trial).err();
            // The overlay is unmounted by now; what is left is ours.
            let removed = fs::remove_dir_all(&work);
            failure.or_else(|| {
                let error = removed.err()?;
                Some(Failure::new(Stage::Directory, "remove the directory", error))
            })
        }
    };
    if let Ok(before) = before {
        put_back_times(existing, &before);
    }
    trial
}

fn put_back_times(path: &Path, before: &fs::Metadata) {
    let accessed = TimeSpec::new(before.atime(), before.atime_nsec());
    let modified = TimeSpec::new(before.mtime(), before.mtime_nsec());
    // A file system that keeps no times has none to put back.
    let _ = utimensat(nix::fcntl::AT_FDCWD, path, &accessed, &modified, UtimensatFlags::NoFollowSymlink);
}

/// Whether attributes of `trusted.` are not ours to set: there engines mount with `userxattr`, from Linux 5.11 on (moby
/// daemon/graphdriver/overlayutils: NeedsUserXAttr).
fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// What engines ask of an overlay: two lower layers (moby daemon/graphdriver/overlayutils, SupportsOverlay; containerd
/// plugins/snapshots/overlay/overlayutils, SupportsMultipleLowerDir), and what image layers are made of: whiteouts,
/// opaque directories, attributes (kernel Documentation/filesystems/overlayfs.rst).
fn overlay(work: &Path, trial: &mut Trial) -> Result<(), Failure> {
    fn step<T, E: Into<io::Error>>(what: &str, result: Result<T, E>) -> Result<T, Failure> {
        result.map_err(|error| Failure::new(Stage::Overlay, what, error))
    }
    let prepare =
        |what: &str, result: io::Result<()>| result.map_err(|error| Failure::new(Stage::Directory, what, error));
    for name in ["lower1", "lower2", "upper", "work", "merged", "lower1/opaque"] {
        prepare("make directories", fs::create_dir(work.join(name)))?;
    }
    for name in ["lower1/file", "lower2/other", "lower1/opaque/inner"] {
        prepare("make files", fs::write(work.join(name), ""))?;
    }
    trial.d_type = d_type(work);
    if trial.not_tried.is_some() {
        return Ok(());
    }
    let at = |name: &str| work.join(name);
    // In a user namespace the attributes of an overlay are those that every user may set; engines ask for it there
    // (containerd plugins/snapshots/overlay/overlayutils, NeedsUserXAttr), and kernels before 5.11 do not know it.
    let user_namespace = in_user_namespace();
    let (attributes, option) = if user_namespace { ("user", ",userxattr") } else { ("trusted", "") };
    let options = format!(
        "lowerdir={}:{},upperdir={},workdir={}{option}",
        at("lower2").display(),
        at("lower1").display(),
        at("upper").display(),
        at("work").display()
    );
    let merged = at("merged");
    let mount_with = |options: &str| mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(options));
    // Unmounting it would write the whole file system below to the disk (fs/overlayfs/super.c, ovl_sync_fs), with all
    // that others have left to write there; kernels before 5.10 have no way around that.
    let mounted = mount_with(&format!("{options},volatile")).or_else(|_| mount_with(&options));
    let what = "mount an overlay with two lower layers";
    mounted.map_err(|error| Failure::new(Stage::Mount, what, error))?;
    let used = (|| {
        step(
            "see a file of each lower layer",
            fs::metadata(merged.join("file")).and(fs::metadata(merged.join("other"))),
        )?;
        step("remove a file of a lower layer", fs::remove_file(merged.join("file")))?;
        let whiteout = step("find its whiteout", fs::symlink_metadata(at("upper/file")))?;
        if !whiteout.file_type().is_char_device() || whiteout.rdev() != 0 {
            return step("find its whiteout", Err(io::Error::other("it is no character device 0/0")));
        }
        step(
            "replace a directory",
            fs::remove_dir_all(merged.join("opaque")).and(fs::create_dir(merged.join("opaque"))),
        )?;
        step("find it marked as opaque", opaque(&at("upper/opaque"), attributes))?;
        step("set an attribute", set_attribute(&merged.join("other"), &format!("{attributes}.dindcheck")))
    })();
    let unmounted = step("unmount the overlay", umount2(&merged, MntFlags::MNT_DETACH));
    used.and(unmounted)
}

/// Whether entries tell their type; moby and containerd look in the same way (containerd continuity/fs/dtype_linux.go).
fn d_type(work: &Path) -> Option<bool> {
    let mut directory = Dir::open(work, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty()).ok()?;
    let known = directory.iter().flatten().all(|entry| entry.file_type().is_some());
    Some(known)
}

fn opaque(path: &Path, attributes: &str) -> io::Result<()> {
    let (path, name) = (c_string(path)?, CString::new(format!("{attributes}.overlay.opaque"))?);
    let mut value = [0u8; 8];
    // SAFETY: both names end with a zero, and the kernel writes at most the length given.
    let length = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    match length {
        // `x` is what newer kernels write where files below are whiteouts by attribute.
        1 if [b'y', b'x'].contains(&value[0]) => Ok(()),
        ..=-1 => Err(io::Error::last_os_error()),
        _ => Err(io::Error::other("the attribute has another value")),
    }
}

fn set_attribute(path: &Path, name: &str) -> io::Result<()> {
    let (path, name) = (c_string(path)?, CString::new(name)?);
    // SAFETY: both names end with a zero, and one byte is given as one byte.
    let result = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), b"y".as_ptr().cast(), 1, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn c_string(path: &Path) -> io::Result<CString> {
    use std::os::unix::ffi::OsStrExt as _;
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
