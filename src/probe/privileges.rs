//! Doing what a daemon does to make containers, in namespaces of its own.
#![expect(unsafe_code, reason = "system calls that neither std nor nix has")]

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use super::background::Background;
use super::child;
use super::{Attempt, cgroup, tried};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{chdir, pivot_root};
use rustix::fs::{CWD, Mode as FileMode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsmount, fsopen, open_tree,
};

/// Its name on the hidden command line.
pub(super) const NAME: &str = "privileges";
/// What runc does for sysctls from 1.2.8 and 1.3.3 on, and other runtimes do not: engine.pairing judges it.
pub const SYSCTL: &str = "open a sysctl for writing through a proc of its own";
/// What runc 1.3.6, 1.4.3 and 1.5.0 mask directories with (libcontainer/rootfs_linux.go maskDir): Ubuntu's kernel 5.4 wants
/// two inodes at least, and gVisor does not know the options.
pub const MASK: &str = "mount a tmpfs of one block and one inode";
/// What containerd 2.3.0 cannot do without where it loads its erofs snapshotter (plugins/transfer/plugin.go, defaults).
pub const EROFS: &str = "find mkfs.erofs, where the kernel has erofs";
/// What runc from 1.2.8, 1.3.3 on takes for a failure where it is missing: a kernel without user namespaces has no such file
/// (libcontainer/init_linux.go setupUser; 1.4.1 and 1.5.0 do without).
pub const SETGROUPS: &str = "find /proc/self/setgroups";
/// What some releases of the engine's companions do, and others do not: engine.pairing judges these.
pub const OF_PAIRINGS: [&str; 4] = [SYSCTL, MASK, EROFS, SETGROUPS];
/// What unpacks the layers of images, and is refused where the user namespace has one user.
pub const CHOWN: &str = "give a file to another user";
/// The name of its part that needs a pid namespace of its own.
pub(super) const FRESH_PROC: &str = "fresh-proc";

/// Starts all of them. The pid namespace is that of the child's children, of which one mounts a fresh proc.
pub fn start() -> Background<Vec<Attempt>> {
    child::start(NAME, &(), CloneFlags::empty())
}

/// What runs in the child. Nothing here outlives its namespaces.
pub(super) fn run() -> Vec<Attempt> {
    let mut attempts = vec![
        // Both calls with arguments that a kernel refuses at once: what counts is who refuses, and how.
        tried("clone3", answers(libc::SYS_clone3)),
        tried("openat2", answers(libc::SYS_openat2)),
        tried("keyctl", keyring()),
        tried("bpf", cgroup::load()),
        tried(EROFS, mkfs_erofs()),
        tried(SETGROUPS, fs::metadata("/proc/self/setgroups")),
    ];
    let namespaces = [
        ("unshare mount namespace", CloneFlags::CLONE_NEWNS),
        ("unshare network namespace", CloneFlags::CLONE_NEWNET),
        ("unshare UTS namespace", CloneFlags::CLONE_NEWUTS),
        ("unshare IPC namespace", CloneFlags::CLONE_NEWIPC),
        ("unshare pid namespace", CloneFlags::CLONE_NEWPID),
    ];
    attempts.extend(namespaces.into_iter().map(|(what, flag)| tried(what, unshare(flag))));
    // The first process of the pid namespace just made: who unshares one is not in it.
    let proc = child::run::<Vec<Attempt>>(FRESH_PROC, b"null", CloneFlags::CLONE_NEWNS);
    attempts.extend(proc.unwrap_or_else(|error| {
        vec![Attempt { what: "mount a fresh proc".to_owned(), error: Some(error.reason.text()) }]
    }));
    // Without a mount namespace of our own nothing more may be tried.
    if attempts.iter().any(|attempt| attempt.what == "unshare mount namespace" && attempt.error.is_some()) {
        return attempts;
    }
    attempts.extend(mounts());
    attempts
}

