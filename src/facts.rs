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
pub mod packages;
pub mod places;
pub mod privileges;
pub mod rootless;
pub mod storage;
pub mod tls;
pub mod validation;

use serde::{Deserialize, Serialize};

use crate::fact::{Fact, FactError, Root};
pub use crate::probe::Attempt;
use crate::probe::background::Background;
use crate::profile::ImageStore;

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
    /// What the daemon is told.
    #[serde(default = "not_captured")]
    pub configuration: Fact<configuration::Configuration>,
    /// The files of the daemon's TLS; `None` if it is told of none.
    #[serde(default = "not_read")]
    pub tls: Fact<Option<tls::TlsFiles>>,
    /// What the daemon says of its configuration.
    #[serde(default = "not_asked")]
    pub validation: Fact<validation::Validation>,
    /// The client beside the engine.
    #[serde(default = "client_not_asked")]
    pub client: Fact<client::Client>,
    /// Device nodes.
    #[serde(default = "not_opened")]
    pub devices: Fact<devices::Devices>,
    /// The way of a user to a daemon of its own; `None` if it is root's.
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

fn not_read() -> Fact<Option<tls::TlsFiles>> {
    Err(FactError::new("find", "the files of the daemon's TLS", "they were not captured"))
}

fn not_asked() -> Fact<validation::Validation> {
    Err(FactError::new("find", "the daemon's word on its configuration", "it was not captured"))
}

fn client_not_asked() -> Fact<client::Client> {
    Err(FactError::new("find", "the client's API", "it was not captured"))
}

fn not_opened() -> Fact<devices::Devices> {
    Err(FactError::new("find", "device nodes", "they were not captured"))
}

/// The version of the facts' format.
pub const SCHEMA: u32 = 3;

/// What has to be known before the facts can be read.
#[derive(Debug, Clone)]
pub struct Request {
    /// The tree to read: `/`, or a captured machine.
    pub root: Root,
    /// What the daemon is told, which can move its directories.
    pub configuration: Fact<configuration::Configuration>,
    /// The soft limits that it is given: name, and value or none for unlimited.
    pub soft_limits: Vec<(String, Option<u64>)>,
    /// Pid files to look at.
    pub pidfiles: Vec<String>,
    /// Sockets to look at.
    pub sockets: Vec<String>,
    /// Directories whose file system matters.
    pub directories: Vec<String>,
    /// Where images live by default.
    pub image_store: ImageStore,
    /// The names of the storage drivers; containerd's snapshotters are none.
    pub drivers: Vec<String>,
    /// What the daemon writes to the firewall.
    pub netfilter: netfilter::Wanted,
    /// The words that start the daemon.
    pub daemon: Vec<String>,
    /// Whether it has `--validate`.
    pub can_validate: bool,
    /// Whether there are clients that it refuses.
    pub ask_client: bool,
}

/// What is tried without knowing which engine this is: asking that takes as long.
pub struct EarlyProbes {
    privileges: Background<Vec<Attempt>>,
    network: Background<Vec<Attempt>>,
}

impl EarlyProbes {
    /// Starts trying.
    pub fn start(root: &Root) -> Self {
        Self { network: network::start(root, &kernel::read(root)), privileges: privileges::start(root) }
    }
}

/// What is being tried or asked, beside each other, and beside a daemon that starts.
pub struct PendingProbes {
    early: EarlyProbes,
    cgroup: Background<Vec<Attempt>>,
    validation: Background<validation::Validation>,
    client: Background<client::Client>,
}

/// Facts that are read, while an overlay is being tried where layers will be: it decides how the daemon keeps its data.
pub struct FactsBuilder {
    facts: Facts,
    storage: storage::PendingStorage,
}

