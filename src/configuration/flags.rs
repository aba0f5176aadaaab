//! The daemon's flags, of all versions: data, from `profiles/flags.yaml`.

use std::sync::OnceLock;

use serde::{Deserialize, Serializer};

use crate::version::EngineVersion;

/// The flag that names the configuration file.
pub(super) const CONFIG_FILE: &str = "config-file";
/// The data.
const TEXT: &str = include_str!("../../profiles/flags.yaml");

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Takes {
    /// Nothing: it is a switch.
    Nothing,
    /// A value, of which the last one counts.
    One,
    /// A value each time that it is given.
    Many,
}

/// One flag.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// The long name, without dashes.
    pub name: String,
    /// The short name.
    #[serde(default)]
    pub short: Option<char>,
    /// What it takes.
    pub takes: Takes,
    /// Its name in daemon.json, where that is another.
    #[serde(default)]
    key: Option<String>,
    /// The value that the daemon uses when the flag is not given.
    #[serde(default)]
    pub default: Option<String>,
    /// Whether its value may hold a password or a token.
    #[serde(default)]
    pub secret: bool,
    /// Variables that give its value, by the names in use elsewhere.
    #[serde(default)]
    pub variables: Vec<String>,
    /// The first release with it.
    pub since: EngineVersion,
    /// The first release without it again.
    #[serde(default)]
    pub before: Option<EngineVersion>,
    /// Where it can be seen.
    pub source: String,
}

impl Flag {
    /// Its name in daemon.json.
    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.name)
    }

    /// Whether a version has it.
    pub fn is_of(&self, version: &EngineVersion) -> bool {
        let version = version.release();
        self.since.release() <= version && self.before.as_ref().is_none_or(|before| version < before.release())
    }
}

/// A key of daemon.json without a flag of its name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// The first release that takes it.
    pub since: EngineVersion,
    /// Where it can be seen.
    pub source: String,
}

/// From when on something holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// The first release.
    pub since: EngineVersion,
    /// Where it can be seen.
    pub source: String,
}

/// All that is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The flags.
    pub flags: Vec<Flag>,
    /// The keys without a flag.
    pub keys: Vec<Key>,
    /// The keys whose value is an object of its own; any other object is a heading.
    pub objects: Vec<String>,
    /// From when on `--tls` alone asks clients for a certificate.
    pub tls_verifies: Since,
    /// From when on the feature `containerd-snapshotter` chooses the image store.
    pub containerd_snapshotter: Since,
    /// From when on the feature `embedded-containerd` runs containerd within the daemon.
    pub embedded_containerd: Since,
}

impl Known {
    /// The flag of this long name, without dashes.
    pub fn flag(&self, name: &str) -> Option<&Flag> {
        self.flags.iter().find(|flag| flag.name == name)
    }

    /// The flag of this letter.
    pub fn short(&self, letter: char) -> Option<&Flag> {
        self.flags.iter().find(|flag| flag.short == Some(letter))
    }

    /// The flag that a key of daemon.json stands for.
    pub fn of_key(&self, key: &str) -> Option<&Flag> {
        self.flags.iter().find(|flag| flag.key() == key)
    }
}

/// What is known of the daemon's flags.
pub fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| serde_yaml::from_str(TEXT).expect("it is part of this program, and a test reads it"))
}

/// A value, or a word of a command line, as reports may show it: without the password of a URL, and without what follows the `=` of an option whose
/// name speaks of a secret.
pub fn shown(value: &str) -> String {
    const SECRET: [&str; 5] = ["token", "secret", "password", "passwd", "-key"];
    if let Some((flag, value)) = value.split_once('=').filter(|(flag, _)| flag.starts_with("--")) {
        return format!("{flag}={}", shown(value));
    }
    if let Some((scheme, rest)) = value.split_once("://")
        && let Some((user, host)) = rest.split('/').next().and_then(|authority| authority.rsplit_once('@'))
    {
        let tail = &rest[user.len() + 1 + host.len()..];
        return format!("{scheme}://xxxxx:xxxxx@{host}{tail}");
    }
    match value.split_once('=') {
        Some((name, _)) if SECRET.iter().any(|word| name.to_lowercase().contains(word)) => format!("{name}=xxxxx"),
        _ => value.to_owned(),
    }
}

pub(super) fn without_secrets<S: Serializer>(value: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_sound() {
        let known = known();
        assert!(known.flags.is_sorted_by(|a, b| a.name < b.name));
        for flag in &known.flags {
            assert!(flag.since.is_plain_release(), "{}", flag.name);
            assert!(flag.before.as_ref().is_none_or(|before| before.is_plain_release() && *before > flag.since));
            assert!(flag.source.contains("moby "), "{}", flag.name);
        }
        let letters: std::collections::BTreeSet<char> = known.flags.iter().filter_map(|flag| flag.short).collect();
        assert_eq!(letters.len(), known.flags.iter().filter(|flag| flag.short.is_some()).count());
        assert!(known.keys.iter().all(|key| !key.source.is_empty()) && !known.objects.is_empty());
    }

    #[test]
    fn versions_have_their_own_flags() {
        let has = |name: &str, version: &str| known().flag(name).unwrap().is_of(&version.parse().unwrap());
        for (name, with, without) in [
            ("nri-opts", "29.2.0", "29.1.5"),
            ("default-stop-timeout", "29.7.2", "29.6.0"),
            ("data-root", "17.05.0-ce", "17.04.0-ce"),
            ("graph", "23.0.6", "24.0.0"),
            ("config-file", "1.10.0", "1.9.1"),
            ("exec-driver", "1.9.1", "1.10.0"),
            ("validate", "23.0.0", "20.10.24"),
            ("feature", "27.3.1", "27.2.1"),
        ] {
            assert!(has(name, with) && !has(name, without), "{name}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        for (value, expected) in [
            ("http://user:pw@proxy:1/x", "http://xxxxx:xxxxx@proxy:1/x"),
            ("http://proxy:1", "http://proxy:1"),
            ("splunk-token=abc", "splunk-token=xxxxx"),
            ("--log-opt=splunk-token=abc", "--log-opt=splunk-token=xxxxx"),
            ("--http-proxy=http://user:pw@proxy", "--http-proxy=http://xxxxx:xxxxx@proxy"),
            ("max-size=10m", "max-size=10m"),
            ("unix:///run/x@y", "unix:///run/x@y"),
        ] {
            assert_eq!(shown(value), expected);
        }
    }
}
