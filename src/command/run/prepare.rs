//! What the environment asks for, before the daemon is started; and how it is started.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::SystemTime;
use std::{env, fs};

use anyhow::Context as _;

use super::stage::Stage;
use super::sudo;
use crate::cli::RunArgs;
use crate::command::Misuse;
use crate::command::look::{Look, own_paths};
use crate::configuration::{Address as Api, Configuration, Copy};
use crate::engine::command::{self, CommandLine};
use crate::engine::end::Plan;
use crate::engine::remote::{Credentials, Knock};
use crate::engine::{iptables, listen, tls};
use crate::fact::Root;
use crate::facts::cgroup;
use crate::facts::engine::{find, search_path};
use crate::facts::places::{INSIDE_VARIABLE, Places};
use crate::facts::rootless::{self, VARIABLE};
use crate::process::{self, level::Level};
use crate::profile::{Rootless, SocketActivation};
use crate::report::Address;
use crate::supervisor::doors::DoorError;
use crate::supervisor::message::{Door, Order, Refresh};
use crate::verification::WayIn;

/// What containerd makes below the daemon's run directory; a killed one leaves them there.
const CONTAINERD_SOCKETS: [&str; 3] = ["containerd.sock", "containerd.sock.ttrpc", "containerd-debug.sock"];

/// A configuration file of ours, below what lives as long as the daemon.
const COPY: &str = "dindcheck/daemon.json";

/// What tells programs that they are in a container (systemd, container interface).
const CONTAINER: &str = "container";
/// Outer engines (`profiles/outer`) whose containers are machines with an init.
const MACHINES: [&str; 2] = ["lxc", "systemd-nspawn"];

/// How the daemon is started.
pub(super) struct Start {
    /// Its command line.
    pub(super) line: CommandLine,
    /// The same for the supervisor.
    pub(super) order: Order,
    /// What it may leave behind.
    pub(super) plan: Plan,
    /// Where its API is while the doors are closed.
    pub(super) api: String,
    /// Its addresses, and which of them are closed until it is proved.
    pub(super) addresses: Vec<Address>,
    /// Whether it is told to write no rules of the firewall.
    pub(super) without_rules: bool,
    /// How clients of the network come in, where that can be tried before they are let in.
    pub(super) ways: Vec<WayIn>,
}

/// DOCKER_IPTABLES_LEGACY, for us and for the daemon.
pub(super) fn choose_iptables(stage: &mut Stage) {
    let Ok(choice) = env::var("DOCKER_IPTABLES_LEGACY") else { return };
    match iptables::path_for(&choice, &search_path()) {
        Ok(path) => process::set_variable("PATH", &path),
        // A check says whether the one that is found works.
        Err(error) => stage.progress.say(Level::Warning, &error.to_string()),
    }
}

/// RootlessKit's /run has links to what is in the user's. Where a rootless daemon and iptables put something of their
/// own, the link has to go first; the file behind it stays (moby contrib/dockerd-rootless.sh).
pub(super) fn leave_the_users_run() {
    if env::var_os(INSIDE_VARIABLE).is_none() {
        return;
    }
    for path in ["/run/docker", "/run/containerd", "/run/xtables.lock"] {
        if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
            let _ = fs::remove_file(path);
        }
    }
}

