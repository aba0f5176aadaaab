//! The client beside the engine, and the API that it speaks.

use std::env;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::engine::{find, search_path};
use super::{Fact, FactError, Root};
use crate::probe::background::{self, Background};
use crate::process;
use crate::version::ApiVersion;

/// How long the client may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// What it prints.
const FORMAT: &str = "{{.Client.APIVersion}}";

/// The client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The newest API version that it speaks, or the one that DOCKER_API_VERSION holds it to; `None` if it was not asked.
    pub api: Option<ApiVersion>,
    /// DOCKER_API_VERSION.
    pub held_to: Option<String>,
    /// DOCKER_MIN_API_VERSION, by which the daemon takes older ones.
    pub daemon_takes: Option<ApiVersion>,
}

/// Starts asking. A client of every daemon's age need not be asked, unless a variable holds it to something else.
pub(super) fn start(root: &Root, needed: bool) -> Background<Client> {
    let root = root.clone();
    background::start(move || read(&root, needed))
}

fn read(root: &Root, needed: bool) -> Fact<Client> {
    let variable = |name: &str| env::var(name).ok().filter(|value| root.is_live() && !value.is_empty());
    let held_to = variable("DOCKER_API_VERSION");
    let daemon_takes = variable("DOCKER_MIN_API_VERSION").and_then(|value| value.parse().ok());
    if !needed && held_to.is_none() {
        return Ok(Client { api: None, held_to, daemon_takes });
    }
    if !root.is_live() {
        return Err(FactError::new("ask", "the client", "this is a captured machine"));
    }
    let path = search_path();
    let program =
        find(root, &path, "docker").ok_or_else(|| FactError::new("find", "docker", format!("not in {path}")))?;
    Ok(Client { api: Some(ask(&program)?), held_to, daemon_takes })
}

/// Asks a client.
fn ask(program: &str) -> Fact<ApiVersion> {
    let mut command = Command::new(program);
    // It says this of itself before it asks the daemon, which shall not be waited for.
    command.args(["version", "--format", FORMAT]).env("DOCKER_HOST", "unix:///dev/null").stdin(Stdio::null());
    process::clean_signals(&mut command);
    let output = process::output_until(&mut command, None, Instant::now() + DEADLINE)
        .map_err(|error| FactError::new("run", "docker version", error))?;
    let word = output.stdout.raw().trim();
    word.parse().map_err(|_| FactError::new("find the API in the output of", "docker version", word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_asked_for_its_own_api_and_nothing_else() {
        let unread = |word: &str| Err(FactError::new("find the API in the output of", "docker version", word));
        assert_eq!(ask("echo"), unread("version --format {{.Client.APIVersion}}"));
        assert_eq!(ask("true"), unread(""));
        assert_eq!(ask("/nonexistent").unwrap_err().verb, "run");
    }

    #[test]
    fn a_client_of_a_captured_machine_is_not_asked() {
        let captured = Root::new("/captured");
        assert_eq!(read(&captured, false), Ok(Client { api: None, held_to: None, daemon_takes: None }));
        assert_eq!(read(&captured, true), Err(FactError::new("ask", "the client", "this is a captured machine")));
    }
}
