//! The directory that dindcheck keeps its state in, `/run/dindcheck`: journal, status, links for the daemon's PATH.
//!
//! What is read there is acted on as root, so that no one else may write there: /run itself is writable for all on a tmpfs
//! of mode 1777 and in a Kubernetes emptyDir (kubelet volume/emptydir: perm 0777). Everything goes by a descriptor of the
//! directory, which has to be the caller's own and writable for no one else; no link is followed in it; files are regular,
//! of a limited size, and written beside and renamed. A directory that does not meet that is not used, and that is an error.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, mkdirat};
use nix::unistd::{Uid, UnlinkatFlags, symlinkat, unlinkat};

/// Where the state of this container is.
pub const DIRECTORY: &str = "/run/dindcheck";

/// A file of state holds no more than this, in bytes.
pub const MAX_BYTES: usize = 8 << 20;

/// A file of settings, YAML for the most part, holds no more than this, in bytes: reading YAML takes quadratic time.
pub const MAX_SETTINGS: usize = 64 << 10;

/// Writable for the group or for all.
const OTHERS_MAY_WRITE: u32 = 0o022;

/// A directory of state, held open.
#[derive(Debug)]
pub struct State {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl State {
    /// Opens a directory; `None` if there is none.
    ///
    /// # Errors
    /// It is no directory, or someone else may write to it, with its path.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match openat(AT_FDCWD, path, flags, Mode::empty()) {
            Ok(descriptor) => Self::trusted(descriptor, path.to_owned()).map(Some),
            Err(Errno::ENOENT) => Ok(None),
            // A link in its place: ENOTDIR with O_DIRECTORY, ELOOP without (open(2)).
            Err(Errno::ENOTDIR | Errno::ELOOP) => Err(untrusted(path, "it is no directory")),
            Err(error) => Err(at(path, error)),
        }
    }

    /// Opens a directory, which is made if there is none, with those above it.
    ///
    /// # Errors
    /// As [`State::open`], or what making it gave.
    pub fn make(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match mkdirat(AT_FDCWD, path, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(at(path, error)),
        }
        Self::open(path)?.ok_or_else(|| at(path, Errno::ENOENT))
    }

    /// The directory below it of that name, which is made if there is none.
    ///
    /// # Errors
    /// As [`State::make`].
    pub fn make_below(&self, name: &str) -> io::Result<Self> {
        let path = self.path.join(name);
        match mkdirat(&self.descriptor, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(at(&path, error)),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let descriptor = openat(&self.descriptor, name, flags, Mode::empty()).map_err(|error| at(&path, error))?;
        Self::trusted(descriptor, path)
    }

    /// Makes a directory of a new name in another one, where the usual place is not to be trusted.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn make_new(parent: &Path, prefix: &str) -> io::Result<Self> {
        let unique = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_err(io::Error::other)?;
        let path = parent.join(format!("{prefix}{}-{:x}", std::process::id(), unique.as_nanos()));
        // One that is there already belongs to another process.
        mkdirat(AT_FDCWD, &path, Mode::from_bits_truncate(0o755)).map_err(|error| at(&path, error))?;
        Self::open(&path)?.ok_or_else(|| at(&path, Errno::ENOENT))
    }

    fn trusted(descriptor: OwnedFd, path: PathBuf) -> io::Result<Self> {
        let status = fstat(&descriptor).map_err(|error| at(&path, error))?;
        match distrust(&status, SFlag::S_IFDIR) {
            Some(why) => Err(untrusted(&path, why)),
            None => Ok(Self { descriptor, path }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of a file; `None` if there is none.
    ///
    /// # Errors
    /// It is no regular file of our own, or larger than [`MAX_BYTES`].
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self.file(name, OFlag::O_RDONLY)? {
            Some(file) => limited(file, MAX_BYTES).map(Some),
            None => Ok(None),
        }
    }

    /// A file, to read from or to write to, where it is regular and our own.
    fn file(&self, name: &str, mode: OFlag) -> io::Result<Option<File>> {
        let path = self.path.join(name);
        // A FIFO would be waited for.
        let flags = mode | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&self.descriptor, name, flags, Mode::from_bits_truncate(0o644)) {
            Ok(descriptor) => File::from(descriptor),
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP | Errno::ENXIO) => return Err(untrusted(&path, "it is no regular file")),
            Err(error) => return Err(at(&path, error)),
        };
        let status = fstat(file.as_fd()).map_err(|error| at(&path, error))?;
        match distrust(&status, SFlag::S_IFREG) {
            Some(why) => Err(untrusted(&path, why)),
            None => Ok(Some(file)),
        }
    }

    /// Writes a file as a whole: a reader sees the one before or this one. `durable`: it is on the disk before.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn write(&self, name: &str, content: &[u8], durable: bool) -> io::Result<()> {
        let beside = format!("{name}.new");
        // What a writer that was killed has left.
        self.remove(&beside)?;
        let file = self.file(&beside, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL)?;
        let mut file = file.ok_or_else(|| at(&self.path.join(&beside), Errno::ENOENT))?;
        file.write_all(content)?;
        if durable {
            file.sync_data()?;
        }
        renameat(&self.descriptor, beside.as_str(), &self.descriptor, name)
            .map_err(|error| at(&self.path.join(name), error))
    }

    /// Appends to a file that consists of lines: a last line that a crash has cut off goes first, and what cannot be
    /// written as a whole is taken back.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn append_line(&self, name: &str, line: &[u8], durable: bool) -> io::Result<()> {
        let path = self.path.join(name);
        let file = self.file(name, OFlag::O_RDWR | OFlag::O_CREAT)?;
        let mut file = file.ok_or_else(|| at(&path, Errno::ENOENT))?;
        let content = limited(file.try_clone()?, MAX_BYTES)?;
        let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let end = u64::try_from(whole).map_err(io::Error::other)?;
        file.set_len(end)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(end))?;
        let written = file.write_all(line).and_then(|()| if durable { file.sync_data() } else { Ok(()) });
        if written.is_err() {
            // Where even that fails, the next one cuts it off.
            let _ = file.set_len(end);
        }
        written
    }

    /// Makes a link of that name, in the place of one that is there.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn link(&self, name: &str, target: &str) -> io::Result<()> {
        self.remove(name)?;
        symlinkat(target, &self.descriptor, name).map_err(|error| at(&self.path.join(name), error))
    }

    /// Removes a file; that there is none is no error.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.descriptor, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(at(&self.path.join(name), error)),
        }
    }

    /// Removes the directory if nothing is left in it.
    pub fn leave(self) {
        let _ = std::fs::remove_dir(&self.path);
    }

    /// The names in it.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let descriptor = self.descriptor.try_clone()?;
        let directory = Dir::from_fd(descriptor).map_err(io::Error::from)?;
        let names = directory.into_iter().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| name != "." && name != "..").collect())
    }
}

