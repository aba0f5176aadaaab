//! A command other than the daemon: run instead of it, with the client's environment set as images' entrypoints do it
//! (docker-library/docker, docker-entrypoint.sh).

use std::convert::Infallible;
use std::env;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::configuration::{Overrides, program_words};
use crate::fact::Root;
use crate::facts::configuration;
use crate::facts::places::{Places, ROOT_SOCKET};
use crate::process;

/// The client knows its subcommands without asking anybody.
const HELP_DEADLINE: Duration = Duration::from_secs(5);

/// The command cannot be run: shells and inits tell the two apart by the exit status.
#[derive(Debug, thiserror::Error)]
#[error("cannot run {program}: {error}")]
pub(super) struct CannotRun {
    program: String,
    error: io::Error,
}

impl CannotRun {
    pub(super) fn new(program: &str, error: io::Error) -> Self {
        Self { program: program.to_owned(), error }
    }

    /// 127: there is no such program; 126: it cannot be run.
    pub(super) fn status(&self) -> u8 {
        if self.error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
    }
}

/// Becomes the command. A subcommand of the docker client is run by the client: `ps` is `docker ps`.
pub(super) fn exec(words: &[String]) -> anyhow::Result<Infallible> {
    let (program, args) = words.split_first().context("there is no command")?;
    let mut command = if is_subcommand_of_docker(program) {
        let mut command = Command::new("docker");
        command.args(words);
        command
    } else {
        let mut command = Command::new(program);
        command.args(args);
        command
    };
    command.envs(client_environment());
    process::clean_signals(&mut command);
    Err(CannotRun::new(program, command.exec()).into())
}

/// Becomes the daemon, which answers and ends: what there is to find, to mend and to prove does not matter to that.
pub(super) fn exec_daemon(given: &[String]) -> anyhow::Result<Infallible> {
    let root = Root::new("/");
    let configuration = configuration::read(&root, &Places::of(&root), given, &[], None);
    let program = match program_words(given) {
        [] => vec!["dockerd".to_owned()],
        words => words.to_vec(),
    };
    // What it would say of a file that cannot be read, it says better.
    let words = match configuration {
        Ok(configuration) => configuration.compose(&program, &Overrides::default())?.words,
        Err(_) => [&program, &given[program_words(given).len()..]].concat(),
    };
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    process::clean_signals(&mut command);
    Err(CannotRun::new(&words[0], command.exec()).into())
}

fn is_subcommand_of_docker(word: &str) -> bool {
    let mut help = Command::new("docker");
    help.args(["help", word]).stdin(Stdio::null());
    process::clean_signals(&mut help);
    // A word with a slash, or one that the client itself is called by, is a program's.
    !word.contains('/')
        && word != "docker"
        && process::output_until(&mut help, None, Instant::now() + HELP_DEADLINE)
            .is_ok_and(|output| output.status.success())
}

/// The address of a socket that is here, else that of the service `docker`, with TLS where there are certificates for
/// it. What is set stays.
fn client_environment() -> Vec<(&'static str, String)> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let certificates = set("DOCKER_TLS_CERTDIR").map(|directory| PathBuf::from(directory).join("client"));
    let certificates = certificates.filter(|directory| {
        let has_content = |name: &&str| directory.join(name).metadata().is_ok_and(|metadata| metadata.len() > 0);
        ["ca.pem", "cert.pem", "key.pem"].iter().all(has_content)
    });
    let mut variables = Vec::new();
    let host = set("DOCKER_HOST").unwrap_or_else(|| {
        let host = local_socket().unwrap_or_else(|| {
            let tls = certificates.is_some() || set("DOCKER_TLS_VERIFY").is_some();
            if tls { "tcp://docker:2376" } else { "tcp://docker:2375" }.to_owned()
        });
        variables.push(("DOCKER_HOST", host.clone()));
        host
    });
    if let Some(directory) = certificates.filter(|_| host.starts_with("tcp:"))
        && set("DOCKER_TLS_VERIFY").is_none()
        && set("DOCKER_CERT_PATH").is_none()
    {
        variables.push(("DOCKER_TLS_VERIFY", "1".to_owned()));
        variables.push(("DOCKER_CERT_PATH", directory.display().to_string()));
    }
    variables
}

fn local_socket() -> Option<String> {
    let is_socket = |path: &str| Path::new(path).metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    let directory = env::var("XDG_RUNTIME_DIR").ok().filter(|directory| !directory.is_empty());
    let directory = directory.unwrap_or_else(|| format!("/run/user/{}", nix::unistd::getuid()));
    [ROOT_SOCKET.to_owned(), format!("{directory}/docker.sock")]
        .into_iter()
        .find(|path| is_socket(path))
        .map(|path| format!("unix://{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_has_another_status_than_one_that_cannot_be_run() {
        for (kind, status) in
            [(io::ErrorKind::NotFound, 127), (io::ErrorKind::PermissionDenied, 126), (io::ErrorKind::InvalidInput, 126)]
        {
            assert_eq!(CannotRun::new("x", kind.into()).status(), status, "{kind:?}");
        }
    }
}
