//! What the environment asks for, before the daemon is started; and how it is started.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;
use std::{env, fs};

use super::stage::Stage;
use crate::cli::RunArgs;
use crate::command::Misuse;
use crate::command::look::Look;
use crate::engine::command::{self, CommandLine};
use crate::engine::defaults::{self, Environment};
use crate::engine::end::Plan;
use crate::engine::{iptables, listen, tls};
use crate::facts::Root;
use crate::facts::engine::{find, search_path};
use crate::facts::places::{INSIDE_VARIABLE, Places};
use crate::facts::rootless::VARIABLE;
use crate::profile::{Rootless, SocketActivation};
use crate::report::Address;
use crate::supervisor::message::{Door, Order};
use crate::process;

/// What containerd makes below the daemon's run directory; a killed one leaves them there.
const CONTAINERD_SOCKETS: [&str; 3] = ["containerd.sock", "containerd.sock.ttrpc", "containerd-debug.sock"];

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
}

/// DOCKER_IPTABLES_LEGACY, for us and for the daemon.
pub(super) fn choose_iptables(stage: &mut Stage) {
    let Ok(choice) = env::var("DOCKER_IPTABLES_LEGACY") else { return };
    match iptables::path_for(&choice, &search_path()) {
        Ok(path) => process::set_variable("PATH", &path),
        // A check says whether the one that is found works.
        Err(error) => stage.progress.say(&error.to_string()),
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
    make_certificates(stage, look.daemon_args())?;
    let mut line =
        command::command_line(&root, &look.profile, look.daemon_args()).map_err(|error| Misuse(error.to_string()))?;
    if look.is_rootless() && look.profile.launch_rootless.value == Rootless::Experimental {
        line.words.push("--experimental".to_owned());
    }
    line.soft_limits = look.soft_limits().to_vec();
    let addresses = close_doors(stage, look, &root, &places, &mut line)?;
    let hidden = stage.doors.doors().iter().find_map(|door| match door {
        Door::Unix { hidden, public, .. } if *public == line.socket => Some(hidden.clone()),
        _ => None,
    });
    let api = hidden.unwrap_or_else(|| line.socket.clone());

    let mut sockets: Vec<String> =
        CONTAINERD_SOCKETS.iter().map(|name| places.translate(&format!("/run/docker/containerd/{name}"))).collect();
    sockets.extend(addresses.iter().filter_map(|one| one.address.strip_prefix("unix://")).map(str::to_owned));
    sockets.push(line.socket.clone());
    let mut plan = Plan {
        grace_ms: u64::try_from(args.stop_grace.as_millis()).unwrap_or(u64::MAX),
        api: vec![api.clone(), line.socket.clone()],
        pidfiles: look.profile.pidfiles.value.iter().map(|path| places.translate(path)).collect(),
        sockets,
        ..Plan::default()
    };
    plan.note_mounts(look.facts.storage.as_ref().ok().map(|storage| storage.data_root.as_str()));

    let word = line.words.first().map(String::as_str).unwrap_or_default();
    // A fix may have put programs in front of those of the image.
    let path = search_path();
    let program = find(&root, &path, word).unwrap_or_else(|| word.to_owned());
    let order = Order {
        program,
        words: line.words.clone(),
        set: vec![("PATH".to_owned(), path)],
        // The daemon tells the service manager on its own as soon as it listens; that is for the supervisor to tell, once
        // it is proved. The facts are for us alone.
        unset: ["NOTIFY_SOCKET", VARIABLE].map(str::to_owned).to_vec(),
        soft_limits: line.soft_limits.clone(),
        doors: stage.doors.doors().to_vec(),
        socket: line.socket.clone(),
    };
    Ok(Start { line, order, plan, api, addresses })
}

/// Listens on the daemon's addresses for it, and puts the command line in order for that. What cannot be listened on
/// for it is left to the daemon, open from the start.
fn close_doors(
    stage: &mut Stage,
    look: &Look,
    root: &Root,
    places: &Places,
    line: &mut CommandLine,
) -> anyhow::Result<Vec<Address>> {
    let hosts = listen::hosts(root, look.daemon_args(), places, &line.socket).map_err(|error| Misuse(error.to_string()))?;
    let tls = listen::has_tls(root, look.daemon_args());
    let activation = look.profile.launch_socket_activation.value;
    let mut addresses = Vec::new();
    let mut left = Vec::new();
    for host in hosts {
        let closed = match host.split_once("://") {
            Some(("unix", path)) => {
                let group = listen::group(root, places, look.daemon_args()).map_err(Misuse)?;
                let mode = if look.is_rootless() { listen::MODE | listen::STICKY } else { listen::MODE };
                stage.doors.unix(path, group, mode).map_err(|error| Misuse(error.to_string()))?;
                true
            }
            Some(("tcp", address)) if activation == SocketActivation::Tls || !tls => match socket_address(address, tls) {
                Some(socket) => {
                    stage.doors.tcp(&host, socket).map_err(|error| Misuse(error.to_string()))?;
                    true
                }
                None => false,
            },
            _ => false,
        };
        if !closed {
            left.push(host.clone());
        }
        addresses.push(Address { address: host, closed_until_proved: closed });
    }
    listen::hand_over(root, places, line, &left)?;
    Ok(addresses)
}

/// An address that needs no resolver: a literal one, or none, or localhost.
fn socket_address(address: &str, tls: bool) -> Option<SocketAddr> {
    // The ports of the API where none is named (moby opts/hosts.go).
    let default = if tls { 2376 } else { 2375 };
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, port.parse().ok()?),
        _ => (address, default),
    };
    let ip = match host {
        "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        literal => literal.trim_start_matches('[').trim_end_matches(']').parse().ok()?,
    };
    Some(SocketAddr::new(ip, port))
}

/// The certificates in DOCKER_TLS_CERTDIR, if the daemon is to use them.
fn make_certificates(stage: &mut Stage, daemon_args: &[String]) -> anyhow::Result<()> {
    let directory =
        Environment::read().certificates().filter(|directory| defaults::use_certificates(daemon_args, directory));
    let Some(directory) = directory else { return Ok(()) };
    let names = tls::names::all(&env::var("DOCKER_TLS_SAN").unwrap_or_default()).map_err(Misuse)?;
    match tls::ensure(&directory, &names, SystemTime::now()) {
        Ok(tls::Made::Here) => {
            stage.progress.say(&format!("certificates for clients are in {}/client", directory.display()))
        }
        Ok(tls::Made::ByTheUser) => stage.progress.say(&format!("using the certificates in {}", directory.display())),
        Err(error @ tls::TlsError::Unusable { .. }) => return Err(Misuse(error.to_string()).into()),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_listened_on_where_no_name_is_to_be_resolved() {
        for (address, tls, expected) in [
            ("0.0.0.0:2376", true, Some("0.0.0.0:2376")),
            (":2375", false, Some("0.0.0.0:2375")),
            ("localhost:1", false, Some("127.0.0.1:1")),
            ("[::1]:2375", false, Some("[::1]:2375")),
            ("[::]", false, Some("[::]:2375")),
            ("127.0.0.1", true, Some("127.0.0.1:2376")),
            ("docker.example:2375", false, None),
            ("127.0.0.1:x", false, None),
        ] {
            assert_eq!(socket_address(address, tls), expected.map(|text| text.parse().unwrap()), "{address}");
        }
    }
}
