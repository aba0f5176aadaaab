//! What the supervisor and its children tell each other: short messages, one datagram each.

use serde::{Deserialize, Serialize};

use crate::process::level::Level;

/// How far the main job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Looking and judging.
    Checking,
    /// Applying fixes.
    Mending,
    /// The daemon is started, and has not answered yet.
    Starting,
    /// The daemon answers, and is being proved.
    Verifying,
    /// Proved: clients are let in.
    Serving,
    /// On the way to its end.
    Stopping,
    /// Something failed; only seen with --hold-on-failure.
    Failed,
}

/// What takes the time, for the message when it takes too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    /// Facts, checks and probes.
    Look,
    /// Fixes.
    Mend,
    /// The daemon's first answer.
    Answer,
    /// The proof, with preloading and the drill.
    Proof,
}

impl Wait {
    /// In words, as the subject of a sentence.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Look => "looking at the container",
            Self::Mend => "mending",
            Self::Answer => "waiting for the daemon's API",
            Self::Proof => "proving the daemon",
        }
    }
}

/// What the look process asks of the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A new phase begins, and the next message comes within this time, in milliseconds.
    Phase {
        /// Which.
        phase: Phase,
        /// Milliseconds until the look process is given up.
        within_ms: u64,
        /// What takes the time.
        waits_for: Wait,
    },
    /// Write our own lines as JSON, as the daemon writes its log.
    LogJson,
    /// Start the daemon. The listening sockets come with the message, in the order of the doors. Answered.
    Start(Box<Order>),
    /// The daemon's API has answered.
    Answered,
    /// End the daemon, if it runs, and clear what it leaves behind. Answered.
    Withdraw,
    /// It is decided. The report is written after this, and the look process ends.
    Verdict(Verdict),
}

/// How the daemon is to be started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The program's file.
    pub program: String,
    /// Its name and arguments.
    pub words: Vec<String>,
    /// Variables that it gets beside ours.
    pub set: Vec<(String, String)>,
    /// Variables of ours that it does not get.
    pub unset: Vec<String>,
    /// Soft limits that are not ours: name (`nofile`, `nproc`), and value; `None` for unlimited.
    pub soft_limits: Vec<(String, Option<u64>)>,
    /// The file of a cgroup namespace to start it in; `None` for ours.
    #[serde(default)]
    pub cgroup_namespace: Option<String>,
    /// The addresses that we listen on for it, behind which it is proved.
    pub doors: Vec<Door>,
    /// The public unix socket of its API.
    pub socket: String,
    /// What has to be written again before the daemon reads its configuration again.
    pub refresh: Option<Refresh>,
}

/// A copy of the daemon's configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// The user's file.
    pub source: String,
    /// The copy, which the daemon reads.
    pub copy: String,
    /// The keys that the copy does not have.
    pub without: Vec<String>,
}

/// An address that clients use once the daemon is proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Door {
    /// A unix socket: listens at a hidden path until it is renamed.
    Unix {
        /// The hidden path, in the same directory.
        hidden: String,
        /// The path that clients know.
        public: String,
        /// The group that may use it, if not ours.
        group: Option<u32>,
        /// Its mode, as dockerd sets it.
        mode: u32,
    },
    /// A TCP port: handshakes are dropped by a filter until it is detached.
    Tcp {
        /// The address, for messages.
        address: String,
    },
}

/// What the look process has decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Let the clients in, and stay; else end.
    pub open: bool,
    /// The exit status of an end.
    pub status: u8,
    /// Why, where something failed: for Kubernetes' termination message.
    pub reason: String,
    /// What to log once clients are let in.
    pub lines: Vec<(Level, String)>,
    /// Keep the container after a failure, until it is stopped.
    pub hold: bool,
    /// What to run beside the proved daemon, or instead of one.
    pub job: Option<JobOrder>,
}

/// A command whose end is ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOrder {
    /// The command, by its name in PATH or by its path.
    pub words: Vec<String>,
    /// Variables that it gets beside ours.
    pub set: Vec<(String, String)>,
    /// Variables of ours that it does not get.
    pub unset: Vec<String>,
    /// Who it is run as; `None` for who we are.
    #[serde(default)]
    pub identity: Option<Identity>,
}

/// Who a process is run as (credentials(7)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The supplementary groups.
    pub groups: Vec<u32>,
}

/// What the supervisor answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The daemon runs, under this number.
    Started(i32),
    /// It could not be started, and why.
    NotStarted(String),
    /// The daemon has ended, with this exit status (128+N for signal N). Not asked for.
    Ended(u8),
    /// It has ended, and what it left behind is cleared.
    Withdrawn,
    /// Someone asks us to end, by this signal. Not asked for.
    Asked(i32),
}

/// The one message of the helper that stops the containers: the daemon is to be terminated now.
pub const CONTAINERS_STOPPED: &[u8] = b"stopped";
