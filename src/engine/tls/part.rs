//! One of the directories `ca`, `server` and `client`. Others may write to them: those who share `/certs/client` with the
//! daemon does. So nothing is waited for there, nothing large is read, and nothing is written through a link.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{TlsError, key};

/// No certificate with its CAs, and no key, is as large.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A directory that is held, so that it stays the same whatever its name comes to mean.
pub(super) struct Part {
    path: PathBuf,
    /// None: it is not there, or is no directory.
    directory: Option<OwnedFd>,
    /// Whether it is a link: then it is read, and never written.
    is_link: bool,
}

impl Part {
    /// Looks at a part of the directory for certificates.
    pub(super) fn open(above: &Path, name: &str) -> Self {
        let path = above.join(name);
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        let open = |flags| nix::fcntl::open(&path, flags, Mode::empty()).ok();
        let (directory, is_link) = match open(flags | OFlag::O_NOFOLLOW) {
            Some(directory) => (Some(directory), false),
            None => (open(flags), path.is_symlink()),
        };
        Self { path, directory, is_link }
    }

    /// Where a file in it is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The content of a file; `None` if it is not there, is empty, or is no file.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, TlsError> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let failed = |error: io::Error| TlsError::File { verb: "read", path: self.path(name), error };
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let file = match openat(directory, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT | Errno::ELOOP | Errno::ENXIO | Errno::ENOTDIR) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(None);
        }
        let mut content = Vec::new();
        (&file).take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(failed)?;
        if content.len() as u64 > MAX_FILE_BYTES {
            let reason = format!("it is larger than {MAX_FILE_BYTES} bytes, and neither a key nor certificates");
            return Err(TlsError::Unusable { path: self.path(name), reason });
        }
        Ok(Some(content))
    }

    /// Whether a file has content.
    pub(super) fn has(&self, name: &str) -> bool {
        // One that cannot be read is there.
        self.read(name).map_or(true, |content| content.is_some())
    }

    /// Writes beside, under a name that no one guesses, and renames, so that a client that reads meanwhile sees the old
    /// or the new file whole.
    pub(super) fn write(&mut self, name: &str, content: &[u8], mode: u32) -> Result<(), TlsError> {
        let path = self.path(name);
        let failed = |error: io::Error| TlsError::File { verb: "write", path: path.clone(), error };
        self.make()?;
        let Some(directory) = &self.directory else { return Err(failed(Errno::ENOTDIR.into())) };
        let random = u128::from_be_bytes(key::random().map_err(TlsError::Making)?);
        let beside = format!(".{name}.{random:032x}");
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(directory, beside.as_str(), flags, Mode::from_bits_truncate(0o600));
        let written = file.map_err(io::Error::from).map(File::from).and_then(|mut file| {
            file.write_all(content)?;
            // Whatever the umask is: clients of any user read what is for them.
            fchmod(&file, Mode::from_bits_truncate(mode))?;
            Ok(renameat(directory, beside.as_str(), directory, name)?)
        });
        written.map_err(|error| {
            let _ = unlinkat(directory, beside.as_str(), UnlinkatFlags::NoRemoveDir);
            failed(error)
        })
    }

    fn make(&mut self) -> Result<(), TlsError> {
        if self.is_link {
            let reason =
                "it is a symbolic link, and what it leads to is not written to; make it a directory".to_owned();
            return Err(TlsError::Unusable { path: self.path.clone(), reason });
        }
        if self.directory.is_some() {
            return Ok(());
        }
        let (Some(above), Some(name)) = (self.path.parent(), self.path.file_name()) else { return Ok(()) };
        let made = std::fs::create_dir_all(above).and_then(|()| {
            let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
            let above = nix::fcntl::open(above, flags, Mode::empty())?;
            match mkdirat(&above, name, Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
            Ok(openat(&above, name, flags | OFlag::O_NOFOLLOW, Mode::empty())?)
        });
        let failed = |error| TlsError::File { verb: "make", path: self.path.clone(), error };
        self.directory = Some(made.map_err(failed)?);
        Ok(())
    }

    /// Gives a file of ours the mode that it is to have.
    pub(super) fn set_mode(&self, name: &str, mode: u32) {
        let Some(directory) = self.directory.as_ref().filter(|_| !self.is_link) else { return };
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let Ok(file) = openat(directory, name, flags, Mode::empty()) else { return };
        // One with another name may be anybody's.
        let is_ours = fstat(&file).is_ok_and(|stat| {
            SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG && stat.st_nlink == 1
        });
        if is_ours {
            // Where it cannot be changed, it is not ours, and clients say so.
            let _ = fchmod(&file, Mode::from_bits_truncate(mode));
        }
    }
}
