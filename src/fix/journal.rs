//! The record of what fixes did, written before it is done, so that it can be taken back after a crash too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::step::Step;
use crate::process::stat::Stat;

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
    life: String,
}

/// What tells one life of the container from the next, in which its mounts, its network and its processes are new ones:
/// when its first process was started, and its mount namespace, for where that is the host's.
fn life() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let started = Stat::parse(&read("/proc/1/stat")).and_then(|stat| stat.started_ticks()).unwrap_or_default();
    let mounts = fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
    format!("{} {started} {}", read("/proc/sys/kernel/random/boot_id").trim(), mounts.display())
}

/// The lines of a journal that were written to their end.
fn complete(text: &[u8]) -> &[u8] {
    text.iter().rposition(|byte| *byte == b'\n').map_or(&[], |end| &text[..=end])
}

impl Journal {
    /// The journal at a path; nothing is made before the first record.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), life: life() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records what is about to be done; where that outlives the container, and with it a crash of the machine, it is on
    /// the disk before.
    ///
    /// # Errors
    /// What the write gave.
    pub fn record(&self, entry: &Entry) -> io::Result<()> {
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        let line = self.line(entry)?;
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&self.path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        // Behind a line that a crash or a full disk has torn, this one could not be read.
        let end = u64::try_from(complete(&text).len()).map_err(io::Error::other)?;
        file.set_len(end)?;
        if let Err(error) = file.write_all(&line) {
            let _ = file.set_len(end);
            return Err(error);
        }
        if entry.step.outlives_the_container() { file.sync_data() } else { Ok(()) }
    }

    fn line(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(&Line {
            life: self.life.clone(),
            check: entry.check.clone(),
            step: entry.step.clone(),
        })?;
        line.push(b'\n');
        Ok(line)
    }

    /// All entries, oldest first, but for those of what went with an earlier life of the container. A torn last line, from a crash while it was written, was never acted on.
    ///
    /// # Errors
    /// What the read gave, or `InvalidData` with the number of a line that is no entry.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let lines = complete(&text)
            .split_inclusive(|byte| *byte == b'\n')
            .enumerate()
            .map(|(index, line)| {
                serde_json::from_slice::<Line>(line)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {error}", index + 1)))
            })
            .collect::<io::Result<Vec<Line>>>()?;
        let holds = |line: &Line| line.life == self.life || line.step.outlives_the_container();
        Ok(lines.into_iter().filter(holds).map(|line| Entry { check: line.check, step: line.step }).collect())
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
        if count == 0 {
            fs::remove_file(&self.path)?;
            // Ours alone when it is empty; otherwise it stays.
            if let Some(parent) = self.path.parent() {
                let _ = fs::remove_dir(parent);
            }
            return Ok(());
        }
        let mut text = Vec::new();
        for entry in self.entries()?.iter().take(count) {
            text.extend(self.line(entry)?);
        }
        // Written beside and renamed, so that a crash leaves the one or the other.
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(&text)?;
        file.sync_data()?;
        fs::rename(&beside, &self.path)
    }
}

#[cfg(test)]
mod tests {
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
        let earlier = Journal { path: directory.path().join("journal"), life: "an earlier one".to_owned() };
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
    fn a_broken_line_is_said_with_its_number() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::at(directory.path().join("journal"));
        fs::write(journal.path(), "{}\n").unwrap();
        assert!(journal.entries().unwrap_err().to_string().starts_with("line 1: "));
    }
}
