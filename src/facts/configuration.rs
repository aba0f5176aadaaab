//! How the daemon is told to listen: by flags and by daemon.json.

use serde::{Deserialize, Serialize};

use super::places::Places;
use super::storage::flag_values;
use super::{Fact, FactError, Root};

/// One address that the daemon will listen on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The address, with its scheme.
    pub address: String,
    /// The flag or the file that says so.
    pub said_by: String,
}

/// Whether clients have to prove who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Whether there is TLS at all.
    pub on: bool,
    /// Whether only clients with a certificate of the CA get in.
    pub verify: bool,
}

/// What was configured about the API's addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The addresses; empty: the daemon's default, its unix socket.
    pub hosts: Vec<Host>,
    /// About TLS; none: nothing was said.
    pub tls: Option<Tls>,
}

impl Configuration {
    /// Reads the flags and daemon.json.
    ///
    /// # Errors
    /// A daemon.json that cannot be read or is no JSON.
    pub fn read(root: &Root, args: &[String]) -> Fact<Self> {
        let file = Places::of(root).daemon_json();
        let json = if root.exists(&file) {
            serde_json::from_str(&root.read(&file)?).map_err(|error| FactError::new("parse", &file, error))?
        } else {
            serde_json::Value::Null
        };
        let flags = ["-H", "--host"].into_iter().flat_map(|flag| {
            flag_values(args, flag).into_iter().map(move |address| Host { address, said_by: flag.to_owned() })
        });
        let configured =
            json["hosts"].as_array().into_iter().flatten().filter_map(|host| {
                Some(Host { address: host.as_str()?.to_owned(), said_by: format!("{file}: hosts") })
            });
        let setting = |name: &str| switch(args, name).or_else(|| json[name].as_bool());
        let (tls, verify) = (setting("tls"), setting("tlsverify"));
        Ok(Self {
            hosts: flags.chain(configured).collect(),
            tls: (tls.is_some() || verify.is_some())
                .then(|| Tls { on: tls.unwrap_or(false) || verify.unwrap_or(false), verify: verify.unwrap_or(false) }),
        })
    }
}

/// The value of a switch, `--name` or `--name=true`; the last one counts.
pub(super) fn switch(args: &[String], name: &str) -> Option<bool> {
    args.iter().rev().find_map(|arg| match arg.strip_prefix("--")?.strip_prefix(name)? {
        "" => Some(true),
        value => value.strip_prefix('=').map(|value| !["false", "0", "f"].contains(&value.to_lowercase().as_str())),
    })
}
