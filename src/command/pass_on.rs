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
/// The client's program.
const CLIENT: &str = "docker";

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
    let mut command = if is_subcommand(program, CLIENT) {
        let mut command = Command::new(CLIENT);
        command.args(words);
        command
    } else {
        let mut command = Command::new(program);
        command.args(args);
        command
    };
    command.envs(client_environment(|name| env::var(name).ok(), ROOT_SOCKET));
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

fn is_subcommand(word: &str, client: &str) -> bool {
    let mut help = Command::new(client);
    help.args(["help", word]).stdin(Stdio::null());
    process::clean_signals(&mut help);
    // A word with a slash, or one that the client itself is called by, is a program's.
    !word.contains('/')
        && word != client
        && process::output_until(&mut help, None, Instant::now() + HELP_DEADLINE)
            .is_ok_and(|output| output.status.success())
}

/// The address of a socket that is here, else that of the service `docker`, with TLS where there are certificates for
/// it. What is set stays. `variable` gives the values of variables.
fn client_environment(variable: impl Fn(&str) -> Option<String>, root_socket: &str) -> Vec<(&'static str, String)> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let certificates = set("DOCKER_TLS_CERTDIR").map(|directory| PathBuf::from(directory).join("client"));
    let certificates = certificates.filter(|directory| {
        let has_content = |name: &&str| directory.join(name).metadata().is_ok_and(|metadata| metadata.len() > 0);
        ["ca.pem", "cert.pem", "key.pem"].iter().all(has_content)
    });
    let mut variables = Vec::new();
    let host = set("DOCKER_HOST").unwrap_or_else(|| {
        let host = local_socket(root_socket, set("XDG_RUNTIME_DIR")).unwrap_or_else(|| {
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

fn local_socket(root_socket: &str, directory: Option<String>) -> Option<String> {
    let is_socket = |path: &str| Path::new(path).metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    let directory = directory.unwrap_or_else(|| format!("/run/user/{}", nix::unistd::getuid()));
    [root_socket.to_owned(), format!("{directory}/docker.sock")]
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

    #[test]
    fn what_the_client_has_help_for_is_its_own_but_for_paths_and_its_name() {
        // `true` has no objection to any word, and `false` to each.
        for (word, client, wanted) in
            [("ps", "true", true), ("ps", "false", false), ("bin/ps", "true", false), ("true", "true", false)]
        {
            assert_eq!(is_subcommand(word, client), wanted, "{client} help {word}");
        }
        assert!(!is_subcommand("ps", "/nonexistent/docker"));
    }

    #[test]
    fn a_client_finds_the_daemon_that_is_here_else_the_service() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let (root, own, none) = (path("root.sock"), path("docker.sock"), path("none.sock"));
        let environment = |root: &str, variables: &[(&str, &str)]| {
            let variable =
                |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.to_string());
            let set = client_environment(variable, root);
            set.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        let runtime = directory.path().display().to_string();
        let user = ("XDG_RUNTIME_DIR", runtime.as_str());
        // A file of that name is no socket.
        std::fs::write(&root, "").unwrap();
        assert_eq!(environment(&root, &[user]), "DOCKER_HOST=tcp://docker:2375");
        let _own = std::os::unix::net::UnixListener::bind(&own).unwrap();
        assert_eq!(environment(&root, &[user]), format!("DOCKER_HOST=unix://{own}"));
        std::fs::remove_file(&root).unwrap();
        let _root = std::os::unix::net::UnixListener::bind(&root).unwrap();
        assert_eq!(environment(&root, &[user, ("DOCKER_HOST", "")]), format!("DOCKER_HOST=unix://{root}"));
        assert_eq!(environment(&root, &[user, ("DOCKER_HOST", "tcp://x:1")]), "");
        // From here on, no socket.
        let empty = path("empty");
        let user = ("XDG_RUNTIME_DIR", empty.as_str());
        for (variables, wanted) in [
            (&[user, ("DOCKER_TLS_VERIFY", "1")][..], "DOCKER_HOST=tcp://docker:2376"),
            (&[user, ("DOCKER_TLS_VERIFY", "")], "DOCKER_HOST=tcp://docker:2375"),
        ] {
            assert_eq!(environment(&none, variables), wanted, "{variables:?}");
        }
    }

    #[test]
    fn certificates_are_for_tcp_alone_once_all_of_them_have_content() {
        let directory = tempfile::tempdir().unwrap();
        let client = directory.path().join("client");
        let (text, shown) = (directory.path().display().to_string(), client.display().to_string());
        std::fs::create_dir(&client).unwrap();
        let environment = |more: &[(&str, &str)]| {
            let given = [("DOCKER_TLS_CERTDIR", text.as_str()), ("XDG_RUNTIME_DIR", text.as_str())];
            let variables = [&given, more].concat();
            let variable =
                |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.to_string());
            let set = client_environment(variable, "/nonexistent.sock");
            set.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        for (name, content) in [("ca.pem", "x"), ("cert.pem", "x"), ("key.pem", "")] {
            assert_eq!(environment(&[]), "DOCKER_HOST=tcp://docker:2375", "without {name}");
            std::fs::write(client.join(name), content).unwrap();
        }
        assert_eq!(environment(&[]), "DOCKER_HOST=tcp://docker:2375", "key.pem is empty");
        std::fs::write(client.join("key.pem"), "x").unwrap();
        let told = format!("DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH={shown}");
        assert_eq!(environment(&[]), format!("DOCKER_HOST=tcp://docker:2376 {told}"));
        assert_eq!(environment(&[("DOCKER_HOST", "tcp://x:1")]), told);
        assert_eq!(environment(&[("DOCKER_HOST", "unix:///x")]), "");
        // What is set stays, and half of it is not completed.
        for set in [("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/x")] {
            assert_eq!(environment(&[("DOCKER_HOST", "tcp://x:1"), set]), "", "{set:?}");
        }
    }
}
