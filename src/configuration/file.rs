//! The daemon's configuration file (moby daemon/config/config.go).

use serde_json::{Map, Value};

use super::flags::{Flag, known};
use super::{ConfigurationError, Origin, Problem, Setting};
use crate::version::EngineVersion;

/// Keys that may be given in both places: what both say is put together (moby: skipDuplicates).
const MERGED: &str = "runtimes";

/// What the file says.
pub(super) struct File {
    pub(super) json: Map<String, Value>,
}

impl File {
    /// Reads the text. One that is empty says nothing; a byte order mark is no part of it.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, ConfigurationError> {
        let error = |reason: String| ConfigurationError { verb: "parse", path: path.to_owned(), reason: reason.into() };
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Ok(Self { json: Map::new() });
        }
        match serde_json::from_str(text).map_err(|reason| error(reason.to_string()))? {
            Value::Object(json) => Ok(Self { json }),
            _ => Err(error("it is no JSON object".to_owned())),
        }
    }

    /// What is set, without headings.
    fn flat(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.json.iter().flat_map(|(key, value)| match value {
            Value::Object(inner) if !known().objects.iter().any(|object| object == key) => {
                inner.iter().map(|(key, value)| (key.as_str(), value)).collect()
            }
            _ => vec![(key.as_str(), value)],
        })
    }

    /// The keys, without headings.
    pub(super) fn keys(&self) -> Vec<String> {
        self.flat().map(|(key, _)| key.to_owned()).collect()
    }

    /// The values.
    pub(super) fn settings(&self, path: &str) -> Vec<Setting> {
        let mut settings = Vec::new();
        for (key, value) in self.flat() {
            let name = known().of_key(key).map_or(key, |flag| &flag.name);
            let origin = Origin::File { path: path.to_owned(), key: key.to_owned() };
            let mut add =
                |value: String| settings.push(Setting { name: name.to_owned(), value, origin: origin.clone() });
            match value {
                Value::Array(values) => values.iter().for_each(|value| add(text(value))),
                // As the flag says it: NAME=VALUE.
                Value::Object(values) => values.iter().for_each(|(name, value)| add(format!("{name}={}", text(value)))),
                Value::Null => {}
                value => add(text(value)),
            }
        }
        settings
    }

    /// What the daemon would refuse (moby: findConfigurationConflicts): keys that it does not know, and keys that stand
    /// for a flag that is given, too.
    pub(super) fn problems(&self, given: &[Setting], version: Option<&EngineVersion>) -> Vec<Problem> {
        let is_given = |name: &str| given.iter().any(|setting| setting.name == name);
        let of_version = |flag: &&Flag| version.is_none_or(|version| flag.is_of(version));
        self.flat()
            .filter_map(|(key, _)| {
                let known = known();
                // A flag's own name is taken for a key as well, though nothing may come of it.
                let flags = [known.of_key(key), known.flag(key)].into_iter().flatten().filter(|flag| of_version(flag));
                let flags: Vec<_> = flags.collect();
                let without_flag = known.keys.iter().any(|own| {
                    own.name == key && version.is_none_or(|version| own.since.release() <= version.release())
                });
                if flags.is_empty() && !without_flag {
                    return Some(Problem::UnknownKey(key.to_owned()));
                }
                let twice = key != MERGED && flags.iter().any(|flag| flag.key() == key && is_given(&flag.name));
                twice.then(|| Problem::Twice(key.to_owned()))
            })
            .collect()
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
