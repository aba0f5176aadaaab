//! The record of what fixes did, written before it is done, so that it can be taken back after a crash too.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::step::Step;
use crate::process::stat::Stat;
use crate::state::State;

/// Where the journal is kept: what it records lives no longer than /run does, or is harmless to take back.
pub const DEFAULT_PATH: &str = "/run/dindcheck/journal";

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The check whose finding is being mended.
    pub check: String,
    /// What is about to be done.
    pub step: Step,
}

/// An entry as it stands in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    /// Which life of the container it is of.
    #[serde(default)]
    life: String,
    check: String,
    step: Step,
}

/// The journal of this container.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// None, and why, where it cannot be told: then nothing is recorded, read or removed.
    life: Result<String, String>,
}

/// What tells one life of the container from the next, in which its mounts, its network and its processes are new ones:
/// when its first process was started, and its mount namespace, for where that is the host's.
///
/// # Errors
/// What reading gave.
fn life() -> io::Result<String> {
    let at = |path: &str, error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
    let text = |path: &str| fs::read_to_string(path).map_err(|error| at(path, error));
    let started = Stat::parse(&text("/proc/1/stat")?).and_then(|stat| stat.started_ticks()).unwrap_or_default();
    let namespace = "/proc/self/ns/mnt";
    let mounts = fs::read_link(namespace).map_err(|error| at(namespace, error))?;
    let boot = if_numbered(text("/proc/sys/kernel/random/boot_id"))?;
    Ok(format!("{} {started} {}", boot.trim(), mounts.display()))
}

/// The number of this boot, as it was read; not each kernel numbers its boots.
fn if_numbered(boot: io::Result<String>) -> io::Result<String> {
    match boot {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        boot => boot,
    }
}

/// What is in the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// The entries, oldest first, but for those of what went with an earlier life of the container.
    pub entries: Vec<Entry>,
    /// The lines that are no entries, by their numbers from 1, with the reason: a crash has cut them off, and what they
    /// would have recorded was never done.
    pub broken: Vec<String>,
}