impl FactsBuilder {
    /// Waits for the overlay, and after an early start for all else that only trying can tell.
    pub fn finish(self, early: Option<EarlyProbes>, request: &Request) -> Facts {
        let trials = early.map(|early| (self.facts.start_trials(early, request), self.facts.start_netfilter(request)));
        let mut facts = Facts { storage: self.storage.finish(), ..self.facts };
        if let Some((trials, netfilter)) = trials {
            facts.finish(trials, netfilter);
        }
        facts
    }
}

/// Why a fact that only trying can tell is not known yet.
fn not_yet(what: &str) -> FactError {
    FactError::new("try", what, "there was no time for it yet")
}

impl Facts {
    /// Reads what can be read. `engine` comes from [`engine::start`] and `outer` from [`outer::read`], which are called
    /// first because the profile, and with it the request, depends on them.
    pub fn read(request: &Request, engine: Fact<engine::Engine>, outer: Fact<outer::Outer>) -> FactsBuilder {
        Self::read_after(None, request, engine, outer)
    }

    /// Reads the same again. What was tried then is as good as new where it worked and nothing around it has changed.
    pub fn read_again(&self, request: &Request) -> FactsBuilder {
        Self::read_after(self.storage.as_ref().ok(), request, self.engine.clone(), self.outer.clone())
    }

    fn read_after(
        earlier: Option<&storage::Storage>,
        request: &Request,
        engine: Fact<engine::Engine>,
        outer: Fact<outer::Outer>,
    ) -> FactsBuilder {
        let root = &request.root;
        let kernel = kernel::read(root);
        let mounts = mounts::read(root);
        let storage = storage::start(request, &kernel, &mounts, earlier);
        let cgroup = match &mounts {
            Ok(mounts) => cgroup::read(root, mounts),
            Err(error) => Err(error.clone()),
        };
        let facts = Self {
            schema: SCHEMA,
            privileges: privileges::read(root),
            limits: limits::read(root, &cgroup, &request.soft_limits),
            network: network::read(root, &request.configuration),
            leftovers: leftovers::read(root, &request.pidfiles, &request.sockets),
            configuration: request.configuration.clone(),
            tls: tls::read(root, &request.configuration),
            devices: devices::read(root),
            rootless: rootless::read(root),
            netfilter: Err(not_yet("the rules of the firewall")),
            validation: Err(not_yet("the daemon's configuration")),
            client: Err(not_yet("the client")),
            storage: Err(not_yet("an overlay")),
            kernel,
            outer,
            mounts,
            cgroup,
            engine,
        };
        FactsBuilder { facts, storage }
    }

    /// Starts trying, in children, what only trying can tell, also beside a daemon that starts.
    pub fn start_trials(&self, early: EarlyProbes, request: &Request) -> PendingProbes {
        let root = &request.root;
        PendingProbes {
            validation: validation::start(root, &request.daemon, &request.configuration, request.can_validate),
            client: client::start(root, request.ask_client),
            cgroup: cgroup::start(root, &self.cgroup, &self.outer),
            early,
        }
    }

    /// Starts trying the rules of the firewall: a daemon that starts holds their lock (iptables(8), --wait).
    pub fn start_netfilter(&self, request: &Request) -> netfilter::PendingNetfilter {
        netfilter::start(&request.root, &self.kernel, &request.configuration, &request.netfilter)
    }

    /// Waits for what was tried, which has deadlines of its own.
    pub fn finish(&mut self, trials: PendingProbes, netfilter: netfilter::PendingNetfilter) {
        self.netfilter = netfilter.finish();
        self.validation = trials.validation.finish();
        self.client = trials.client.finish();
        let attempts = [trials.early.privileges, trials.early.network, trials.cgroup].map(Background::finish);
        let [privileges, network, cgroup] = attempts;
        if let Ok(own) = &mut self.privileges {
            own.attempts = privileges;
        }
        if let Ok(own) = &mut self.network {
            own.attempts = network;
        }
        if let Ok(own) = &mut self.cgroup {
            own.attempts = cgroup;
        }
    }
}