/// Mounts, a device node, a change of root: on a tmpfs over a directory that every image has, in our namespace alone.
fn mounts() -> Vec<Attempt> {
    let private = mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>);
    let Some(point) = ["/run", "/tmp", "/var", "/sys", "/dev"].into_iter().find(|path| Path::new(path).is_dir()) else {
        return vec![tried("mount a tmpfs", Err::<(), _>("there is no directory to mount it on"))];
    };
    let tmpfs = private.and_then(|()| mount(Some("tmpfs"), point, Some("tmpfs"), MsFlags::MS_NOSUID, Some("size=64k")));
    let mut attempts = vec![tried("mount a tmpfs", tmpfs)];
    if tmpfs.is_err() {
        return attempts;
    }
    let masked = format!("{point}/masked");
    let masked = fs::create_dir(&masked).and_then(|()| {
        let options = Some("nr_blocks=1,nr_inodes=1");
        Ok(mount(Some("tmpfs"), masked.as_str(), Some("tmpfs"), MsFlags::MS_RDONLY, options)?)
    });
    attempts.push(tried(MASK, masked));
    let file = format!("{point}/file");
    attempts.push(tried(CHOWN, fs::write(&file, "").and_then(|()| std::os::unix::fs::chown(&file, Some(1), Some(1)))));
    let node = format!("{point}/null");
    let made = mknod(node.as_str(), SFlag::S_IFCHR, Mode::from_bits_truncate(0o600), makedev(1, 3));
    attempts.push(tried("mknod", made));
    if made.is_ok() {
        attempts.push(tried("open a device node", fs::File::open(&node)));
    }
    let (root, old) = (format!("{point}/root"), format!("{point}/root/old"));
    let pivoted = fs::create_dir(&root)
        .and_then(|()| {
            mount(Some(root.as_str()), root.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .map_err(io::Error::from)
        })
        .and_then(|()| fs::create_dir(&old))
        .and_then(|()| Ok(pivot_root(root.as_str(), old.as_str())?))
        .and_then(|()| Ok(chdir("/")?));
    attempts.push(tried("pivot_root", pivoted));
    attempts
}

/// The program that containerd's erofs differ runs, in PATH; it is not missed by a kernel without that file system.
fn mkfs_erofs() -> io::Result<()> {
    const PROGRAM: &str = "mkfs.erofs";
    let has_erofs = fs::read_to_string("/proc/filesystems")?.lines().any(|line| line.trim() == "erofs");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_found = std::env::split_paths(&path).any(|directory| directory.join(PROGRAM).is_file());
    if has_erofs && !is_found { Err(io::Error::other("it is not in PATH")) } else { Ok(()) }
}

/// What runs as the first process of a pid namespace: a fresh proc is refused where the one that is seen is masked
/// (kernel fs/namespace.c mount_too_revealing), which is so in a container that is not privileged.
pub(super) fn fresh_proc() -> Vec<Attempt> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let sysctl = tried(SYSCTL, open_sysctl());
    let mounted = mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .and_then(|()| mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>));
    vec![tried("mount a fresh proc", mounted), sysctl]
}

/// As runc opens one, of the network namespace of its own: by a proc that is mounted nowhere, at first without the right
/// to write, then once more by the descriptor (runc v1.3.3 libcontainer/standard_init_linux.go writeSystemProperty,
/// filepath-securejoin pathrs-lite/internal/procfs).
fn open_sysctl() -> io::Result<()> {
    const INODE: u64 = 1;
    let proc = own_proc().or_else(|_| openat(CWD, "/proc", OFlags::PATH | OFlags::CLOEXEC, FileMode::empty()))?;
    let inode = fstat(&proc)?.st_ino;
    if inode != INODE {
        return Err(io::Error::other(format!("its root has the inode number {inode}, and {INODE} is wanted")));
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let sysctl = match openat(&proc, "sys/net/ipv4/ip_unprivileged_port_start", flags, FileMode::empty()) {
        // A kernel before 4.11, for which the daemon asks for none.
        Err(Errno::NOENT) => return Ok(()),
        opened => opened?,
    };
    let again = format!("self/fd/{}", sysctl.as_raw_fd());
    Ok(openat(&proc, again, OFlags::WRONLY | OFlags::CLOEXEC, FileMode::empty()).map(drop)?)
}

/// A proc that is mounted nowhere: a new one, or a copy of that which is seen (fsopen(2), open_tree(2)).
fn own_proc() -> Result<OwnedFd, Errno> {
    let fresh = || {
        let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let restricted =
            MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_NOSUID;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, restricted)
    };
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    fresh()
        .or_else(|_: Errno| open_tree(CWD, "/proc", clone))
        .or_else(|_| open_tree(CWD, "/proc", clone | OpenTreeFlags::AT_RECURSIVE))
}

/// Whether a system call is there and let through: one that is refuses our arguments itself.
fn answers(number: libc::c_long) -> io::Result<()> {
    // SAFETY: null pointers and sizes of 0, which both calls refuse before they read anything.
    let result = unsafe {
        libc::syscall(number, std::ptr::null::<u8>(), std::ptr::null::<u8>(), std::ptr::null::<u8>(), 0usize)
    };
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        _ if result >= 0 => Ok(()),
        Some(libc::EPERM | libc::ENOSYS) => Err(error),
        _ => Ok(()),
    }
}

/// Asks for the session keyring without making one, as runc does before it makes its own (keyctl(2)).
fn keyring() -> io::Result<()> {
    const KEYCTL_GET_KEYRING_ID: libc::c_long = 0;
    const KEY_SPEC_SESSION_KEYRING: libc::c_long = -3;
    // SAFETY: three numbers, no memory.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) };
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EPERM | libc::ENOSYS) if result < 0 => Err(error),
        _ => Ok(()),
    }
}
