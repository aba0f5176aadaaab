//! What an earlier daemon left behind: pid files and sockets, and whether anything is behind them.

use std::collections::BTreeSet;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::time::UNIX_EPOCH;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use serde::{Deserialize, Serialize};

use super::{Fact, FactError, Root};
use crate::foreign::Foreign;
use crate::process::stat::Stat;

/// A pid file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PidFile {
    /// Where it is.
    pub path: String,
    /// The number in it; `None` if it holds no number.
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
    pub name: Foreign,
    /// When it was started, in seconds since 1970.
    pub started_s: Option<u64>,
}

/// What a socket file answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Someone listens.
    Listening,
    /// The file is there and nothing listens.
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

/// An engine that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningEngine {
    /// The number of the process.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

/// The engine that runs in this mount namespace, if there is one. One whose namespace cannot be read counts: it may.
pub fn running_engine(root: &Root) -> Option<RunningEngine> {
    let mounts = |pid: &str| std::fs::read_link(root.path(format!("/proc/{pid}/ns/mnt"))).ok();
    let own = mounts("self");
    root.list("/proc").unwrap_or_default().into_iter().find_map(|entry| {
        let pid: u32 = entry.parse().ok()?;
        let name = root.read_trimmed(&format!("/proc/{pid}/comm")).ok()?;
        let is_engine = match name.as_str() {
            "dockerd" => true,
            // One program up to 1.11, which is a client as well (moby v1.11 docker/docker.go).
            "docker" => {
                let line = root.read(&format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.split('\0').skip(1).any(|word| ["daemon", "-d", "--daemon"].contains(&word))
            }
            _ => false,
        };
        let is_here = || mounts(&entry).is_none_or(|theirs| Some(theirs) == own);
        (is_engine && is_here() && listens(root, pid)).then_some(RunningEngine { pid, name })
    })
}

/// Whether a process listens on a unix socket, as each engine does from its start to its end: others may have its name.
/// What cannot be read counts as yes.
fn listens(root: &Root, pid: u32) -> bool {
    // Field 4 has __SO_ACCEPTCON, field 7 is the inode (net/unix/af_unix.c: unix_seq_show).
    const ACCEPTS: u32 = 1 << 16;
    let Ok(table) = root.read(&format!("/proc/{pid}/net/unix")) else { return true };
    let listening: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let flags = u32::from_str_radix(fields.get(3)?, 16).ok()?;
            fields.get(6).copied().filter(|_| flags & ACCEPTS != 0)
        })
        .collect();
    let directory = format!("/proc/{pid}/fd");
    let Ok(numbers) = root.list(&directory) else { return true };
    numbers.iter().any(|number| {
        let link = std::fs::read_link(root.path(format!("{directory}/{number}"))).unwrap_or_default();
        let inode = link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']'));
        inode.is_some_and(|inode| listening.contains(inode))
    })
}

fn boot_time(root: &Root) -> Option<u64> {
    root.read("/proc/stat").ok()?.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

/// Connects to a unix socket without waiting: connect(2) would wait for a place in a full queue.
fn knock(path: &str) -> nix::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(descriptor.as_raw_fd(), &UnixAddr::new(path)?)
}

fn read_socket(root: &Root, path: &str) -> Option<Socket> {
    let metadata = root.path(path).metadata().ok()?;
    let answer = if !metadata.file_type().is_socket() {
        Answer::Untold("it is no socket".to_owned())
    } else if !root.is_live() {
        Answer::Untold("this is a captured machine".to_owned())
    } else {
        match knock(path) {
            // A full queue has someone behind it, who does not accept.
            Ok(()) | Err(Errno::EAGAIN) => Answer::Listening,
            Err(Errno::ECONNREFUSED) => Answer::Refused,
            Err(error) => Answer::Untold(FactError::new("connect to", path, error).to_string()),
        }
    };
    Some(Socket { path: path.to_owned(), mode: metadata.permissions().mode() & 0o7777, answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Sleeper, soon};

    #[test]
    fn a_listener_that_accepts_nothing_blocks_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock").display().to_string();
        let listener = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        nix::sys::socket::bind(listener.as_raw_fd(), &UnixAddr::new(path.as_str()).unwrap()).unwrap();
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
        let (mut full, mut held) = (false, Vec::new());
        for _ in 0..8 {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let descriptor = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
            full |= connect(descriptor.as_raw_fd(), &UnixAddr::new(path.as_str()).unwrap()) == Err(Errno::EAGAIN);
            held.push(descriptor);
        }
        assert!(full);
        let root = Root::new("/");
        assert_eq!(read_socket(&root, &path).map(|socket| socket.answer), Some(Answer::Listening));
        drop((held, listener));
        assert!(soon(|| read_socket(&root, &path).is_some_and(|socket| socket.answer == Answer::Refused)));
    }

    #[test]
    fn the_engine_that_runs_here_is_found() {
        use std::os::unix::fs::symlink;
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path());
        let write = |path: &str, text: &str| {
            let path = root.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let process = |pid: &str, name: &str, line: &str, namespace: &str, socket: &str| {
            write(&format!("/proc/{pid}/comm"), name);
            write(&format!("/proc/{pid}/cmdline"), line);
            write(
                &format!("/proc/{pid}/net/unix"),
                "Num RefCount Protocol Flags Type St Inode Path\n\
                 0: 00000002 00000000 00010000 0001 01 77 /x\n\
                 0: 00000002 00000000 00000000 0001 01 78 /y\n",
            );
            for link in ["ns/mnt", "fd/3"] {
                std::fs::create_dir_all(root.path(format!("/proc/{pid}/{link}")).parent().unwrap()).unwrap();
            }
            symlink(namespace, root.path(format!("/proc/{pid}/ns/mnt"))).unwrap();
            symlink(socket, root.path(format!("/proc/{pid}/fd/3"))).unwrap();
        };
        process("self", "dockerd", "", "mnt:[1]", "socket:[77]");
        process("2", "sleep", "sleep\0daemon\0", "mnt:[1]", "socket:[77]");
        process("3", "dockerd", "dockerd\0", "mnt:[2]", "socket:[77]");
        process("4", "dockerd", "dockerd\0", "mnt:[1]", "socket:[78]");
        process("5", "docker", "docker\0ps\0", "mnt:[1]", "socket:[77]");
        assert_eq!(running_engine(&root), None);
        for (word, pid) in [("daemon", 9), ("--daemon", 8), ("-d", 7)] {
            process(&pid.to_string(), "docker", &format!("docker\0{word}\0"), "mnt:[1]", "socket:[77]");
            assert_eq!(running_engine(&root), Some(RunningEngine { pid, name: "docker".to_owned() }));
            std::fs::remove_dir_all(root.path(format!("/proc/{pid}"))).unwrap();
        }
        process("6", "dockerd", "dockerd\0", "mnt:[1]", "socket:[77]");
        assert_eq!(running_engine(&root), Some(RunningEngine { pid: 6, name: "dockerd".to_owned() }));
        // What cannot be read counts.
        std::fs::remove_dir_all(root.path("/proc/6")).unwrap();
        write("/proc/6/comm", "dockerd\n");
        assert_eq!(running_engine(&root).map(|engine| engine.pid), Some(6));
    }

    #[test]
    fn a_process_that_listens_is_told_from_one_that_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new("/");
        let sleeper = Sleeper::start();
        assert!(soon(|| !listens(&root, sleeper.0.id())));
        let _listener = std::os::unix::net::UnixListener::bind(directory.path().join("x.sock")).unwrap();
        assert!(listens(&root, std::process::id()));
    }
}
