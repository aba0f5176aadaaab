//! The daemon's command line and the socket that it will answer on.

use crate::facts::places::Places;
use crate::facts::storage::flag_values;
use crate::facts::{Fact, FactError, Root};
use crate::profile::Profile;

/// How the daemon is started, and where its API will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program and its arguments: the version's own words, ours, then the user's.
    pub words: Vec<String>,
    /// The unix socket of the API.
    pub socket: String,
    /// Soft limits that are not ours: name (`nofile`, `nproc`), and value or none for unlimited.
    pub soft_limits: Vec<(String, Option<u64>)>,
}

/// Takes the daemon's arguments out of what the user gave: `dockerd …` and `docker daemon …` say which program, and
/// the profile knows that better.
pub fn daemon_args(given: &[String]) -> Vec<String> {
    let words: Vec<&str> = given.iter().map(String::as_str).collect();
    let own = match words.as_slice() {
        ["dockerd", ..] => 1,
        ["docker", "daemon" | "-d", ..] => 2,
        _ => 0,
    };
    given[own..].to_vec()
}

/// Whether what the user gave is for the daemon: nothing, flags, or the daemon's own name.
pub fn is_for_daemon(given: &[String]) -> bool {
    match given {
        [] => true,
        [first, ..] if first.starts_with('-') || first == "dockerd" => true,
        [first, second, ..] => first == "docker" && (second == "daemon" || second == "-d"),
        [_] => false,
    }
}

/// Puts the command line together.
///
/// # Errors
/// As [`socket_path`].
pub fn command_line(root: &Root, profile: &Profile, args: &[String]) -> Fact<CommandLine> {
    let mut words = profile.launch_command.value.clone();
    let socket = match socket(root, args, &Places::of(root))? {
        Socket::AsItIs(path) => path,
        Socket::ToBeAdded(path) => {
            words.extend(["-H".to_owned(), format!("unix://{path}")]);
            path
        }
    };
    words.extend(args.iter().cloned());
    Ok(CommandLine { words, socket, soft_limits: Vec::new() })
}

/// Where a daemon with these arguments answers.
///
/// # Errors
/// A daemon.json that cannot be read, or one that sets hosts without a unix socket: a flag beside it would be refused
/// by the daemon, and without one its API could not be reached.
pub fn socket_path(root: &Root, args: &[String]) -> Fact<String> {
    Ok(match socket(root, args, &Places::of_served(root))? {
        Socket::AsItIs(path) | Socket::ToBeAdded(path) => path,
    })
}

enum Socket {
    AsItIs(String),
    /// The daemon listens on its default, but not once a -H says otherwise.
    ToBeAdded(String),
}

fn socket(root: &Root, args: &[String], places: &Places) -> Fact<Socket> {
    let flags: Vec<String> = ["-H", "--host"].iter().flat_map(|flag| flag_values(args, flag)).collect();
    let configured = configured_hosts(root, &places.daemon_json())?;
    let default = places.socket();
    match flags.iter().chain(&configured).find_map(|host| host.strip_prefix("unix://")) {
        Some(path) => Ok(Socket::AsItIs(path.to_owned())),
        None if !configured.is_empty() => {
            let reason = format!("no unix socket among {}; add unix://{default}", configured.join(", "));
            Err(FactError::new("use the hosts of", places.daemon_json(), reason))
        }
        None if flags.is_empty() => Ok(Socket::AsItIs(default)),
        None => Ok(Socket::ToBeAdded(default)),
    }
}

fn configured_hosts(root: &Root, file: &str) -> Fact<Vec<String>> {
    if !root.exists(file) {
        return Ok(Vec::new());
    }
    let json: serde_json::Value =
        serde_json::from_str(&root.read(file)?).map_err(|error| FactError::new("parse", file, error))?;
    let hosts = json.get("hosts").and_then(|hosts| hosts.as_array()).cloned().unwrap_or_default();
    Ok(hosts.iter().filter_map(|host| host.as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profiles;

    fn line(version: &str, json: Option<&str>, args: &[&str]) -> Fact<CommandLine> {
        let directory = tempfile::tempdir().unwrap();
        if let Some(json) = json {
            std::fs::create_dir_all(directory.path().join("etc/docker")).unwrap();
            std::fs::write(directory.path().join("etc/docker/daemon.json"), json).unwrap();
        }
        let profile = Profiles::load(None).unwrap().resolve(&version.parse().unwrap()).unwrap();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        command_line(&Root::new(directory.path()), &profile, &args)
    }

    #[test]
    fn each_era_has_its_own_words() {
        assert_eq!(line("1.7.1", None, &["-D"]).unwrap().words, ["docker", "-d", "-D"]);
        assert_eq!(line("1.9.1", None, &[]).unwrap().words, ["docker", "daemon"]);
        assert_eq!(line("20.10.24", None, &[]).unwrap().words, ["dockerd"]);
    }

    #[test]
    fn the_socket_is_where_the_user_says() {
        assert_eq!(line("28.5.2", None, &["-H", "unix:///x.sock"]).unwrap().socket, "/x.sock");
        assert_eq!(line("28.5.2", Some(r#"{"hosts": ["unix:///y.sock"]}"#), &[]).unwrap().socket, "/y.sock");
        let tcp = line("28.5.2", None, &["--host=tcp://0.0.0.0:2375"]).unwrap();
        assert_eq!(tcp.words, ["dockerd", "-H", "unix:///var/run/docker.sock", "--host=tcp://0.0.0.0:2375"]);
        assert_eq!(tcp.socket, "/var/run/docker.sock");
    }

    #[test]
    fn hosts_without_a_unix_socket_in_the_configuration_are_refused() {
        let error = line("28.5.2", Some(r#"{"hosts": ["tcp://0.0.0.0:2375"]}"#), &[]).unwrap_err();
        assert!(error.to_string().contains("no unix socket among tcp://0.0.0.0:2375"));
        assert_eq!(line("28.5.2", Some("{"), &[]).unwrap_err().verb, "parse");
    }

    #[test]
    fn the_daemons_name_is_not_an_argument() {
        let given = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(daemon_args(&given(&["dockerd", "-D"])), ["-D"]);
        assert_eq!(daemon_args(&given(&["docker", "daemon", "-D"])), ["-D"]);
        assert_eq!(daemon_args(&given(&["-D"])), ["-D"]);
        assert!(is_for_daemon(&given(&["dockerd"])));
        assert!(is_for_daemon(&[]));
        assert!(!is_for_daemon(&given(&["docker", "ps"])));
        assert!(!is_for_daemon(&given(&["sh"])));
    }
}
