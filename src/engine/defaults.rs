//! What the daemon is told when the user says nothing: the addresses and certificates that clients of docker:dind
//! images count on (docker-library/docker, dockerd-entrypoint.sh), by the same environment variables.

use std::env;
use std::path::{Path, PathBuf};

use super::command::daemon_args;
use crate::facts::Root;
use crate::facts::configuration::Configuration;
use crate::facts::places::Places;
use crate::facts::storage::flag_values;

/// The flags about TLS that a user may have given.
const TLS_FLAGS: [&str; 5] = ["--tls", "--tlsverify", "--tlscacert", "--tlscert", "--tlskey"];

/// The variables that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// DOCKER_TLS_CERTDIR; set and empty means: no TLS, and an open port.
    pub tls_directory: Option<String>,
    /// DOCKER_HOST.
    pub host: Option<String>,
}

impl Environment {
    /// That of this process.
    pub fn read() -> Self {
        Self { tls_directory: env::var("DOCKER_TLS_CERTDIR").ok(), host: env::var("DOCKER_HOST").ok() }
    }

    /// The directory for certificates, if there shall be any.
    pub fn certificates(&self) -> Option<PathBuf> {
        self.tls_directory.as_ref().filter(|directory| !directory.is_empty()).map(PathBuf::from)
    }
}

/// The daemon's arguments: what the user gave, after what they leave open. As in the official image, a command line
/// that begins with `dockerd` is complete as it stands.
pub fn complete(given: &[String], environment: &Environment, root: &Root) -> Vec<String> {
    let args = daemon_args(given);
    if args.len() != given.len() {
        return args;
    }
    // What daemon.json sets must not be said twice: the daemon refuses to start.
    let configured = Configuration::read(root, &[]).unwrap_or_default();
    let hosts: Vec<String> = ["-H", "--host"].iter().flat_map(|flag| flag_values(&args, flag)).collect();
    let mut all = Vec::new();
    if configured.hosts.is_empty() {
        all.extend(
            default_hosts(&hosts, environment, &Places::of(root).socket())
                .into_iter()
                .map(|host| format!("--host={host}")),
        );
    }
    let tcp = all.iter().any(|flag| flag.starts_with("--host=tcp:"));
    let says_tls = configured.tls.is_some()
        || args.iter().any(|arg| TLS_FLAGS.contains(&arg.split('=').next().unwrap_or_default()));
    match environment.certificates() {
        Some(directory)
            if !says_tls && (tcp || configured.hosts.iter().any(|host| host.address.starts_with("tcp:"))) =>
        {
            all.extend(tls_flags(&directory));
        }
        // Said outright, or the daemon sleeps for 15 s to warn of it (network.tcp_without_tls_delay_s).
        None if !says_tls && tcp => all.push("--tls=false".to_owned()),
        _ => {}
    }
    all.extend(args);
    all
}

/// Whether these arguments use the certificates of that directory.
pub fn use_certificates(args: &[String], directory: &Path) -> bool {
    let ours = tls_flags(directory);
    args.iter().any(|arg| *arg == ours[1])
}

fn tls_flags(directory: &Path) -> [String; 4] {
    let file = |name: &str| directory.join("server").join(name).display().to_string();
    [
        "--tlsverify".to_owned(),
        format!("--tlscacert={}", file("ca.pem")),
        format!("--tlscert={}", file("cert.pem")),
        format!("--tlskey={}", file("key.pem")),
    ]
}

/// The addresses that are missing among the user's. Nothing is open that no variable asks for.
fn default_hosts(given: &[String], environment: &Environment, default: &str) -> Vec<String> {
    let has = |kind: &str| given.iter().any(|host| host.starts_with(kind));
    let mut hosts = Vec::new();
    let socket = environment.host.as_ref().filter(|host| host.starts_with("unix://"));
    let tcp = match environment.tls_directory.as_deref() {
        None => None,
        Some("") => Some("tcp://0.0.0.0:2375"),
        Some(_) => Some("tcp://0.0.0.0:2376"),
    }
    .filter(|_| !has("tcp:"));
    // The daemon listens on its default socket by itself unless another address is given.
    if !has("unix:") && (socket.is_some() || tcp.is_some()) {
        hosts.push(socket.cloned().unwrap_or_else(|| format!("unix://{default}")));
    }
    hosts.extend(tcp.map(str::to_owned));
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(tls: Option<&str>, host: Option<&str>, json: Option<&str>, given: &[&str]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        if let Some(json) = json {
            std::fs::create_dir_all(directory.path().join("etc/docker")).unwrap();
            std::fs::write(directory.path().join("etc/docker/daemon.json"), json).unwrap();
        }
        let environment = Environment { tls_directory: tls.map(str::to_owned), host: host.map(str::to_owned) };
        let given: Vec<String> = given.iter().map(|word| (*word).to_owned()).collect();
        complete(&given, &environment, &Root::new(directory.path()))
    }

    const TLS: [&str; 6] = [
        "--host=unix:///var/run/docker.sock",
        "--host=tcp://0.0.0.0:2376",
        "--tlsverify",
        "--tlscacert=/certs/server/ca.pem",
        "--tlscert=/certs/server/cert.pem",
        "--tlskey=/certs/server/key.pem",
    ];

    #[test]
    fn nothing_is_open_unasked() {
        assert!(with(None, None, None, &[]).is_empty());
        assert_eq!(with(None, None, None, &["-D"]), ["-D"]);
    }

    #[test]
    fn a_directory_for_certificates_opens_2376_with_tls() {
        assert_eq!(with(Some("/certs"), None, None, &[]), TLS);
        assert_eq!(with(Some("/certs"), None, None, &["-D"]), [&TLS[..], &["-D"]].concat());
    }

    #[test]
    fn an_empty_one_opens_2375_at_once() {
        let plain = ["--host=unix:///var/run/docker.sock", "--host=tcp://0.0.0.0:2375", "--tls=false"];
        assert_eq!(with(Some(""), None, None, &[]), plain);
        assert_eq!(with(Some(""), None, None, &["--tls=false"]), [&plain[..2], &["--tls=false"]].concat());
    }

    #[test]
    fn the_users_own_addresses_and_certificates_are_not_doubled() {
        // The unix socket that has to be there too is added with the version's own words.
        assert_eq!(with(Some(""), None, None, &["-H", "tcp://127.0.0.1:1"]), ["-H", "tcp://127.0.0.1:1"]);
        assert!(!with(Some("/certs"), None, None, &["--tlscert=/x"]).contains(&"--tlsverify".to_owned()));
        assert!(with(Some("/certs"), None, Some(r#"{"hosts": ["unix:///x"]}"#), &[]).is_empty());
        let json = Some(r#"{"tlsverify": true}"#);
        assert_eq!(with(Some("/certs"), None, json, &[]), TLS[..2]);
    }

    #[test]
    fn a_socket_in_docker_host_is_the_daemons() {
        assert_eq!(with(None, Some("unix:///x.sock"), None, &[]), ["--host=unix:///x.sock"]);
        assert!(with(None, Some("tcp://docker:2376"), None, &[]).is_empty());
    }

    #[test]
    fn a_whole_command_line_is_left_alone() {
        assert_eq!(with(Some("/certs"), None, None, &["dockerd", "-D"]), ["-D"]);
    }
}