/// Whether a directory of state is there and no one else could have made what is in it.
pub fn is_trusted(path: &Path) -> bool {
    path.parent().is_some_and(|parent| matches!(State::open(parent), Ok(Some(_))))
        && matches!(State::open(path), Ok(Some(_)))
}

/// The content of a small file that anybody may have written: what is no regular file, or larger than `limit` bytes, is
/// refused at once, and no link is followed.
///
/// # Errors
/// What it is instead, or the kernel's error.
pub fn read_small(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(AT_FDCWD, path, flags, Mode::empty()).map_err(|error| at(path, error))?);
    if !file.metadata()?.is_file() {
        return Err(untrusted(path, "it is no regular file"));
    }
    limited(file, limit)
}

/// Opens a file that the user has named, links followed, and refuses at once what is no regular file: a FIFO would be
/// waited for, a device may have no end.
///
/// # Errors
/// What it is instead, or the kernel's error.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(AT_FDCWD, path, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// All that a reader gives, if that is no more than `limit` bytes.
///
/// # Errors
/// `FileTooLarge`, or what reading gave.
pub fn limited(reader: impl io::Read, limit: usize) -> io::Result<Vec<u8>> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    let mut content = Vec::new();
    reader.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {limit} bytes")));
    }
    Ok(content)
}