impl Journal {
    /// The journal at a path; nothing is made before the first record.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), life: life().map_err(|error| error.to_string()) }
    }

    fn life(&self) -> io::Result<&str> {
        self.life.as_deref().map_err(|why| io::Error::other(why.to_owned()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new("/"))
    }

    fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Records what is about to be done; where that outlives the container, and with it a crash of the machine, it is on
    /// the disk before.
    ///
    /// # Errors
    /// What the write gave, or that the directory is not to be trusted ([`State`]).
    pub fn record(&self, entry: &Entry) -> io::Result<()> {
        let line = self.line(entry)?;
        State::make(self.directory())?.append_line(self.name(), &line, entry.step.outlives_the_container())
    }

    fn line(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(&Line {
            life: self.life()?.to_owned(),
            check: entry.check.clone(),
            step: entry.step.clone(),
        })?;
        line.push(b'\n');
        Ok(line)
    }

    /// All that is recorded. What is no entry costs none of the others.
    ///
    /// # Errors
    /// What the read gave, or that the directory is not to be trusted ([`State`]).
    pub fn read(&self) -> io::Result<Read> {
        let life = self.life()?;
        let content = match State::open(self.directory())? {
            Some(state) => state.read(self.name())?.unwrap_or_default(),
            None => Vec::new(),
        };
        let mut read = Read::default();
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            match serde_json::from_slice::<Line>(line) {
                Ok(line) if line.life == life || line.step.outlives_the_container() => {
                    read.entries.push(Entry { check: line.check, step: line.step });
                }
                Ok(_) => {}
                Err(error) => read.broken.push(format!("line {}: {error}", index + 1)),
            }
        }
        Ok(read)
    }

    /// All entries, oldest first.
    ///
    /// # Errors
    /// As [`Journal::read`].
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        Ok(self.read()?.entries)
    }

    /// The flags that fixes have given to the daemon; none, where the journal cannot be read: `undo` says so.
    pub fn flags(&self) -> Vec<String> {
        let entries = self.entries().unwrap_or_default();
        entries
            .into_iter()
            .filter_map(|entry| match entry.step {
                Step::AddFlag { flag } => Some(flag),
                _ => None,
            })
            .collect()
    }

    /// The soft limits that fixes have given to the daemon: name, and value or none for unlimited.
    pub fn soft_limits(&self) -> Vec<(String, Option<u64>)> {
        let entries = self.entries().unwrap_or_default();
        entries
            .into_iter()
            .filter_map(|entry| match entry.step {
                Step::SetLimit { name, soft, .. } => Some((name, soft)),
                _ => None,
            })
            .collect()
    }

    /// Keeps the first `count` entries: the rest has been taken back.
    ///
    /// # Errors
    /// What the write gave.
    pub fn keep(&self, count: usize) -> io::Result<()> {
        let Some(state) = State::open(self.directory())? else { return Ok(()) };
        if count == 0 {
            state.remove(self.name())?;
            // Ours alone when it is empty; otherwise it stays.
            state.leave();
            return Ok(());
        }
        let mut text = Vec::new();
        for entry in self.entries()?.iter().take(count) {
            text.extend(self.line(entry)?);
        }
        state.write(self.name(), &text, true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use super::*;

    fn entry(path: &str) -> Entry {
        Entry { check: "x.y".to_owned(), step: Step::MakeDirectory { path: path.to_owned() } }
    }

    #[test]
    fn entries_come_back_and_a_torn_line_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::at(directory.path().join("sub/journal"));
        assert_eq!(journal.entries().unwrap(), []);
        journal.record(&entry("/a")).unwrap();
        journal.record(&entry("/b")).unwrap();
        let mut file = OpenOptions::new().append(true).open(journal.path()).unwrap();
        file.write_all(b"{\"check\":").unwrap();
        assert_eq!(journal.entries().unwrap(), [entry("/a"), entry("/b")]);
        journal.record(&entry("/c")).unwrap();
        assert_eq!(journal.entries().unwrap(), [entry("/a"), entry("/b"), entry("/c")]);
        journal.keep(1).unwrap();
        assert_eq!(journal.entries().unwrap(), [entry("/a")]);
        journal.keep(0).unwrap();
        assert!(!journal.path().exists());
    }

    #[test]
    fn what_went_with_an_earlier_life_is_void_and_files_of_the_container_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let earlier = Journal { path: directory.path().join("journal"), life: Ok("an earlier one".to_owned()) };
        let unmount =
            Step::MountFilesystem { fstype: "tmpfs".to_owned(), target: "/x".to_owned(), options: String::new() };
        earlier.record(&Entry { check: "x.y".to_owned(), step: unmount }).unwrap();
        earlier.record(&entry("/run/dindcheck-bin")).unwrap();
        earlier.record(&entry("/dev/net")).unwrap();
        assert_eq!(earlier.entries().unwrap().len(), 3);
        let journal = Journal::at(earlier.path());
        assert_eq!(journal.entries().unwrap(), [entry("/run/dindcheck-bin")]);
        journal.record(&entry("/dev/net")).unwrap();
        assert_eq!(journal.entries().unwrap(), [entry("/run/dindcheck-bin"), entry("/dev/net")]);
    }

    #[test]
    fn what_fixes_have_given_to_the_daemon_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::at(directory.path().join("journal"));
        assert_eq!((journal.flags(), journal.soft_limits()), (vec![], vec![]));
        let record = |step: Step| journal.record(&Entry { check: "x.y".to_owned(), step }).unwrap();
        record(Step::AddFlag { flag: "--mtu=1400".to_owned() });
        record(Step::MakeDirectory { path: "/a".to_owned() });
        record(Step::SetLimit { name: "nofile".to_owned(), soft: None, before: Some(256) });
        record(Step::AddFlag { flag: "--bip=10.0.0.1/24".to_owned() });
        assert_eq!(journal.flags(), ["--mtu=1400", "--bip=10.0.0.1/24"]);
        assert_eq!(journal.soft_limits(), [("nofile".to_owned(), None)]);
    }

    #[test]
    fn a_torn_line_costs_no_entry_before_or_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::at(directory.path().join("journal"));
        journal.record(&entry("/a")).unwrap();
        let mut file = OpenOptions::new().append(true).open(journal.path()).unwrap();
        file.write_all(b"{\"check\":").unwrap();
        journal.record(&entry("/b")).unwrap();
        assert_eq!(journal.read().unwrap(), Read { entries: vec![entry("/a"), entry("/b")], broken: Vec::new() });
        // What versions before this one have glued together.
        file.write_all(b"{\"check\":{\"check\":\"x\"}\n").unwrap();
        journal.record(&entry("/c")).unwrap();
        let read = journal.read().unwrap();
        assert_eq!(read.entries, [entry("/a"), entry("/b"), entry("/c")]);
        assert!(matches!(read.broken.as_slice(), [line] if line.starts_with("line 3: ")), "{read:?}");
    }

    #[test]
    fn a_journal_that_others_could_write_is_ignored() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("dindcheck");
        let journal = Journal::at(own.join("journal"));
        journal
            .record(&Entry { check: "x.y".to_owned(), step: Step::AddFlag { flag: "--host=x".to_owned() } })
            .unwrap();
        assert_eq!(journal.flags(), ["--host=x"]);
        fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(journal.flags(), [""; 0]);
        assert!(journal.entries().is_err() && journal.record(&entry("/a")).is_err());
    }

    #[test]
    fn a_kernel_that_does_not_number_its_boots_is_no_error() {
        let number = |read: io::Result<&str>| if_numbered(read.map(str::to_owned)).map_err(|error| error.kind());
        assert_eq!(number(Ok("17")), Ok("17".to_owned()));
        assert_eq!(number(Err(io::ErrorKind::NotFound.into())), Ok(String::new()));
        assert_eq!(number(Err(io::ErrorKind::PermissionDenied.into())), Err(io::ErrorKind::PermissionDenied));
    }
}
