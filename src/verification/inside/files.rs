//! Files of the image: changed in one container, kept by a commit, seen as they were by another container. And what
//! is mounted over them.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::XattrFlags;

use super::{done, saw, want};
use crate::facts::mounts;
use crate::finding::Evidence;

const CHANGED: &str = "/image/changed";
const REMOVED: &str = "/image/removed";
const DIRECTORY: &str = "/image/directory";
const RENAMED: &str = "/image/renamed";
const LINKED: &str = "/image/linked";
const LINK: &str = "/image/link";
const ADDED: &str = "/image/added";
const ORIGINAL: &str = "as in the image";
const NEW: &str = "as the container wrote it";
const XATTR: (&CStr, &CStr) = (c"/image/added", c"user.dindcheck");

/// The files that the image has beside the binary: path and content. A directory is there by a file in it.
pub(in crate::verification) fn seed() -> [(&'static str, &'static str); 4] {
    [(CHANGED, ORIGINAL), (REMOVED, ORIGINAL), ("/image/directory/file", ORIGINAL), (LINKED, ORIGINAL)]
}

/// Changes the image's files in every way that a storage driver has to carry.
pub(super) fn change() -> Vec<Evidence> {
    let renamed = fs::rename(DIRECTORY, RENAMED);
    // overlay refuses to rename a directory of the image unless redirect_dir is on; tools copy it then
    // (kernel Documentation/filesystems/overlayfs.rst, "renaming directories").
    let how = match &renamed {
        Ok(()) => "renamed".to_owned(),
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EXDEV as i32) => {
            let copied = fs::create_dir(RENAMED)
                .and_then(|()| fs::copy("/image/directory/file", "/image/renamed/file"))
                .and_then(|_| fs::remove_dir_all(DIRECTORY));
            format!("copied and removed: {}", done(copied))
        }
        Err(error) => error.to_string(),
    };
    let mut evidence = vec![
        want("write a new file", done(fs::write(ADDED, NEW)), "done"),
        want("write to a file of the image", done(fs::write(CHANGED, NEW)), "done"),
        want("remove a file of the image", done(fs::remove_file(REMOVED)), "done"),
        want("link a file of the image", done(fs::hard_link(LINKED, LINK)), "done"),
        saw("rename a directory of the image", how),
    ];
    // Not every file system below has user attributes (tmpfs before Linux 6.6), so nothing is wanted.
    let attribute = set_and_get_xattr();
    evidence.push(saw("set an extended attribute", done(attribute)));
    evidence.extend(changed());
    evidence.push(want("links of /image/link", links(LINK), "2"));
    evidence
}

/// Sets an extended attribute of a file and reads it back (xattr(7)).
fn set_and_get_xattr() -> io::Result<()> {
    let (path, name) = XATTR;
    rustix::fs::setxattr(path, name, NEW.as_bytes(), XattrFlags::empty())?;
    rustix::fs::getxattr_query(path, name)?;
    Ok(())
}

/// What the changes look like afterwards.
fn changed() -> Vec<Evidence> {
    vec![
        want(ADDED, read(ADDED), NEW),
        want(CHANGED, read(CHANGED), NEW),
        want(REMOVED, exists(REMOVED), "absent"),
        want(DIRECTORY, exists(DIRECTORY), "absent"),
        want("/image/renamed/file", read("/image/renamed/file"), ORIGINAL),
        want("/image/link", read(LINK), ORIGINAL),
    ]
}

/// What a container of the committed image sees.
pub(super) fn kept() -> Vec<Evidence> {
    let mut evidence = changed();
    // A driver that compares whole trees (vfs) makes a copy of the link, so that no number is wanted.
    evidence.push(saw("links of /image/link", links(LINK)));
    evidence
}

/// What another container of the same image sees.
pub(super) fn original() -> Vec<Evidence> {
    let mut evidence: Vec<Evidence> =
        seed().into_iter().map(|(path, content)| want(path, read(path), content)).collect();
    evidence.extend([ADDED, RENAMED, LINK].map(|path| want(path, exists(path), "absent")));
    evidence
}

/// The mounts of the work container.
pub(super) fn volumes() -> Vec<Evidence> {
    let mounts = mounts::parse(&fs::read_to_string(mounts::MOUNTINFO).unwrap_or_default());
    let mut evidence = vec![
        want("/bind/from-outside", read("/bind/from-outside"), "from outside"),
        want("write to /bind", done(fs::write("/bind/from-inside", "from inside")), "done"),
    ];
    if Path::new("/volume").is_dir() {
        evidence.push(want("write to /volume", done(fs::write("/volume/file", "kept")), "done"));
        evidence.push(want(
            "/volume is",
            if mounts.at("/volume").is_some() { "a mount" } else { "no mount" },
            "a mount",
        ));
    }
    if Path::new("/tmpfs").is_dir() {
        evidence.push(want("write to /tmpfs", done(fs::write("/tmpfs/file", "gone")), "done"));
        evidence.push(want(
            "/tmpfs is",
            mounts.at("/tmpfs").map_or("no mount", |mount| mount.fstype.as_str()),
            "tmpfs",
        ));
    }
    evidence
}

/// What a later container sees in the named volume.
pub(super) fn volume_kept() -> Vec<Evidence> {
    vec![want("/volume/file", read("/volume/file"), "kept")]
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| error.to_string())
}

fn exists(path: &str) -> String {
    match fs::symlink_metadata(path) {
        Ok(_) => "there".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "absent".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn links(path: &str) -> String {
    fs::metadata(path).map_or_else(|error| error.to_string(), |metadata| metadata.nlink().to_string())
}