/// How the daemon is to be started, with what it needs for that.
///
/// # Errors
/// What the user has to change: certificates that cannot be used, addresses that cannot be listened on.
pub(super) fn start(args: &RunArgs, stage: &mut Stage, look: &Look) -> anyhow::Result<Start> {
    let root = Root::new("/");
    let places = Places::of(&root);
    let configuration = look.configuration().map_err(|error| Misuse(error.to_string()))?;
    let are_ours = make_certificates(stage, configuration)?;
    let (hosts, addresses) = close_doors(stage, look, &root, configuration)?;
    let ways = ways_in(stage, configuration, &addresses, are_ours);
    let copy = format!("{}/{COPY}", places.run());
    let mut line = command::command_line(&look.profile, configuration, &hosts, &copy)?;
    if let Some(copy) = &line.copy {
        let path = Path::new(&copy.path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, &copy.content));
        written.with_context(|| format!("cannot write {}", copy.path))?;
    }
    if look.is_rootless() && look.profile.launch_rootless.value == Rootless::Experimental {
        line.words.push("--experimental".to_owned());
    }
    line.soft_limits = look.soft_limits().to_vec();
    let hidden = stage.doors.doors().iter().find_map(|door| match door {
        Door::Unix { hidden, public, .. } if *public == line.socket => Some(hidden.clone()),
        _ => None,
    });
    let api = hidden.unwrap_or_else(|| line.socket.clone());

    let own = |paths: &[String]| own_paths(&root, Some(configuration), paths);
    let mut sockets = own(&CONTAINERD_SOCKETS.map(|name| format!("/run/docker/containerd/{name}")));
    sockets.extend(addresses.iter().filter_map(|one| one.address.strip_prefix("unix://")).map(str::to_owned));
    let bound = stage.doors.doors().iter().filter_map(|door| match door {
        Door::Unix { hidden, .. } => Some(hidden.clone()),
        Door::Tcp { .. } => None,
    });
    let ports = addresses.iter().filter_map(|one| {
        let hosts = Configuration::of_words(&["--host", &one.address]).hosts();
        Some(hosts.first()?.tcp()?.1)
    });
    let mut plan = Plan {
        grace_ms: u64::try_from(args.stop_grace.as_millis()).unwrap_or(u64::MAX),
        api: vec![api.clone(), line.socket.clone()],
        pidfiles: own(&look.profile.pidfiles.value),
        sockets,
        bound: bound.collect(),
        ports: ports.collect(),
        outside: rootless::from_outside().and_then(Result::ok).map(|way| way.outside),
        ..Plan::default()
    };
    let data_root = look.facts.storage.as_ref().ok().map(|storage| storage.data_root.as_str());
    plan.note_mounts(data_root, &configuration.exec_root().value);

    let word = line.words.first().map(String::as_str).unwrap_or_default();
    // A fix may have put programs in front of those of the image.
    let path = search_path();
    let program = find(&root, &path, word).unwrap_or_else(|| word.to_owned());
    let order = Order {
        program,
        words: line.words.clone(),
        set: [("PATH".to_owned(), path)].into_iter().chain(without_apparmor(look)).collect(),
        // The daemon tells the service manager on its own as soon as it listens; that is for the supervisor to tell, once
        // it is proved. The facts are for us alone.
        unset: ["NOTIFY_SOCKET", VARIABLE, sudo::VARIABLE].map(str::to_owned).to_vec(),
        soft_limits: line.soft_limits.clone(),
        cgroup_namespace: Some(cgroup::KEPT_NAMESPACE).filter(|path| cgroup::keeps_namespace(path)).map(str::to_owned),
        doors: stage.doors.doors().to_vec(),
        socket: line.socket.clone(),
        refresh: line.copy.clone().map(|Copy { path, without, .. }| Refresh {
            source: configuration.file.path.clone(),
            copy: path,
            without,
        }),
    };
    Ok(Start { line, order, plan, api, addresses, without_rules: configuration.is_off("iptables"), ways })
}

/// The variable by which a daemon, its containerd and runc let AppArmor be (containerd pkg/apparmor, as moby's hack/dind has
/// it): profiles that they load would be the host's. A machine in a container, such as LXC's, may have a namespace of
/// profiles of its own, and a rootless daemon loads none.
fn without_apparmor(look: &Look) -> Option<(String, String)> {
    let outer = look.facts.outer.as_ref().ok()?;
    let is_application = outer.in_container && !outer.layers().any(|layer| MACHINES.contains(&layer));
    let is_told = env::var_os(CONTAINER).is_some() || look.is_rootless();
    (is_application && !is_told).then(|| (CONTAINER.to_owned(), "docker".to_owned()))
}

