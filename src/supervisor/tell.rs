//! Telling others how far we are: a file for `dindcheck health`, the service manager (sd_notify(3)), a descriptor,
//! and the message that Kubernetes shows of a container that has ended.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::message::Phase;
use crate::foreign;
use crate::state::{self, State};

/// Where the state is kept, below what lives as long as the daemon.
pub const STATUS_FILE: &str = "dindcheck/status";
/// It holds no more than this, in bytes.
const STATUS_MAX: usize = 64 << 10;

/// Where Kubernetes mounts a file for a last message, unless `terminationMessagePath` says otherwise.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// It shows this much of it.
const TERMINATION_MAX: usize = 4096;

/// The state, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How far the main job is.
    pub phase: Phase,
    /// Whose state it is: the file may outlive its writer.
    pub pid: u32,
    /// Where the daemon's API is, once that is known.
    pub socket: Option<String>,
    /// The pid namespace in which that is its number.
    #[serde(default)]
    pub namespace: Option<PathBuf>,
    /// When it was started, in ticks since boot: numbers come again.
    #[serde(default)]
    pub started: Option<u64>,
    /// Why it failed, if it has.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether the report of the daemon that is served is written: clients are let in before.
    #[serde(default)]
    pub reported: bool,
}

impl Status {
    /// Whether its writer is known to have ended. Of one in another pid namespace nothing is known.
    fn is_stale(&self) -> bool {
        self.namespace.is_some() && self.namespace == pid_namespace() && started(self.pid) != self.started
    }
}

fn pid_namespace() -> Option<PathBuf> {
    fs::read_link("/proc/self/ns/pid").ok()
}

/// When a process was started (proc_pid_stat(5): field 22); `None` if there is none.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Everybody who wants to know.
#[derive(Debug)]
pub(super) struct Tell {
    file: PathBuf,
    socket: Option<String>,
    ready: Option<OwnedFd>,
    reason: Option<String>,
    reported: bool,
    /// The socket of the service manager, of NOTIFY_SOCKET.
    manager: Option<String>,
}

impl Tell {
    /// `ready` is the descriptor of --ready-fd, `file` is where the state is kept.
    pub(super) fn new(ready: Option<OwnedFd>, file: PathBuf) -> Self {
        let manager = std::env::var("NOTIFY_SOCKET").ok().filter(|path| !path.is_empty());
        Self { file, socket: None, ready, reason: None, reported: false, manager }
    }

    /// Where the daemon's API will be.
    pub(super) fn socket(&mut self, socket: &str) {
        self.socket = Some(socket.to_owned());
    }

    /// Tells of a new phase. No one who does not listen holds us up.
    pub(super) fn phase(&mut self, phase: Phase) {
        self.keep(phase);
        match phase {
            Phase::Serving => {
                self.notify("READY=1\nSTATUS=the daemon is proved");
                if let Some(fd) = self.ready.take() {
                    let _ = fs::File::from(fd).write_all(b"\n");
                }
            }
            Phase::Stopping => self.notify("STOPPING=1"),
            _ => {}
        }
    }

    /// Tells that the report of the daemon that is served is written.
    pub(super) fn reported(&mut self) {
        self.reported = true;
        self.keep(Phase::Serving);
    }

    fn keep(&self, phase: Phase) {
        let pid = std::process::id();
        let status = Status {
            phase,
            pid,
            socket: self.socket.clone(),
            namespace: pid_namespace(),
            started: started(pid),
            reason: self.reason.clone(),
            reported: self.reported,
        };
        // A read-only /run costs the file, and `health` then asks the daemon alone.
        let _ = write_status(&self.file, &status);
    }

    fn notify(&self, message: &str) {
        if let Some(path) = &self.manager {
            send(path, message);
        }
    }

    /// Why it is going to end.
    pub(super) fn because(&mut self, reason: String) {
        self.reason = Some(foreign::text(&reason));
    }

    /// The last word: why it ended, if something failed; and the state is no more.
    pub(super) fn ended(&self) {
        let file = &self.file;
        if read(file).is_some_and(|status| status.pid == std::process::id()) {
            let _ = fs::remove_file(file);
            if let Some(parent) = file.parent() {
                // Gone when nothing else is in it.
                let _ = fs::remove_dir(parent);
            }
        }
        let is_file = Path::new(TERMINATION_LOG).metadata().is_ok_and(|metadata| metadata.is_file());
        if let (Some(reason), true) = (&self.reason, is_file) {
            let end = reason.floor_char_boundary(TERMINATION_MAX);
            // Written in place: it is a mount of that one file.
            let _ = fs::write(TERMINATION_LOG, &reason[..end]);
        }
    }
}

