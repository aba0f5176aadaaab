//! What an earlier daemon left behind: pid files and sockets, and whether anything is behind them.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::{Fact, FactError, Root};
use crate::process::stat::Stat;

/// A pid file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PidFile {
    /// Where it is.
    pub path: String,
    /// The number in it; none: it holds no number.
    pub pid: Option<u32>,
    /// When it was written, in seconds since 1970.
    pub written_s: Option<u64>,
    /// The process that has the number now, if any.
    pub process: Option<Process>,
}

/// A running process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its name, as the kernel keeps it (at most 15 bytes).
    pub name: String,
    /// When it was started, in seconds since 1970.
    pub started_s: Option<u64>,
}

/// What a socket file answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Somebody listens.
    Listening,
    /// The file is there and nobody listens.
    Refused,
    /// It could not be tried, or answered something else.
    Untold(String),
}

/// A socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// Where it is.
    pub path: String,
    /// Its permissions.
    #[serde(default)]
    pub mode: u32,
    /// What it answers.
    pub answer: Answer,
}

/// What an earlier daemon left behind; only what exists is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftovers {
    /// Pid files.
    pub pidfiles: Vec<PidFile>,
    /// Sockets.
    pub sockets: Vec<Socket>,
    /// Whether there is the key that daemons before 23.0 make.
    #[serde(default)]
    pub has_key: bool,
}

/// Where that key is.
pub const KEY: &str = "/etc/docker/key.json";

/// Looks at the files that the profile names.
pub(super) fn read(root: &Root, pidfiles: &[String], sockets: &[String]) -> Fact<Leftovers> {
    let boot = boot_time(root);
    Ok(Leftovers {
        pidfiles: pidfiles
            .iter()
            .filter(|path| root.exists(path))
            .map(|path| read_pidfile(root, path, boot))
            .collect::<Fact<_>>()?,
        sockets: sockets.iter().filter_map(|path| read_socket(root, path)).collect(),
        has_key: root.exists(KEY),
    })
}

fn read_pidfile(root: &Root, path: &str, boot: Option<u64>) -> Fact<PidFile> {
    let pid = root.read_trimmed(path)?.parse().ok();
    let written_s = root
        .path(path)
        .metadata()
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map(|age| age.as_secs());
    let process = pid.and_then(|pid| read_process(root, pid, boot));
    Ok(PidFile { path: path.to_owned(), pid, written_s, process })
}

fn read_process(root: &Root, pid: u32, boot: Option<u64>) -> Option<Process> {
    let stat = Stat::parse(&root.read(&format!("/proc/{pid}/stat")).ok()?)?;
    // USER_HZ is 100 on every architecture that engines run on.
    let started_s = boot.zip(stat.started_ticks()).map(|(boot, ticks)| boot + ticks / 100);
    Some(Process { name: stat.name, started_s })
}

fn boot_time(root: &Root) -> Option<u64> {
    root.read("/proc/stat").ok()?.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

fn read_socket(root: &Root, path: &str) -> Option<Socket> {
    let metadata = root.path(path).metadata().ok()?;
    let answer = if !metadata.file_type().is_socket() {
        Answer::Untold("it is no socket".to_owned())
    } else if !root.is_live() {
        Answer::Untold("this is a captured machine".to_owned())
    } else {
        match UnixStream::connect(path) {
            Ok(_) => Answer::Listening,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Answer::Refused,
            Err(error) => Answer::Untold(FactError::new("connect to", path, error).to_string()),
        }
    };
    Some(Socket { path: path.to_owned(), mode: metadata.permissions().mode() & 0o7777, answer })
}
