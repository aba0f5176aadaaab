//! Whether what a step has made is still as the step left it: what someone has changed since is not taken back.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use nix::sys::stat::{major, minor};

use super::step::Step;
use crate::fact::Root;
use crate::facts::mounts;
use crate::state;

/// A file that a fix writes, and a sysctl, hold no more than this, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// Why a step is not to be taken back; `None` if all is as it was left, or cannot be compared.
pub(crate) fn replaced(step: &Step) -> Option<String> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    match step {
        Step::MakeDirectory { path } => {
            let is_there = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
            (!is_there).then(|| "it is gone".to_owned())
        }
        Step::MakeLink { path, target } => {
            let same = fs::read_link(path).is_ok_and(|now| now == Path::new(target));
            (!same).then(|| "it is another one now".to_owned())
        }
        Step::WriteFile { path, content } => match state::read_small(Path::new(path), MAX_BYTES) {
            Ok(now) => (now != content.as_bytes()).then(|| "it holds something else now".to_owned()),
            Err(error) => Some(error.to_string()),
        },
        Step::RemoveFile { path, .. }
        | Step::RemoveLink { path, .. }
        | Step::RemoveSocket { path, .. }
        | Step::RemoveNode { path, .. } => {
            let is_there =
                fs::symlink_metadata(path).map_or_else(|error| error.kind() != ErrorKind::NotFound, |_| true);
            is_there.then(|| "another one has taken its place".to_owned())
        }
        Step::MakeNode { path, major: own_major, minor: own_minor } => {
            let same = fs::symlink_metadata(path).is_ok_and(|now| {
                let device = now.rdev();
                now.file_type().is_char_device()
                    && (major(device), minor(device)) == (u64::from(*own_major), u64::from(*own_minor))
            });
            (!same).then(|| "it is another one now".to_owned())
        }
        Step::SetSysctl { path, value, .. } => {
            let now = state::read_small(Path::new(path), MAX_BYTES).ok()?;
            let now = String::from_utf8_lossy(&now).into_owned();
            (words(&now) != words(value)).then(|| format!("it is `{}` now", now.trim()))
        }
        Step::MountFilesystem { fstype, target, .. } | Step::MountHierarchy { fstype, target, .. } => {
            mounted_instead(target, fstype)
        }
        Step::MountImage { target, .. } => mounted_instead(target, "ext4"),
        _ => None,
    }
}

/// What is mounted at a place where a file system of this type should be.
fn mounted_instead(target: &str, fstype: &str) -> Option<String> {
    let mounts = mounts::read(&Root::new("/")).ok()?;
    match mounts.at(target) {
        Some(mount) if mount.fstype == fstype => None,
        Some(mount) => Some(format!("{} is mounted there now", mount.fstype)),
        None => Some("nothing is mounted there any more".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_replaced_since_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file").display().to_string();
        let removed = Step::RemoveFile { path: path.clone(), content: "4242".to_owned() };
        let written = Step::WriteFile { path: path.clone(), content: "ours".to_owned() };
        let linked = Step::MakeLink { path: path.clone(), target: "/bin/true".to_owned() };
        assert_eq!(replaced(&removed), None);
        assert!(replaced(&written).is_some() && replaced(&linked).is_some());
        fs::write(&path, "ours").unwrap();
        assert_eq!(replaced(&written), None);
        assert_eq!(replaced(&removed).as_deref(), Some("another one has taken its place"));
        fs::write(&path, "theirs").unwrap();
        assert_eq!(replaced(&written).as_deref(), Some("it holds something else now"));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/bin/true", &path).unwrap();
        assert_eq!(replaced(&linked), None);
        assert!(replaced(&Step::MakeDirectory { path }).is_some());
        let here = Step::MakeDirectory { path: directory.path().display().to_string() };
        assert_eq!(replaced(&here), None);
    }

    #[test]
    fn a_mount_that_is_gone_or_another_one_is_seen() {
        let at = |target: &str, fstype: &str| {
            let (fstype, target) = (fstype.to_owned(), target.to_owned());
            replaced(&Step::MountFilesystem { fstype, target, options: String::new() })
        };
        assert_eq!(at("/proc", "proc"), None);
        assert_eq!(at("/proc", "tmpfs").as_deref(), Some("proc is mounted there now"));
        assert_eq!(at("/nowhere", "tmpfs").as_deref(), Some("nothing is mounted there any more"));
    }
}
