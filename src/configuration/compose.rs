//! The daemon's command line, composed in one place.

use super::{Configuration, Setting, flags};

/// What is to be otherwise than the user said it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides<'o> {
    /// The addresses, in place of all that were asked for.
    pub hosts: Option<&'o [String]>,
    /// More flags.
    pub added: &'o [String],
    /// Flags to leave out, by their long names.
    pub without: &'o [&'o str],
    /// Where a copy of the configuration file may be put: the user's own is never written to. Without one, what should
    /// go from the file stays in it.
    pub copy: Option<&'o str>,
}

/// How the daemon is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// The file that has to be there before. A daemon that is told to read its configuration again reads it, too, so it
    /// has to be written again before SIGHUP is passed on.
    pub copy: Option<Copy>,
}

/// A copy of the configuration file without what the command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Its path.
    pub path: String,
    /// Its content: JSON.
    pub content: String,
    /// The keys that are in the user's file and not in this one.
    pub without: Vec<String>,
}

/// The content of a configuration file without some keys.
///
/// # Errors
/// It is no JSON object.
pub fn without(content: &str, keys: &[String]) -> Result<String, serde_json::Error> {
    let mut json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(content)?;
    json.retain(|key, _| !keys.contains(key));
    Ok(serde_json::Value::Object(json).to_string())
}

/// There is no command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this configuration comes from a report, where its command line is not kept")]
pub struct ComposeError;

impl Configuration {
    /// Puts the command line together: the program's words, what variables ask for, what the user and mends said, and
    /// what `overrides` says.
    ///
    /// # Errors
    /// A configuration that was read from a report.
    pub fn compose(&self, program: &[String], overrides: &Overrides<'_>) -> Result<Composed, ComposeError> {
        if self.file.exists && self.json.is_none() {
            return Err(ComposeError);
        }
        let mut words = program.to_vec();
        let copy = self.copy(overrides);
        let replaces = |name: &str| {
            name == "host" && overrides.hosts.is_some()
                || name == flags::CONFIG_FILE && copy.is_some()
                || overrides.without.contains(&name)
        };
        words.extend(self.asked.iter().filter(|setting| !replaces(&setting.name)).map(word));
        words.extend(overrides.hosts.unwrap_or_default().iter().map(|host| format!("--host={host}")));
        words.extend(copy.iter().map(|copy| format!("--{}={}", flags::CONFIG_FILE, copy.path)));
        // After `--` there are no flags.
        let (last, groups): (Vec<_>, Vec<_>) = self.words.iter().partition(|group| group.words[0] == "--");
        for group in groups {
            if group.settings.iter().any(|setting| replaces(&setting.name)) {
                words.extend(group.settings.iter().filter(|setting| !replaces(&setting.name)).map(word));
            } else {
                words.extend(group.words.iter().cloned());
            }
        }
        words.extend(overrides.added.iter().cloned());
        words.extend(last.into_iter().flat_map(|group| group.words.iter().cloned()));
        Ok(Composed { words, copy })
    }

    /// The daemon takes nothing from both places: what the command line says has to go from the file.
    fn copy(&self, overrides: &Overrides<'_>) -> Option<Copy> {
        let is_unwanted = |key: &str| match key {
            "hosts" => overrides.hosts.is_some(),
            "tls" => self.asked.iter().any(|setting| setting.name == "tls"),
            _ => false,
        };
        let (json, path) = (self.json.as_ref()?, overrides.copy?);
        let unwanted = json.keys().filter(|key| is_unwanted(key));
        let without: Vec<String> = unwanted.cloned().collect();
        if without.is_empty() {
            return None;
        }
        let mut kept = json.clone();
        kept.retain(|key, _| !without.contains(key));
        Some(Copy { path: path.to_owned(), content: serde_json::Value::Object(kept).to_string(), without })
    }
}

/// A setting as one word.
fn word(setting: &Setting) -> String {
    match setting.value.as_str() {
        "true" if is_switch(&setting.name) => format!("--{}", setting.name),
        value => format!("--{}={value}", setting.name),
    }
}

fn is_switch(name: &str) -> bool {
    flags::known().flag(name).is_some_and(|flag| flag.takes == flags::Takes::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_some_keys_keeps_all_others() {
        let keys = ["hosts", "tls", "none"].map(str::to_owned);
        let content = r#"{"hosts": ["fd://"], "debug": true, "tls": false, "labels": ["hosts"]}"#;
        let kept: serde_json::Value = serde_json::from_str(&without(content, &keys).unwrap()).unwrap();
        assert_eq!(kept, serde_json::json!({ "debug": true, "labels": ["hosts"] }));
        assert!(without("[]", &keys).is_err());
    }
}
