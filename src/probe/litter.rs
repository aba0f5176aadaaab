//! Directories that a probe makes for a moment: under names that no one else has, and gone at a later probe where this
//! one was killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A directory of a probe that is older than this was left: probes are killed after some seconds.
const AGE: Duration = Duration::from_secs(300);
/// How many names are tried.
const TRIES: u32 = 16;

/// Makes a directory of a new name, `PREFIX PID-NUMBER`.
///
/// # Errors
/// The kernel's error.
pub(super) fn make(parent: &Path, prefix: &str) -> io::Result<PathBuf> {
    let mut last = io::ErrorKind::AlreadyExists.into();
    for _ in 0..TRIES {
        let path = parent.join(format!("{prefix}{}-{:016x}", std::process::id(), number()?));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Removes what killed probes have left: directories with names of this form alone, once they are old. In a cgroup
/// hierarchy the kernel keeps their files and lets an empty group go.
pub(super) fn sweep(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().and_then(|name| name.strip_prefix(prefix)).is_some_and(is_own_form);
        let metadata = entry.metadata().ok().filter(|metadata| is_ours && metadata.is_dir());
        let modified = metadata.and_then(|metadata| metadata.modified().ok());
        let age = modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if age.is_some_and(|age| age > AGE) && fs::remove_dir(entry.path()).is_err() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_own_form(rest: &str) -> bool {
    let Some((pid, number)) = rest.split_once('-') else { return false };
    !pid.is_empty()
        && pid.bytes().all(|byte| byte.is_ascii_digit())
        && number.len() == 16
        && number.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A number that no one can know before (getrandom(2)).
fn number() -> io::Result<u64> {
    let mut bytes = [0; 8];
    io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes).or_else(|_| clock(&mut bytes))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Where there is no device: names still differ from those of other probes.
fn clock(bytes: &mut [u8; 8]) -> io::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
    *bytes = u64::from(now.subsec_nanos()).rotate_left(32).wrapping_add(now.as_secs()).to_ne_bytes();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_killed_probe_has_left_goes() {
        let directory = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - AGE * 2;
        let make_old = |name: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.join("upper")).unwrap();
            fs::File::open(&path).unwrap().set_modified(old).unwrap();
        };
        for name in ["p-1-0123456789abcdef", "p-mine", "p-1", "p-1-0123456789abcdef0", "other"] {
            make_old(name);
        }
        let new = make(directory.path(), "p-").unwrap();
        sweep(directory.path(), "p-");
        let mut names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let mut kept =
            ["other", "p-1", "p-1-0123456789abcdef0", "p-mine"].map(|name| directory.path().join(name)).to_vec();
        kept.push(new);
        kept.sort();
        assert_eq!(names, kept);
    }
}
