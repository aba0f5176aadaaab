//! Whether what a step has made is still as the step left it: what someone has changed since is not taken back, and what
//! was recorded and never done needs nothing.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::stat::{major, minor};

use super::linux::{RULE_DEADLINE, beside};
use super::step::Step;
use super::system::Found;
use crate::fact::Root;
use crate::facts::mounts::{self, Mount};
use crate::process::{clean_signals, output_until};
use crate::state;

/// A file that a fix writes, and a sysctl, hold no more than this, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// What is found of what a step has made; it is as left where it cannot be compared.
///
/// # Errors
/// What looking gave: then nothing is known.
pub(crate) fn found(step: &Step) -> io::Result<Found> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let same = |same: bool| if same { Found::AsLeft } else { Found::Replaced("it is another one now".to_owned()) };
    Ok(match step {
        Step::MakeDirectory { path } => match there(fs::symlink_metadata(path))? {
            Some(metadata) => same(metadata.is_dir()),
            None => Found::Gone("it is gone".to_owned()),
        },
        Step::MakeImage { path, .. } => {
            // What making it was killed in is taken back with it.
            let beside = there(fs::symlink_metadata(beside(path)))?;
            match there(fs::symlink_metadata(path))?.or(beside) {
                Some(_) => Found::AsLeft,
                None => Found::Gone("it is gone".to_owned()),
            }
        }
        Step::MakeLink { path, target } => match there(fs::read_link(path)) {
            Ok(Some(now)) => same(now == Path::new(target)),
            Ok(None) => Found::Gone("it is gone".to_owned()),
            // It is no link: readlink(2).
            Err(error) if error.kind() == ErrorKind::InvalidInput => same(fs::symlink_metadata(path)?.is_symlink()),
            Err(error) => return Err(error),
        },
        Step::WriteFile { path, content } => match there(state::read_small(Path::new(path), MAX_BYTES))? {
            Some(now) if now == content.as_bytes() => Found::AsLeft,
            Some(_) => Found::Replaced("it holds something else now".to_owned()),
            None => Found::Gone("it is gone".to_owned()),
        },
        Step::RemoveFile { path, .. }
        | Step::RemoveLink { path, .. }
        | Step::RemoveSocket { path, .. }
        | Step::RemoveNode { path, .. } => match there(fs::symlink_metadata(path))? {
            Some(_) => Found::Replaced("another one has taken its place".to_owned()),
            None => Found::AsLeft,
        },
        Step::MakeNode { path, major: own_major, minor: own_minor } => match there(fs::symlink_metadata(path))? {
            Some(now) => {
                let numbers = (major(now.rdev()), minor(now.rdev()));
                same(now.file_type().is_char_device() && numbers == (u64::from(*own_major), u64::from(*own_minor)))
            }
            None => Found::Gone("it is gone".to_owned()),
        },
        Step::SetSysctl { path, value, before } | Step::SetGroupLimit { path, value, before } => {
            match there(state::read_small(Path::new(path), MAX_BYTES))? {
                Some(now) => {
                    let now = String::from_utf8_lossy(&now).into_owned();
                    match words(&now) {
                        now if now == words(value) => Found::AsLeft,
                        now if now == words(before) => Found::Gone("it is as before".to_owned()),
                        _ => Found::Replaced(format!("it is `{}` now", now.trim())),
                    }
                }
                None => Found::Gone("it is gone".to_owned()),
            }
        }
        Step::MountFilesystem { fstype, target, .. } | Step::MountHierarchy { fstype, target, .. } => {
            mounted(target, |mount| mount.fstype == *fstype)?
        }
        Step::MountImage { target, .. } => mounted(target, |mount| mount.fstype == "ext4")?,
        Step::KeepCgroupNamespace { path } => mounted(path, |mount| mount.fstype == "nsfs")?,
        Step::Remount { target, .. } | Step::SetPropagation { target, .. } => mounted(target, |_| true)?,
        Step::UnmountHierarchy { fstype, target, .. } => match mounted(target, |mount| mount.fstype == *fstype)? {
            Found::Gone(_) => Found::AsLeft,
            Found::AsLeft => Found::Gone("it is mounted".to_owned()),
            replaced @ Found::Replaced(_) => replaced,
        },
        Step::EnableController { group: path, .. } | Step::MoveProcesses { to: path, .. } => {
            match there(fs::symlink_metadata(path))? {
                Some(_) => Found::AsLeft,
                None => Found::Gone("it is gone".to_owned()),
            }
        }
        Step::LoadModule { name } => match there(fs::symlink_metadata(format!("/sys/module/{name}")))? {
            Some(_) => Found::AsLeft,
            None => Found::Gone("it is not loaded".to_owned()),
        },
        Step::SetLink { name, .. } => match nix::net::if_::if_nametoindex(name.as_str()) {
            Err(Errno::ENODEV) => Found::Gone("it is gone".to_owned()),
            index => index.map(|_| Found::AsLeft)?,
        },
        Step::AddRule { program, table, rule } => rule_is_there(program, table, rule)?,
        _ => Found::AsLeft,
    })
}

