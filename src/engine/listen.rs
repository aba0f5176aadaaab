//! Where the daemon listens, and how it is told to take sockets that are listened on for it.

use std::fs;
use std::io;
use std::path::Path;

use super::command::CommandLine;
use crate::facts::configuration::Configuration;
use crate::facts::places::Places;
use crate::facts::storage::flag_values;
use crate::facts::{Fact, Root};

/// The mode of the daemon's unix socket (docker/go-connections sockets/unix_socket_unix.go).
pub const MODE: u32 = 0o660;
/// Beside it below XDG_RUNTIME_DIR, so that nobody clears it away (moby pkg/homedir).
pub const STICKY: u32 = 0o1000;
/// The group of the socket unless it is named (moby cmd/dockerd/config_unix.go).
const GROUP: &str = "docker";
/// The configuration without what the command line says instead.
const CONFIGURATION: &str = "dindcheck/daemon.json";

/// The daemon's addresses: its flags', its configuration's, or its default.
///
/// # Errors
/// A daemon.json that cannot be read.
pub fn hosts(root: &Root, args: &[String], places: &Places, default: &str) -> Fact<Vec<String>> {
    let mut hosts: Vec<String> = Configuration::read(root, args)?.hosts.into_iter().map(|host| host.address).collect();
    if hosts.is_empty() || !hosts.iter().any(|host| host.starts_with("unix://")) {
        hosts.insert(0, format!("unix://{default}"));
    }
    for host in &mut hosts {
        // Without an address it is the default one (moby opts/hosts.go).
        if host == "unix://" {
            host.push_str(&places.socket());
        }
    }
    hosts.dedup();
    Ok(hosts)
}

/// Whether the TCP addresses are for clients with TLS alone.
pub fn has_tls(root: &Root, args: &[String]) -> bool {
    Configuration::read(root, args).ok().and_then(|configuration| configuration.tls).is_some_and(|tls| tls.on)
}

/// The group that the socket gets; `None`: ours.
///
/// # Errors
/// A group that is asked for, and is not there.
pub fn group(root: &Root, places: &Places, args: &[String]) -> Result<Option<u32>, String> {
    let flags = ["-G", "--group"].into_iter().flat_map(|flag| flag_values(args, flag)).next_back();
    let json: serde_json::Value =
        root.read(&places.daemon_json()).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let named = flags.or_else(|| json["group"].as_str().map(str::to_owned));
    let name = named.as_deref().unwrap_or(GROUP);
    if name.is_empty() {
        return Ok(None);
    }
    let groups = root.read("/etc/group").unwrap_or_default();
    let number = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    match (number.or_else(|| name.parse().ok()), &named) {
        (Some(number), _) => Ok(Some(number)),
        (None, None) => Ok(None),
        (None, Some(named)) => Err(format!("--group {named}: there is no such group in /etc/group")),
    }
}

/// Has the daemon take the sockets that it is handed, and listen by itself where nobody listens for it.
///
/// # Errors
/// The copy of its configuration cannot be written.
pub fn hand_over(root: &Root, places: &Places, line: &mut CommandLine, left: &[String]) -> io::Result<()> {
    let mut words = Vec::new();
    let mut given = line.words.iter();
    while let Some(word) = given.next() {
        match word.as_str() {
            "-H" | "--host" => drop(given.next()),
            other if other.starts_with("--host=") || other.starts_with("-H") => {}
            other => words.push(other.to_owned()),
        }
    }
    // Addresses that are set in a file may not be set by a flag beside it, so the daemon reads a copy without them.
    let file = places.daemon_json();
    let json = root.read(&file).ok().and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    if let Some(mut json) = json.filter(|json| json.get("hosts").is_some()) {
        if let Some(object) = json.as_object_mut() {
            object.remove("hosts");
        }
        let copy = Path::new(places.run()).join(CONFIGURATION);
        if let Some(parent) = copy.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&copy, serde_json::to_vec(&json)?)?;
        words.push(format!("--config-file={}", copy.display()));
    }
    words.extend(["-H".to_owned(), "fd://".to_owned()]);
    words.extend(left.iter().flat_map(|host| ["-H".to_owned(), host.clone()]));
    line.words = words;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = Root::new(directory.path());
        (directory, root)
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn addresses_come_from_flags_from_the_configuration_or_from_nowhere() {
        let places = Places::of_root();
        let (_directory, plain) = root(&[]);
        let default = "/var/run/docker.sock";
        assert_eq!(hosts(&plain, &[], &places, default).unwrap(), ["unix:///var/run/docker.sock"]);
        let args = words(&["-H", "unix://", "--host=tcp://:2375"]);
        assert_eq!(hosts(&plain, &args, &places, default).unwrap(), ["unix:///var/run/docker.sock", "tcp://:2375"]);
        let (_directory, file) = root(&[("etc/docker/daemon.json", r#"{"hosts": ["unix:///x", "tcp://0.0.0.0:1"]}"#)]);
        assert_eq!(hosts(&file, &[], &places, "/x").unwrap(), ["unix:///x", "tcp://0.0.0.0:1"]);
    }

    #[test]
    fn the_group_is_the_one_that_is_asked_for_or_docker_where_there_is_one() {
        let places = Places::of_root();
        let (_directory, with) = root(&[("etc/group", "root:x:0:\ndocker:x:998:\nci:x:7:u\n")]);
        assert_eq!(group(&with, &places, &[]), Ok(Some(998)));
        assert_eq!(group(&with, &places, &words(&["-G", "ci"])), Ok(Some(7)));
        assert_eq!(group(&with, &places, &words(&["--group=12"])), Ok(Some(12)));
        assert_eq!(group(&with, &places, &words(&["--group="])), Ok(None));
        assert!(group(&with, &places, &words(&["--group=no"])).is_err());
        let (_directory, without) = root(&[]);
        assert_eq!(group(&without, &places, &[]), Ok(None));
    }
}