/// The text of a file that the user has named.
///
/// # Errors
/// As [`open_regular`] and [`limited`]; that it is no UTF-8.
pub fn read_text(path: &Path, limit: usize) -> io::Result<String> {
    let content = limited(open_regular(path)?, limit)?;
    String::from_utf8(content).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Why something that is open is not to be trusted.
fn distrust(status: &FileStat, kind: SFlag) -> Option<&'static str> {
    if SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT != kind {
        Some(if kind == SFlag::S_IFDIR { "it is no directory" } else { "it is no regular file" })
    } else if status.st_uid != Uid::effective().as_raw() {
        Some("it belongs to another user")
    } else if status.st_mode & OTHERS_MAY_WRITE != 0 {
        Some("others may write to it")
    } else if kind == SFlag::S_IFREG && status.st_nlink > 1 {
        Some("it has another name elsewhere")
    } else {
        None
    }
}

fn untrusted(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("{} is not used: {why}", path.display()))
}

fn at(path: &Path, error: Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn here() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dindcheck");
        (directory, path)
    }

    #[test]
    fn files_are_written_as_a_whole_and_read_back() {
        let (_directory, path) = here();
        assert!(State::open(&path).unwrap().is_none());
        let state = State::make(&path).unwrap();
        assert_eq!(state.read("status").unwrap(), None);
        state.write("status", b"one", true).unwrap();
        fs::write(path.join("status.new"), "what a killed writer has left").unwrap();
        state.write("status", b"two", false).unwrap();
        assert_eq!(state.read("status").unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(state.names().unwrap(), ["status"]);
        state.remove("status").unwrap();
        state.remove("status").unwrap();
        state.leave();
        assert!(!path.exists());
    }

    #[test]
    fn a_file_of_anybodys_is_read_if_it_is_a_small_one_of_its_own() {
        let (directory, _) = here();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "12345").unwrap();
        symlink(at("file"), at("link")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        assert_eq!(read_small(&at("file"), 5).unwrap(), b"12345");
        assert!(open_regular(&at("link")).is_ok(), "the user's own word is followed");
        for name in ["file", "link", "fifo", "none", "."] {
            assert!(read_small(&at(name), 4).is_err(), "{name}");
            assert!(name == "file" || read_small(&at(name), 5).is_err(), "{name}");
        }
        assert!(open_regular(&at("fifo")).is_err() && open_regular(directory.path()).is_err());
    }

    #[test]
    fn what_others_can_write_to_is_not_used() {
        let (directory, path) = here();
        drop(State::make(&path).unwrap());
        for mode in [0o777, 0o775, 0o1777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = State::open(&path).unwrap_err().to_string();
            assert!(error.ends_with("is not used: others may write to it"), "{error}");
            assert!(State::make(&path).is_err() && !is_trusted(&path));
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        if Uid::effective().is_root() {
            std::os::unix::fs::chown(&path, Some(1000), None).unwrap();
            let error = State::open(&path).unwrap_err().to_string();
            assert!(error.ends_with("is not used: it belongs to another user"), "{error}");
        }
        let link = directory.path().join("link");
        symlink("/tmp", &link).unwrap();
        assert!(State::open(&link).unwrap_err().to_string().ends_with("is not used: it is no directory"));
    }

    #[test]
    fn no_link_is_followed_and_no_fifo_waited_for() {
        let (directory, path) = here();
        let state = State::make(&path).unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, "as it was").unwrap();
        for name in ["status", "status.new", "journal"] {
            symlink(&victim, path.join(name)).unwrap();
        }
        assert!(state.read("status").is_err());
        assert!(state.append_line("journal", b"x\n", false).is_err());
        state.write("status", b"new", false).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
        assert_eq!(state.read("status").unwrap().as_deref(), Some(&b"new"[..]));
        nix::unistd::mkfifo(&path.join("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
        assert!(state.read("fifo").is_err() && state.append_line("fifo", b"x\n", false).is_err());
        assert!(read_small(&path.join("fifo"), 10).is_err() && open_regular(&path.join("fifo")).is_err());
        assert!(open_regular(Path::new("/dev/zero")).is_err());
        fs::hard_link(&victim, path.join("twice")).unwrap();
        assert!(state.read("twice").unwrap_err().to_string().contains("another name elsewhere"));
    }

    #[test]
    fn what_is_too_large_is_refused_and_not_cut() {
        let (_directory, path) = here();
        let state = State::make(&path).unwrap();
        File::create(path.join("large")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(state.read("large").unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(limited(&b"12345"[..], 5).unwrap(), b"12345");
        assert_eq!(limited(io::repeat(1), 5).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_line_that_a_crash_has_cut_off_goes_before_the_next() {
        let (_directory, path) = here();
        let state = State::make(&path).unwrap();
        state.append_line("journal", b"one\n", true).unwrap();
        for torn in ["tw", "{\"check\":"] {
            let mut content = fs::read(path.join("journal")).unwrap();
            content.extend(torn.as_bytes());
            fs::write(path.join("journal"), content).unwrap();
            state.append_line("journal", b"more\n", false).unwrap();
        }
        assert_eq!(fs::read_to_string(path.join("journal")).unwrap(), "one\nmore\nmore\n");
    }

    #[test]
    fn a_directory_below_is_made_once_and_is_no_link_and_no_file() {
        let (directory, path) = here();
        let state = State::make(&path).unwrap();
        for _ in 0..2 {
            let below = state.make_below("bin").unwrap();
            assert_eq!(below.path(), path.join("bin"));
            below.write("file", b"x", false).unwrap();
        }
        assert_eq!(fs::read(path.join("bin/file")).unwrap(), b"x");
        symlink(directory.path(), path.join("link")).unwrap();
        fs::write(path.join("file"), "").unwrap();
        for name in ["link", "file"] {
            let error = state.make_below(name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotADirectory, "{error}");
        }
        fs::set_permissions(path.join("bin"), fs::Permissions::from_mode(0o777)).unwrap();
        let error = state.make_below("bin").unwrap_err().to_string();
        assert!(error.ends_with("bin is not used: others may write to it"), "{error}");
    }

    #[test]
    fn new_directories_have_names_of_their_own() {
        let (directory, _) = here();
        let made = [(); 2].map(|()| State::make_new(directory.path(), "of-").unwrap());
        assert_ne!(made[0].path(), made[1].path());
        for state in &made {
            let name = state.path().strip_prefix(directory.path()).unwrap().to_str().unwrap();
            assert!(name.starts_with(&format!("of-{}-", std::process::id())), "{name}");
            state.write("file", b"x", false).unwrap();
            assert!(state.path().join("file").exists());
        }
        assert!(State::make_new(&directory.path().join("none"), "of-").is_err());
    }

    #[test]
    fn a_link_takes_the_place_of_what_is_there_unless_that_is_a_directory() {
        let (_directory, path) = here();
        let state = State::make(&path).unwrap();
        fs::write(path.join("iptables"), "in the way").unwrap();
        for target in ["/sbin/one", "/sbin/two"] {
            state.link("iptables", target).unwrap();
            assert_eq!(fs::read_link(path.join("iptables")).unwrap(), Path::new(target));
        }
        fs::create_dir(path.join("directory")).unwrap();
        assert!(state.link("directory", "/sbin/one").is_err());
    }
}
