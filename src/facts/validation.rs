//! What the daemon itself says of its configuration, which it is asked for before it is started.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::engine::{find, search_path};
use super::places::Places;
use super::storage::flag_value;
use super::{Fact, FactError, Root};
use crate::probe::beside::{self, Beside};
use crate::process;

/// How long the daemon may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// What is configured, and what came of asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validation {
    /// The keys at the top of daemon.json.
    pub keys: Vec<String>,
    /// The daemon's arguments.
    pub arguments: Vec<String>,
    /// The command that was run; empty: there was nothing to ask about.
    pub command: String,
    /// The answer.
    pub answer: Answer,
}

/// What the daemon said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Nothing against it, or nothing is configured.
    Accepted,
    /// It would not start; its reason.
    Refused(String),
    /// It cannot validate: the long flags that it knows, without their dashes.
    Knows(Vec<String>),
}

/// Starts asking; `daemon` are the words that start it, and `can_validate` is whether this version has `--validate`.
pub(super) fn start(root: &Root, daemon: &[String], arguments: &[String], can_validate: bool) -> Beside<Validation> {
    let (root, daemon, arguments) = (root.clone(), daemon.to_vec(), arguments.to_vec());
    beside::start(move || read(&root, &daemon, arguments, can_validate))
}

fn read(root: &Root, daemon: &[String], arguments: Vec<String>, can_validate: bool) -> Fact<Validation> {
    let mut keys = Vec::new();
    let file = Places::of(root).daemon_json();
    let configured = root.exists(&file);
    if configured {
        let json: serde_json::Value =
            serde_json::from_str(&root.read(&file)?).map_err(|error| FactError::new("parse", &file, error))?;
        keys.extend(json.as_object().into_iter().flatten().map(|(key, _)| key.clone()));
    }
    if !configured && arguments.is_empty() {
        return Ok(Validation { keys, arguments, command: String::new(), answer: Answer::Accepted });
    }
    if !root.is_live() {
        return Err(FactError::new("ask", "the daemon", "this is a captured machine"));
    }
    let path = search_path();
    let (name, words) = daemon.split_first().ok_or_else(|| FactError::new("find", "the daemon", "it has no name"))?;
    let program = find(root, &path, name).ok_or_else(|| FactError::new("find", name, format!("not in {path}")))?;
    let mut words = words.to_vec();
    words.push(if can_validate { "--validate" } else { "--help" }.to_owned());
    if can_validate {
        words.extend(without_missing_certificates(root, &arguments));
    }
    let mut command = Command::new(&program);
    command.args(&words).stdin(Stdio::null());
    process::clean_signals(&mut command);
    let command_line = format!("{name} {}", words.join(" "));
    let output = process::output_until(&mut command, None, Instant::now() + DEADLINE)
        .map_err(|error| FactError::new("run", command_line.clone(), error))?;
    let answer = if !can_validate {
        Answer::Knows(parse_help(&output.stdout))
    } else if output.status.success() {
        Answer::Accepted
    } else {
        Answer::Refused(reason(&output.stderr))
    };
    Ok(Validation { keys, arguments, command: command_line, answer })
}

/// Certificates that are made just before the start are not there yet, and not what is asked about.
fn without_missing_certificates(root: &Root, arguments: &[String]) -> Vec<String> {
    let missing = flag_value(arguments, "--tlscert").is_some_and(|path| !root.exists(&path));
    arguments.iter().filter(|argument| !(missing && argument.starts_with("--tls"))).cloned().collect()
}

/// The first line without the client library's `Status: `; after an unknown flag the whole help follows.
fn reason(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.trim().strip_prefix("Status: ").unwrap_or(line.trim()).to_owned()
}

/// The long flags of `dockerd --help`: one a line, after its short form if it has one.
fn parse_help(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim_start();
            let long = line.split_once(", --").filter(|(short, _)| short.len() == 2).map(|(_, long)| long);
            let long = long.or_else(|| line.strip_prefix("--"))?;
            long.split_whitespace().next().map(str::to_owned)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_from_the_help() {
        let text = "Options:\n      --add-runtime runtime   Register an additional OCI\n                      compatible runtime\n  -b, --bridge string   Attach\n      --ipv6       Enable, --not-this\n";
        assert_eq!(parse_help(text), ["add-runtime", "bridge", "ipv6"]);
    }

    #[test]
    fn the_reason_is_one_line() {
        assert_eq!(reason("Status: unknown flag: --x\nSee 'dockerd --help'.\n\nUsage"), "unknown flag: --x");
        assert_eq!(reason(""), "");
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in "(\\PC|[\n ,-])*") {
            let _ = (parse_help(&text), reason(&text));
        }
    }
}