/// The state that a main job has left in this file, if there is one and its writer is not gone.
pub fn read(file: &Path) -> Option<Status> {
    read_any(file).filter(|status| !status.is_stale())
}

fn read_any(file: &Path) -> Option<Status> {
    serde_json::from_slice(&state::read_small(file, STATUS_MAX).ok()?).ok()
}

fn write_status(path: &Path, status: &Status) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("status");
    State::make(directory)?.write(name, &serde_json::to_vec(status)?, false)
}

fn send(path: &str, message: &str) {
    let address = match path.strip_prefix('@') {
        Some(name) => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(name)
        }
        None => SocketAddr::from_pathname(path),
    };
    // A manager that does not listen any more misses nothing.
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        let _ = socket.set_nonblocking(true);
        let _ = socket.send_to_addr(message.as_bytes(), &address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_writer_that_has_ended_does_not_count() {
        let pid = std::process::id();
        let own = Status {
            phase: Phase::Verifying,
            pid,
            socket: None,
            namespace: pid_namespace(),
            started: started(pid),
            reason: None,
            reported: false,
        };
        assert!(own.namespace.as_ref().is_some_and(|namespace| namespace.to_string_lossy().starts_with("pid:[")));
        assert!(!own.is_stale());
        assert!(Status { started: Some(1), ..own.clone() }.is_stale());
        assert!(!Status { started: Some(1), namespace: Some("pid:[1]".into()), ..own.clone() }.is_stale());
        assert!(!Status { started: None, namespace: None, ..own }.is_stale());
    }

    #[test]
    fn each_phase_is_told_to_whom_it_concerns() {
        let directory = tempfile::tempdir().unwrap();
        let manager = directory.path().join("notify");
        let listener = UnixDatagram::bind(&manager).unwrap();
        listener.set_nonblocking(true).unwrap();
        let heard = || {
            let mut buffer = [0; 64];
            listener.recv(&mut buffer).ok().map(|count| String::from_utf8_lossy(&buffer[..count]).into_owned())
        };
        let (mut reader, writer) = std::io::pipe().unwrap();
        let file = directory.path().join("state/status");
        let mut tell = Tell::new(Some(writer.into()), file.clone());
        tell.manager = Some(manager.to_str().unwrap().to_owned());
        tell.socket("/run/x.sock");
        tell.phase(Phase::Verifying);
        assert_eq!(heard(), None);
        let status = read(&file).unwrap();
        assert_eq!((status.phase, status.pid), (Phase::Verifying, std::process::id()));
        assert_eq!((status.socket.as_deref(), status.reason.as_deref()), (Some("/run/x.sock"), None));
        tell.phase(Phase::Serving);
        assert_eq!(heard().as_deref(), Some("READY=1\nSTATUS=the daemon is proved"));
        let mut ready = String::new();
        std::io::Read::read_to_string(&mut reader, &mut ready).unwrap();
        assert_eq!(ready, "\n", "told once, and closed");
        tell.because("bad\u{1b}".to_owned());
        tell.phase(Phase::Stopping);
        assert_eq!(heard().as_deref(), Some("STOPPING=1"));
        assert_eq!(read(&file).unwrap().reason.as_deref(), Some("bad\\u{1b}"));
        fs::write(file.with_file_name("other"), "").unwrap();
        tell.ended();
        assert!(!file.exists() && file.with_file_name("other").exists());
        // The state of another writer is not ours to remove.
        write_status(&file, &Status { pid: 1, started: None, namespace: None, ..status }).unwrap();
        tell.ended();
        assert!(file.exists());
    }

    #[test]
    fn the_service_manager_is_told_by_path_and_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let name = format!("dindcheck-test-{}", std::process::id());
        use std::os::linux::net::SocketAddrExt as _;
        let listeners = [
            (path.display().to_string(), UnixDatagram::bind(&path).unwrap()),
            (format!("@{name}"), UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap()),
        ];
        for (address, listener) in listeners {
            send(&address, "READY=1");
            let mut buffer = [0; 16];
            let count = listener.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..count], b"READY=1");
        }
        send("/nonexistent/socket", "READY=1");
    }
}
