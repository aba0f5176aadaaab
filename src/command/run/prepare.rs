//! What the environment asks for, before the daemon is started.

use std::path::Path;
use std::time::SystemTime;
use std::{env, fs};

use anyhow::Context as _;

use super::stage::Stage;
use crate::cli::RunArgs;
use crate::command::Misuse;
use crate::command::look::{Look, own_paths};
use crate::configuration::Configuration;
use crate::engine::command::{self, CommandLine};
use crate::engine::{iptables, tls};
use crate::facts::Root;
use crate::facts::engine::search_path;
use crate::facts::places::{INSIDE_VARIABLE, Places};
use crate::init::teardown::Plan;
use crate::profile::Rootless;
use crate::system;

/// What containerd makes below the daemon's run directory; a killed one leaves them there.
const CONTAINERD_SOCKETS: [&str; 3] = ["containerd.sock", "containerd.sock.ttrpc", "containerd-debug.sock"];

/// A configuration file of ours, below what lives as long as the daemon.
const COPY: &str = "dindcheck/daemon.json";

/// DOCKER_IPTABLES_LEGACY, for us and for the daemon.
pub(super) fn choose_iptables(stage: &mut Stage) {
    let Ok(choice) = env::var("DOCKER_IPTABLES_LEGACY") else { return };
    match iptables::path_for(&choice, &search_path()) {
        Ok(path) => system::set_variable("PATH", &path),
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

/// How the daemon is to be started, with what it needs for that; and what it may leave behind.
pub(super) fn command_line(args: &RunArgs, stage: &mut Stage, look: &Look) -> anyhow::Result<CommandLine> {
    let root = Root::new("/");
    let configuration = look.configuration().map_err(|error| Misuse(error.to_string()))?;
    make_certificates(stage, configuration)?;
    let places = Places::of(&root);
    let copy = format!("{}/{COPY}", places.run());
    let mut line = command::command_line(&look.profile, configuration, &copy)?;
    if let Some(copy) = &line.copy {
        let path = Path::new(&copy.path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, &copy.content));
        written.with_context(|| format!("cannot write {}", copy.path))?;
    }
    if look.is_rootless() && look.profile.launch_rootless.value == Rootless::Experimental {
        line.words.push("--experimental".to_owned());
    }
    line.soft_limits = look.soft_limits().to_vec();
    let data_root = look.facts.storage.as_ref().ok().map(|storage| storage.data_root.as_str());
    let own = |paths: &[String]| own_paths(&root, Some(configuration), paths);
    let sockets = CONTAINERD_SOCKETS.map(|name| format!("/run/docker/containerd/{name}"));
    let mut sockets = own(&sockets);
    sockets.push(line.socket.clone());
    let exec_root = configuration.exec_root().value;
    stage.plan = Plan::new(args.stop_grace, data_root, &exec_root, &own(&look.profile.pidfiles.value), sockets);
    Ok(line)
}

/// The certificates in DOCKER_TLS_CERTDIR, if the daemon is to use them.
fn make_certificates(stage: &mut Stage, configuration: &Configuration) -> anyhow::Result<()> {
    let directory = configuration.certificates.as_ref().filter(|_| configuration.uses_certificates());
    let Some(directory) = directory.map(Path::new) else { return Ok(()) };
    let names = tls::names::all(&env::var("DOCKER_TLS_SAN").unwrap_or_default()).map_err(Misuse)?;
    match tls::ensure(directory, &names, SystemTime::now()) {
        Ok(tls::Made::Here) => {
            stage.progress.say(&format!("certificates for clients are in {}/client", directory.display()))
        }
        Ok(tls::Made::ByTheUser) => stage.progress.say(&format!("using the certificates in {}", directory.display())),
        Err(error @ tls::TlsError::Making(_)) => return Err(error.into()),
        Err(error) => return Err(Misuse(error.to_string()).into()),
    }
    Ok(())
}