/// Listens on the daemon's addresses for it; gives what it is told instead of them, and all addresses. What cannot be
/// listened on for it is left to the daemon, open from the start.
fn close_doors(
    stage: &mut Stage,
    look: &Look,
    root: &Root,
    configuration: &Configuration,
) -> anyhow::Result<(Vec<String>, Vec<Address>)> {
    let failed = |error: DoorError| Misuse(error.to_string());
    let mut listens: Vec<Api> = configuration.listens().into_iter().map(|host| host.address).collect();
    if !listens.iter().any(|address| matches!(address, Api::Unix(_))) {
        // Its API is needed here.
        listens.insert(0, Api::Unix(configuration.socket()));
    }
    let takes_tcp = look.profile.launch_socket_activation.value == SocketActivation::Tls
        || !configuration.tls().is_some_and(|tls| tls.on);
    let mut addresses = Vec::new();
    let mut hosts = vec!["fd://".to_owned()];
    for address in listens {
        let closed_until_proved = match &address {
            Api::Unix(path) => {
                let group = listen::group(root, configuration).map_err(Misuse)?;
                let mode = if look.is_rootless() { listen::MODE | listen::STICKY } else { listen::MODE };
                stage.doors.unix(path, group, mode).map_err(failed)?;
                true
            }
            Api::Tcp { host, port } if takes_tcp => match literal(host) {
                Some(ip) => {
                    stage.doors.tcp(&address.to_string(), SocketAddr::new(ip, *port)).map_err(failed)?;
                    true
                }
                None => false,
            },
            _ => false,
        };
        if !closed_until_proved {
            hosts.push(address.to_string());
        }
        addresses.push(Address { address: address.to_string(), closed_until_proved });
    }
    Ok((hosts, addresses))
}

/// How clients come in at the TCP addresses behind closed doors. With TLS only where the certificates and their names are
/// known: those that were made here, in the directory that DOCKER_TLS_CERTDIR names.
fn ways_in(stage: &Stage, configuration: &Configuration, addresses: &[Address], are_ours: bool) -> Vec<WayIn> {
    let Some(mark) = stage.doors.mark() else { return Vec::new() };
    let has_tls = configuration.tls().is_some_and(|tls| tls.on);
    let directory = configuration.certificates.as_ref().filter(|_| configuration.uses_certificates());
    let directory = directory.map(|directory| Path::new(directory).join("client"));
    let directory = directory.filter(|directory| directory.join("cert.pem").is_file());
    if has_tls && (directory.is_none() || !are_ours) {
        return Vec::new();
    }
    let credentials = directory.filter(|_| has_tls).map(|directory| Credentials { directory, verify: true });
    let names = tls::names::all(&env::var("DOCKER_TLS_SAN").unwrap_or_default()).unwrap_or_default();
    let names: Vec<String> = match credentials {
        Some(_) => names.iter().filter_map(tls::names::Name::of_host).collect(),
        None => vec!["localhost".to_owned()],
    };
    let closed = addresses.iter().filter(|address| address.closed_until_proved);
    let places = closed.filter_map(|address| {
        let hosts = Configuration::of_words(&["--host", &address.address]).hosts();
        let (host, port) = hosts.first()?.tcp()?;
        let ip = match literal(host)? {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Some((address.address.clone(), SocketAddr::new(ip, port)))
    });
    places
        .map(|(address, place)| WayIn {
            address,
            knock: Knock { place, mark: Some(mark) },
            names: names.clone(),
            credentials: credentials.clone(),
        })
        .collect()
}

/// An address that needs no resolver.
fn literal(host: &str) -> Option<IpAddr> {
    if host == "localhost" { Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { host.parse().ok() }
}

/// The certificates in DOCKER_TLS_CERTDIR, if the daemon is to use them; gives whether they were made here.
fn make_certificates(stage: &mut Stage, configuration: &Configuration) -> anyhow::Result<bool> {
    let directory = configuration.certificates.as_ref().filter(|_| configuration.uses_certificates());
    let Some(directory) = directory.map(Path::new) else { return Ok(false) };
    let names = tls::names::all(&env::var("DOCKER_TLS_SAN").unwrap_or_default()).map_err(Misuse)?;
    match tls::ensure(directory, &names, SystemTime::now()) {
        Ok(tls::Made::Here) => {
            stage.progress.step(&format!("certificates for clients are in {}/client", directory.display()));
            Ok(true)
        }
        Ok(tls::Made::ByTheUser) => {
            stage.progress.step(&format!("using the certificates in {}", directory.display()));
            Ok(false)
        }
        Err(error @ tls::TlsError::Making(_)) => Err(error.into()),
        Err(error) => Err(Misuse(error.to_string()).into()),
    }
}
