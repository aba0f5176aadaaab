//! What is: read from the system, never judged, serialisable.
//!
//! Each fact fails for itself: one that cannot be read is an error with path and verb, and the checks that need it say
//! `unknown`. Everything is read below a root, so that a captured machine can be judged anywhere.

pub mod cgroup;
pub mod client;
pub mod configuration;
pub mod devices;
pub mod engine;
pub mod kernel;
pub mod leftovers;
pub mod limits;
pub mod mounts;
pub mod netfilter;
pub mod network;
pub mod nftables;
pub mod outer;
pub mod places;
pub mod privileges;
pub mod root;
pub mod rootless;
pub mod storage;
pub mod validation;

use std::io;

use serde::{Deserialize, Serialize};

pub use root::Root;

use crate::probe;

/// Why a fact is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("cannot {verb} {path}: {reason}")]
pub struct FactError {
    /// What could not be done: `read`, `parse`, `run`, `connect to`.
    pub verb: String,
    /// On what.
    pub path: String,
    /// What the system said.
    pub reason: String,
}

impl FactError {
    /// A failure of an operation on a path.
    pub fn new(verb: &str, path: impl Into<String>, reason: impl ToString) -> Self {
        Self { verb: verb.to_owned(), path: path.into(), reason: reason.to_string() }
    }

    /// A failed read.
    pub fn read(path: impl Into<String>, error: &io::Error) -> Self {
        Self::new("read", path, error)
    }
}

/// A fact, or why it is not known.
pub type Fact<T> = Result<T, FactError>;

/// All facts about one container, as seen from inside of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The version of this format.
    pub schema: u32,
    /// The kernel and the machine.
    pub kernel: Fact<kernel::Kernel>,
    /// What kind of container this is.
    pub outer: Fact<outer::Outer>,
    /// Capabilities, seccomp, no_new_privs, user namespace.
    pub privileges: Fact<privileges::Privileges>,
    /// The mount table.
    pub mounts: Fact<mounts::Mounts>,
    /// Control groups.
    pub cgroup: Fact<cgroup::Cgroup>,
    /// The engine's programs and version.
    pub engine: Fact<engine::Engine>,
    /// The daemon's directories and what they lie on.
    pub storage: Fact<storage::Storage>,
    /// The firewall tools and what they can do.
    pub netfilter: Fact<netfilter::Netfilter>,
    /// Interfaces, routes, name servers.
    pub network: Fact<network::Network>,
    /// Limits of processes and of the cgroup.
    pub limits: Fact<limits::Limits>,
    /// What an earlier daemon left behind.
    pub leftovers: Fact<leftovers::Leftovers>,
    /// How the daemon is told to listen.
    #[serde(default = "not_captured")]
    pub configuration: Fact<configuration::Configuration>,
    /// What the daemon says of its configuration.
    #[serde(default = "not_asked")]
    pub validation: Fact<validation::Validation>,
    /// The client beside the engine.
    #[serde(default = "not_asked_either")]
    pub client: Fact<client::Client>,
    /// Device nodes.
    #[serde(default = "not_opened")]
    pub devices: Fact<devices::Devices>,
    /// The way of a user to a daemon of its own; none: it is root's.
    #[serde(default = "of_root")]
    pub rootless: Fact<Option<rootless::Rootless>>,
}

fn of_root() -> Fact<Option<rootless::Rootless>> {
    Ok(None)
}

/// Facts from before there was this one.
fn not_captured() -> Fact<configuration::Configuration> {
    Err(FactError::new("find", "the daemon's configuration", "it was not captured"))
}

fn not_asked() -> Fact<validation::Validation> {
    Err(FactError::new("find", "the daemon's word on its configuration", "it was not captured"))
}

fn not_asked_either() -> Fact<client::Client> {
    Err(FactError::new("find", "the client's API", "it was not captured"))
}

fn not_opened() -> Fact<devices::Devices> {
    Err(FactError::new("find", "device nodes", "they were not captured"))
}

/// The version of the facts' format.
pub const SCHEMA: u32 = 2;

/// What has to be known before the facts can be read.
#[derive(Debug, Clone)]
pub struct Request {
    /// The tree to read: `/`, or a captured machine.
    pub root: Root,
    /// The daemon's own arguments, which can move its directories.
    pub daemon_args: Vec<String>,
    /// The soft limits that it is given: name, and value or none for unlimited.
    pub soft_limits: Vec<(String, Option<u64>)>,
    /// Pid files to look at.
    pub pidfiles: Vec<String>,
    /// Sockets to look at.
    pub sockets: Vec<String>,
    /// Directories whose file system matters.
    pub directories: Vec<String>,
    /// What the daemon writes to the firewall.
    pub netfilter: netfilter::Wanted,
    /// The words that start the daemon.
    pub daemon: Vec<String>,
    /// Whether it has `--validate`.
    pub can_validate: bool,
    /// Whether there are clients that it refuses.
    pub ask_client: bool,
}

/// What is tried while it is not yet known which engine this is: asking that takes as long.
pub struct Early {
    kernel: Fact<kernel::Kernel>,
    network: network::Started,
    privileges: privileges::Started,
}

impl Early {
    /// Starts trying.
    pub fn start(root: &Root) -> Self {
        let kernel = kernel::read(root);
        Self { network: network::start(root, &kernel), privileges: privileges::start(root), kernel }
    }
}

impl Facts {
    /// Reads everything. `engine` comes from [`engine::start`] and `outer` from [`outer::read`], which are called first
    /// because the profile, and with it the request, depends on them.
    pub fn read(request: &Request, engine: Fact<engine::Engine>, outer: Fact<outer::Outer>) -> Self {
        Self::go_on(Early::start(&request.root), request, engine, outer)
    }

    /// Reads the rest.
    pub fn go_on(early: Early, request: &Request, engine: Fact<engine::Engine>, outer: Fact<outer::Outer>) -> Self {
        let root = &request.root;
        let Early { kernel, network, privileges } = early;
        // What is tried is tried in children, beside each other and the reading of files.
        let validation = validation::start(root, &request.daemon, &request.daemon_args, request.can_validate);
        let client = client::start(root, request.ask_client);
        let netfilter = netfilter::start(root, &kernel, &request.daemon_args, &request.netfilter);
        let mounts = mounts::read(root);
        let storage = storage::start(root, &kernel, &mounts, &request.daemon_args, &request.directories);
        let cgroup = match &mounts {
            Ok(mounts) => cgroup::read(root, mounts),
            Err(error) => Err(error.clone()),
        };
        let in_container = outer.as_ref().is_ok_and(|outer| outer.in_container);
        let places = cgroup.as_ref().ok().filter(|_| root.is_live()).map(|own| own.own_places(in_container));
        let groups = places.map(|places| probe::cgroup::start(&places));
        Self {
            schema: SCHEMA,
            kernel,
            outer,
            privileges: privileges.finish(),
            mounts,
            limits: limits::read(root, &cgroup, &request.soft_limits),
            engine,
            storage: storage.finish(),
            network: network.finish(root, &request.daemon_args),
            leftovers: leftovers::read(root, &request.pidfiles, &request.sockets),
            configuration: configuration::Configuration::read(root, &request.daemon_args),
            netfilter: netfilter.finish(),
            validation: validation.finish(),
            client: client.finish(),
            devices: devices::read(root),
            rootless: rootless::read(root),
            cgroup: cgroup.map(|cgroup| match groups {
                Some(groups) => cgroup::Cgroup { attempts: groups.finish(), ..cgroup },
                None => cgroup,
            }),
        }
    }
}