/// What is there; `None` if nothing is, which is no error.
fn there<T>(looked: io::Result<T>) -> io::Result<Option<T>> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is mounted at a place where a mount of ours should be.
fn mounted(target: &str, is_ours: impl Fn(&Mount) -> bool) -> io::Result<Found> {
    let mounts = mounts::read(&Root::new("/")).map_err(io::Error::other)?;
    Ok(match mounts.at(target) {
        Some(mount) if is_ours(mount) => Found::AsLeft,
        Some(mount) => Found::Replaced(format!("{} is mounted there now", mount.fstype)),
        None => Found::Gone("nothing is mounted there any more".to_owned()),
    })
}

/// Whether a chain has a rule (iptables(8), `--check`).
fn rule_is_there(program: &str, table: &str, rule: &str) -> io::Result<Found> {
    let mut command = process::Command::new(program);
    command.args(["-t", table, "-C"]).args(rule.split(' '));
    clean_signals(&mut command);
    let output = output_until(&mut command, None, Instant::now() + RULE_DEADLINE)?;
    match output.status.code() {
        Some(0) => Ok(Found::AsLeft),
        Some(1) => Ok(Found::Gone("there is no such rule any more".to_owned())),
        _ => Err(io::Error::other(output.stderr.text())),
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
        let found = |step: &Step| found(step).unwrap();
        let replaced = |why: &str| Found::Replaced(why.to_owned());
        let gone = Found::Gone("it is gone".to_owned());
        assert_eq!(found(&removed), Found::AsLeft);
        assert_eq!((found(&written), found(&linked)), (gone.clone(), gone));
        fs::write(&path, "ours").unwrap();
        assert_eq!(found(&written), Found::AsLeft);
        assert_eq!(found(&removed), replaced("another one has taken its place"));
        assert_eq!(found(&linked), replaced("it is another one now"));
        fs::write(&path, "theirs").unwrap();
        assert_eq!(found(&written), replaced("it holds something else now"));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/bin/true", &path).unwrap();
        assert_eq!(found(&linked), Found::AsLeft);
        assert_eq!(found(&Step::MakeDirectory { path }), replaced("it is another one now"));
        let here = Step::MakeDirectory { path: directory.path().display().to_string() };
        assert_eq!(found(&here), Found::AsLeft);
    }

    #[test]
    fn a_mount_that_is_gone_or_another_one_is_seen() {
        let at = |target: &str, fstype: &str| {
            let (fstype, target) = (fstype.to_owned(), target.to_owned());
            found(&Step::MountFilesystem { fstype, target, options: String::new() }).unwrap()
        };
        assert_eq!(at("/proc", "proc"), Found::AsLeft);
        assert_eq!(at("/proc", "tmpfs"), Found::Replaced("proc is mounted there now".to_owned()));
        assert_eq!(at("/nowhere", "tmpfs"), Found::Gone("nothing is mounted there any more".to_owned()));
        // Of what tests run in, no ext4 and no namespace is mounted there.
        let image = |target: &str| Step::MountImage { path: "/x".to_owned(), target: target.to_owned() };
        let kept = |path: &str| Step::KeepCgroupNamespace { path: path.to_owned() };
        let unmounted = |target: &str, fstype: &str| Step::UnmountHierarchy {
            fstype: fstype.to_owned(),
            options: String::new(),
            root: "/".to_owned(),
            flags: None,
            target: target.to_owned(),
        };
        let another = || Found::Replaced("proc is mounted there now".to_owned());
        let gone = || Found::Gone("nothing is mounted there any more".to_owned());
        for (step, wanted) in [
            (image("/proc"), another()),
            (image("/nowhere"), gone()),
            (kept("/proc"), another()),
            (kept("/nowhere"), gone()),
            (unmounted("/nowhere", "proc"), Found::AsLeft),
            (unmounted("/proc", "proc"), Found::Gone("it is mounted".to_owned())),
            (unmounted("/proc", "cgroup"), another()),
        ] {
            assert_eq!(found(&step).unwrap(), wanted, "{step:?}");
        }
    }

    #[test]
    fn a_rule_is_there_if_the_program_does_not_deny_it() {
        let look = |program: &str, rule: &str| {
            let (program, table, rule) = (program.to_owned(), "/no-table".to_owned(), rule.to_owned());
            found(&Step::AddRule { program, table, rule }).map_err(|error| error.to_string())
        };
        assert_eq!(look("true", "FORWARD"), Ok(Found::AsLeft));
        assert_eq!(look("false", "FORWARD"), Ok(Found::Gone("there is no such rule any more".to_owned())));
        // One that takes the table and each word of the rule for a file, and ends with 2.
        let error = look("ls", "/no-chain /no-rule").unwrap_err();
        assert!(["/no-table", "/no-chain", "/no-rule"].iter().all(|name| error.contains(name)), "{error}");
        assert!(look("/no-program", "FORWARD").is_err());
    }

    #[test]
    fn what_is_still_there_is_as_left_and_what_is_not_is_gone() {
        let here = tempfile::tempdir().unwrap();
        let at = |name: &str| here.path().join(name).display().to_string();
        fs::create_dir(at("group")).unwrap();
        fs::write(at("image"), "").unwrap();
        let group = |name: &str| Step::EnableController { group: at(name), controller: "pids".to_owned() };
        let moved = |name: &str| Step::MoveProcesses { from: at("x"), to: at(name) };
        let image = |name: &str| Step::MakeImage { path: at(name), bytes: 1 };
        let null = |path: &str, minor| Step::MakeNode { path: path.to_owned(), major: 1, minor };
        let removed = |path: &str| Step::RemoveNode { path: path.to_owned(), major: 1, minor: 3 };
        let link = |name: &str| Step::SetLink { name: name.to_owned(), up: true };
        let module = |name: &str| Step::LoadModule { name: name.to_owned() };
        let shared = |target: &str| Step::SetPropagation { target: target.to_owned(), shared: true };
        let (gone, another) =
            (|| Found::Gone("it is gone".to_owned()), || Found::Replaced("it is another one now".to_owned()));
        for (step, wanted) in [
            (group("group"), Found::AsLeft),
            (group("none"), gone()),
            (moved("group"), Found::AsLeft),
            (moved("none"), gone()),
            (image("image"), Found::AsLeft),
            (image("none"), gone()),
            (null("/dev/null", 3), Found::AsLeft),
            (null("/dev/null", 4), another()),
            (null(&at("image"), 3), another()),
            (null(&at("none"), 3), gone()),
            (removed(&at("none")), Found::AsLeft),
            (removed("/dev/null"), Found::Replaced("another one has taken its place".to_owned())),
            (link("lo"), Found::AsLeft),
            (link("none-0"), gone()),
            (module("none"), Found::Gone("it is not loaded".to_owned())),
            (shared("/proc"), Found::AsLeft),
            (shared(&at("none")), Found::Gone("nothing is mounted there any more".to_owned())),
        ] {
            assert_eq!(found(&step).unwrap(), wanted, "{step:?}");
        }
    }

    #[test]
    fn a_sysctl_as_before_was_never_set() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("value");
        let (path_of, value, before) = (path.display().to_string(), "1 2".to_owned(), "0".to_owned());
        let set = Step::SetSysctl { path: path_of, value, before };
        for (now, wanted) in [
            ("1\t2\n", Found::AsLeft),
            ("0\n", Found::Gone("it is as before".to_owned())),
            ("3\n", Found::Replaced("it is `3` now".to_owned())),
        ] {
            fs::write(&path, now).unwrap();
            assert_eq!(found(&set).unwrap(), wanted);
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(found(&set).unwrap(), Found::Gone("it is gone".to_owned()));
    }
}
