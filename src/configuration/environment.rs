//! The variables of docker:dind, and what they add to the daemon's flags (docker-library/docker, dockerd-entrypoint.sh).

use super::{Defaults, Origin, Setting};

/// The directory for certificates; set and empty: no TLS, and an open port.
const CERTIFICATES: &str = "DOCKER_TLS_CERTDIR";
/// The address of the daemon's socket.
const HOST: &str = "DOCKER_HOST";
/// The storage driver (moby daemon/daemon.go).
const DRIVER: &str = "DOCKER_DRIVER";

/// Where containerd keeps its state.
const CONTAINERD_ROOT: &str = "DOCKER_CONTAINERD_ROOT";

/// The variables that matter to the daemon's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// DOCKER_TLS_CERTDIR; set and empty means: no TLS, and an open port.
    pub tls_directory: Option<String>,
    /// DOCKER_HOST.
    pub host: Option<String>,
    /// DOCKER_DRIVER.
    pub driver: Option<String>,
    /// DOCKER_CONTAINERD_ROOT, for a containerd of the daemon's own (moby daemon/command/daemon.go, from 29.7 on).
    pub containerd_root: Option<String>,
}

impl Environment {
    /// That of this process.
    pub fn read() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    /// That in which `variable` gives the values.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            tls_directory: variable(CERTIFICATES),
            host: variable(HOST),
            driver: variable(DRIVER),
            containerd_root: variable(CONTAINERD_ROOT),
        }
    }

    /// The directory for certificates, if there shall be any.
    pub fn certificates(&self) -> Option<String> {
        self.tls_directory.clone().filter(|directory| !directory.is_empty())
    }
}

/// A file of the server's in the directory for certificates.
pub(super) fn certificate(directory: &str, name: &str) -> String {
    format!("{directory}/server/{name}")
}

/// What the variables ask for. Nothing is open that none of them asks for; and what the configuration file says is not
/// said again, since the daemon refuses that.
pub(super) fn additions(environment: &Environment, defaults: &Defaults, keys: &[String]) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut add = |name: &str, value: String, variable: &str| {
        let origin = Origin::Variable(variable.to_owned());
        settings.push(Setting { name: name.to_owned(), value, origin });
    };
    let is_free = |key: &str| !keys.iter().any(|own| own == key);
    if is_free("hosts") {
        let socket = environment.host.as_ref().filter(|host| host.starts_with("unix://"));
        match (socket, &environment.tls_directory) {
            (Some(host), _) => add("host", host.clone(), HOST),
            (None, Some(_)) => add("host", format!("unix://{}", defaults.socket), CERTIFICATES),
            (None, None) => {}
        }
        match environment.tls_directory.as_deref() {
            Some("") => {
                add("host", "tcp://0.0.0.0:2375".to_owned(), CERTIFICATES);
                // Said outright, or the daemon sleeps for 15 s to warn of it (network.tcp_without_tls_delay_s).
                if is_free("tls") && is_free("tlsverify") {
                    add("tls", "false".to_owned(), CERTIFICATES);
                }
            }
            Some(_) => add("host", "tcp://0.0.0.0:2376".to_owned(), CERTIFICATES),
            None => {}
        }
    }
    if let Some(directory) = environment.certificates() {
        // The daemon takes certificates from flags only where a flag turns TLS on.
        let switch = if is_free("tlsverify") { "tlsverify" } else { "tls" };
        add(switch, "true".to_owned(), CERTIFICATES);
        for (flag, name) in [("tlscacert", "ca.pem"), ("tlscert", "cert.pem"), ("tlskey", "key.pem")] {
            if is_free(flag) {
                add(flag, certificate(&directory, name), CERTIFICATES);
            }
        }
    }
    settings
}

/// What the daemon itself reads, however it is started.
pub(super) fn of_daemon(environment: &Environment) -> Option<Setting> {
    let value = environment.driver.clone().filter(|driver| !driver.is_empty())?;
    Some(Setting { name: "storage-driver".to_owned(), value, origin: Origin::Variable(DRIVER.to_owned()) })
}
