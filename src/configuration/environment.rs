//! The variables that matter to the daemon: those of docker:dind and what they add to its flags (docker-library/docker,
//! dockerd-entrypoint.sh), and those by which images and runners hand options on where no command can be given.

use std::collections::BTreeMap;

use super::flags::{Takes, known};
use super::words::parse_bool;
use super::{ConfigurationError, Defaults, Origin, Setting};
use crate::foreign::Foreign;

/// The directory for certificates; set and empty: no TLS, and an open port.
const CERTIFICATES: &str = "DOCKER_TLS_CERTDIR";
/// The address of the daemon's socket.
const HOST: &str = "DOCKER_HOST";
/// The storage driver (moby daemon/daemon.go).
const DRIVER: &str = "DOCKER_DRIVER";

/// Where containerd keeps its state.
const CONTAINERD_ROOT: &str = "DOCKER_CONTAINERD_ROOT";

/// Flags of the daemon, split as a shell splits words; ours comes last, so that of a flag with one value ours counts.
const DAEMON_ARGS: [&str; 3] = ["DOCKER_OPTS", "DOCKER_DAEMON_ARGS", "DINDCHECK_DAEMON_ARGS"];
/// A pool of addresses for networks, and the length of the prefix of each network in it.
const POOL: [&str; 2] = ["DOCKER_DEFAULT_ADDRESS_POOL_BASE", "DOCKER_DEFAULT_ADDRESS_POOL_SIZE"];
/// Whether the registry may be spoken to without TLS, and its name.
const INSECURE: [&str; 2] = ["PLUGIN_INSECURE", "PLUGIN_REGISTRY"];

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
    /// The others that are set and not empty: whole flags, and values of single ones (`profiles/flags.yaml`).
    pub others: BTreeMap<String, Foreign>,
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
            others: others(variable),
        }
    }

    /// The daemon's arguments that whole variables hold, each with the variable's name.
    ///
    /// # Errors
    /// One that ends within quotes or behind a backslash.
    pub(super) fn daemon_args(&self) -> Result<Vec<(&'static str, Vec<String>)>, ConfigurationError> {
        let given = DAEMON_ARGS.into_iter().filter_map(|name| Some((name, self.others.get(name)?)));
        let split = |(name, text): (&'static str, &Foreign)| match shlex::split(text.raw()) {
            Some(words) => Ok((name, words)),
            None => Err(ConfigurationError {
                verb: "split",
                path: name.to_owned(),
                reason: format!("a quote is not closed in `{}`", text.line()).into(),
            }),
        };
        given.map(split).collect()
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

/// The variables in use elsewhere that are set and not empty.
fn others(variable: impl Fn(&str) -> Option<String>) -> BTreeMap<String, Foreign> {
    let of_flags = known().flags.iter().flat_map(|flag| flag.variables.iter().map(String::as_str));
    let names = of_flags.chain(DAEMON_ARGS).chain(POOL).chain(INSECURE);
    let given = names.filter_map(|name| Some((name.to_owned(), Foreign::from(variable(name)?))));
    given.filter(|(_, value)| !value.raw().trim().is_empty()).collect()
}

/// What the variables in use elsewhere give to single flags; of two for one flag with one value, the first counts.
pub(super) fn in_use(environment: &Environment) -> Vec<Setting> {
    let value = |name: &str| environment.others.get(name).map(|value| value.raw().trim().to_owned());
    let mut settings = Vec::new();
    let mut give = |flag: &str, value: String, variable: &str| {
        let origin = Origin::Variable(variable.to_owned());
        settings.push(Setting { name: flag.to_owned(), value, origin });
    };
    for flag in &known().flags {
        let Some((variable, text)) = flag.variables.iter().find_map(|name| Some((name, value(name)?))) else {
            continue;
        };
        match flag.takes {
            Takes::Many => {
                for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
                    give(&flag.name, one.to_owned(), variable);
                }
            }
            Takes::One | Takes::Nothing => give(&flag.name, text, variable),
        }
    }
    let [base, size] = POOL;
    if let (Some(network), Some(bits)) = (value(base), value(size)) {
        give("default-address-pool", format!("base={network},size={bits}"), base);
    }
    let [insecure, registry] = INSECURE;
    if let Some(name) = value(registry).filter(|_| value(insecure).is_some_and(|text| parse_bool(&text) == Some(true)))
    {
        give("insecure-registry", name, insecure);
    }
    settings
}
