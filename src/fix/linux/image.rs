//! A file system in a file: made, and mounted by a loop device that goes when it is unmounted (loop(4)).
#![expect(unsafe_code, reason = "the ioctls of loop devices")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::{beside, is_there, remove_if_there, whole};
use crate::facts::storage::is_blank;
use crate::process::{clean_signals, output_until};

/// How long making a file system may take; it writes a few megabytes.
const DEADLINE: Duration = Duration::from_secs(60);
/// The program that makes it.
pub(super) const MKFS: &str = "mkfs.ext4";
/// The major number of loop devices (kernel Documentation/admin-guide/devices.txt).
const LOOP_MAJOR: u64 = 7;

// linux/loop.h
const LOOP_SET_FD: libc::c_ulong = 0x4C00;
const LOOP_CLR_FD: libc::c_ulong = 0x4C01;
const LOOP_SET_STATUS64: libc::c_ulong = 0x4C04;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// struct loop_info64
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// struct loop_config
#[repr(C)]
struct LoopConfig {
    descriptor: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// Makes a file of that many bytes, which takes no space before it is written to, and an ext4 in it. It has its name
/// once it is complete and on the disk: a kill in the midst of it leaves a file beside, which the next one replaces.
pub(super) fn make(path: &str, bytes: u64) -> io::Result<()> {
    if !is_blank(Path::new(path)) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // A blank one, which a killed mkfs of a version before this one has left, is replaced.
    remove_if_there(path)?;
    whole(path, |beside| {
        let file = OpenOptions::new().write(true).create_new(true).open(beside)?;
        file.set_len(bytes)?;
        let mut command = Command::new(MKFS);
        command.args(["-q", "-m", "0", beside]);
        clean_signals(&mut command);
        let output = output_until(&mut command, None, Instant::now() + DEADLINE)?;
        if !output.status.success() {
            return Err(io::Error::other(output.stderr.text()));
        }
        file.sync_all()
    })
}

/// Removes it, and what making it was killed in.
pub(super) fn remove(path: &str) -> io::Result<()> {
    remove_if_there(&beside(path))?;
    if is_there(path)? { fs::remove_file(path) } else { Ok(()) }
}

/// Whether anything has been stored in it since it was made. What cannot be told counts as something, and so does one
/// that is still mounted somewhere.
pub(super) fn holds_data(path: &str) -> bool {
    let mut block = [0; SUPERBLOCK_SIZE];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut block, SUPERBLOCK));
    match read {
        // What a killed mkfs of a version before this one has left.
        Ok(()) if is_blank(Path::new(path)) => false,
        Ok(()) => used_inodes(&block).is_none_or(|(used, first)| used > first),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Where the superblock is in it, and how much of that is read.
const SUPERBLOCK: u64 = 1024;
const SUPERBLOCK_SIZE: usize = 256;

/// How many inodes are in use, and how many of them a new file system uses itself: those up to its `lost+found`, which
/// is the first that is not reserved (kernel Documentation/filesystems/ext4/super.rst). None for what is no ext4, or
/// one that was not unmounted.
fn used_inodes(block: &[u8; SUPERBLOCK_SIZE]) -> Option<(u32, u32)> {
    const MAGIC: u32 = 0xef53;
    const NEEDS_RECOVERY: u32 = 4;
    let word = |at: usize| block.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (all, free, first) = (word(0)?, word(0x10)?, word(0x54)?);
    let is_clean = word(0x38)? & 0xffff == MAGIC && word(0x60)? & NEEDS_RECOVERY == 0;
    is_clean.then_some((all.checked_sub(free)?, first))
}

/// Mounts it.
pub(super) fn mount_on(path: &str, target: &str) -> io::Result<()> {
    const TRIES: usize = 8;
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    let image = OpenOptions::new().read(true).write(true).open(path)?;
    let mut last = io::Error::other("no loop device is free");
    // Someone else may take the one that is free before we do.
    for _ in 0..TRIES {
        // SAFETY: no memory is given.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        let Ok(number) = u64::try_from(number) else { return Err(io::Error::last_os_error()) };
        match mount_with(number, &image, target) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => last = error,
            other => return other,
        }
    }
    Err(last)
}

fn mount_with(number: u64, image: &File, target: &str) -> io::Result<()> {
    let node = format!("/dev/loop{number}");
    // A container's /dev has the devices that were there when it was made.
    let made = !Path::new(&node).exists();
    if made {
        mknod(node.as_str(), SFlag::S_IFBLK, Mode::from_bits_truncate(0o600), makedev(LOOP_MAJOR, number))?;
    }
    let mounted = attach(&node, image).and_then(|_device| {
        // The device is held open until the mount holds it: it goes with its last holder.
        Ok(mount(Some(node.as_str()), target, Some("ext4"), MsFlags::empty(), None::<&str>)?)
    });
    if made {
        let _ = fs::remove_file(&node);
    }
    mounted
}

fn attach(node: &str, image: &File) -> io::Result<File> {
    let device = OpenOptions::new().read(true).write(true).open(node)?;
    let info = LoopInfo {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: LO_FLAGS_AUTOCLEAR,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    let descriptor = u32::try_from(image.as_raw_fd()).map_err(io::Error::other)?;
    let config = LoopConfig { descriptor, block_size: 0, info, reserved: [0; 8] };
    // In one call, so that a kill leaves no device attached.
    // SAFETY: the kernel reads a struct loop_config, which `config` is, and it outlives the call.
    if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) } == 0 {
        return Ok(device);
    }
    match io::Error::last_os_error() {
        // Before Linux 5.8 there is no such call.
        error if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOTTY)) => {}
        error => return Err(error),
    }
    // SAFETY: a number is given.
    if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_FD, image.as_raw_fd()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel reads a struct loop_info64, which `config.info` is, and it outlives the call.
    if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_STATUS64, &raw const config.info) } < 0 {
        let error = io::Error::last_os_error();
        // SAFETY: no memory is given.
        unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD, 0) };
        return Err(error);
    }
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_system_holds_nothing_and_what_cannot_be_told_counts_as_something() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        let image = path.to_str().unwrap();
        assert!(!holds_data(image), "there is none");
        File::create(&path).unwrap().set_len(8 << 20).unwrap();
        File::create(directory.path().join("image.new")).unwrap();
        assert!(!holds_data(image), "a killed mkfs has left it");
        make(image, 8 << 20).unwrap();
        assert!(!holds_data(image));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(make(image, 8 << 20).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[4], SUPERBLOCK + 0x60).unwrap();
        assert!(holds_data(image), "it is in use");
        file.write_all_at(&[0; 2], SUPERBLOCK + 0x38).unwrap();
        assert!(holds_data(image), "it is no ext4");
        file.set_len(100).unwrap();
        assert!(holds_data(image), "it is cut off");
    }
}
