//! What the daemon itself says of its configuration, which it is asked for before it is started.

use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::configuration::Configuration;
use super::engine::{find, search_path};
use super::{Fact, FactError, Root};
use crate::configuration::{Overrides, flags};
use crate::probe::beside::{self, Beside};
use crate::process;

/// How long the daemon may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// The flags about TLS.
const TLS: [&str; 5] = ["tls", "tlsverify", "tlscacert", "tlscert", "tlskey"];

/// What is configured, and what came of asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validation {
    /// The command that asks; empty: there was nothing to ask about.
    pub command: String,
    /// The answer.
    pub answer: Answer,
}

/// The daemon's error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Nothing against it, or nothing is configured.
    Accepted,
    /// It would not start; its reason.
    Refused(String),
    /// It cannot validate.
    NotAsked,
}

/// Starts asking; `daemon` are the words that start it, and `can_validate` is whether this version has `--validate`.
pub(super) fn start(
    root: &Root,
    daemon: &[String],
    configuration: &Fact<Configuration>,
    can_validate: bool,
) -> Beside<Validation> {
    let (root, daemon, configuration) = (root.clone(), daemon.to_vec(), configuration.clone());
    beside::start(move || read(&root, &daemon, &configuration?, can_validate))
}

fn read(root: &Root, daemon: &[String], configuration: &Configuration, can_validate: bool) -> Fact<Validation> {
    if !configuration.file.exists && configuration.settings.is_empty() && configuration.problems.is_empty() {
        return Ok(Validation { command: String::new(), answer: Answer::Accepted });
    }
    if !root.is_live() {
        return Err(FactError::new("ask", "the daemon", "this is a captured machine"));
    }
    let path = search_path();
    let name = daemon.first().ok_or_else(|| FactError::new("find", "the daemon", "it has no name"))?;
    let program = find(root, &path, name).ok_or_else(|| FactError::new("find", name, format!("not in {path}")))?;
    // Certificates that are made just before the start are not there yet, and not what is asked about.
    let missing = configuration.tls_files().certificate.is_some_and(|path| !root.exists(path));
    // A copy of the file, where the daemon is to get one, comes from a pipe: looking leaves no trace.
    let without: &[&str] = if missing { &TLS } else { &[] };
    let overrides = Overrides { without, copy: Some("/dev/stdin"), ..Overrides::default() };
    let asking: Vec<String> = daemon.iter().cloned().chain(can_validate.then(|| "--validate".to_owned())).collect();
    let composed =
        configuration.compose(&asking, &overrides).map_err(|error| FactError::new("ask", "the daemon", error))?;
    let words: Vec<String> = composed.words.iter().map(|word| flags::shown(word)).collect();
    let command_line = words.join(" ");
    if !can_validate {
        return Ok(Validation { command: command_line, answer: Answer::NotAsked });
    }
    let copy = composed.copy.map(|copy| copy.content);
    let mut command = Command::new(&program);
    command.args(&composed.words[1..]);
    process::clean_signals(&mut command);
    let output = process::output_until(&mut command, copy.as_deref().map(str::as_bytes), Instant::now() + DEADLINE)
        .map_err(|error| FactError::new("run", command_line.clone(), error))?;
    let answer = if output.status.success() { Answer::Accepted } else { Answer::Refused(reason(&output.stderr)) };
    Ok(Validation { command: command_line, answer })
}

/// The first line without the client library's `Status: `; after an unknown flag the whole help follows.
fn reason(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.trim().strip_prefix("Status: ").unwrap_or(line.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_one_line() {
        assert_eq!(reason("Status: unknown flag: --x\nSee 'dockerd --help'.\n\nUsage"), "unknown flag: --x");
        assert_eq!(reason(""), "");
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in "(\\PC|[\n ,-])*") {
            let _ = reason(&text);
        }
    }
}
