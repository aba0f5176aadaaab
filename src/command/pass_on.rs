//! A command other than the daemon: run instead of it, with DOCKER_HOST set as images' entrypoints do it.

use std::convert::Infallible;
use std::env;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::engine::command::DEFAULT_SOCKET;

/// Becomes the command. The client's address is that of a socket that is here, else that of the service `docker`,
/// with TLS where there are certificates for it; an address that is set stays.
pub(super) fn exec(words: &[String]) -> anyhow::Result<Infallible> {
    let (program, args) = words.split_first().context("there is no command")?;
    let mut command = Command::new(program);
    command.args(args);
    if env::var_os("DOCKER_HOST").is_none_or(|host| host.is_empty())
        && let Some(host) = host()
    {
        command.env("DOCKER_HOST", host);
    }
    Err(anyhow::Error::from(command.exec()).context(format!("cannot run {program}")))
}

fn host() -> Option<String> {
    let is_socket = |path: &str| Path::new(path).metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket(DEFAULT_SOCKET) {
        // It is the client's own default.
        return None;
    }
    if let Ok(directory) = env::var("XDG_RUNTIME_DIR") {
        let rootless = format!("{directory}/docker.sock");
        if is_socket(&rootless) {
            return Some(format!("unix://{rootless}"));
        }
    }
    let certificates = env::var("DOCKER_TLS_CERTDIR").ok().filter(|directory| !directory.is_empty());
    let tls = certificates.is_some_and(|directory| Path::new(&directory).join("client/ca.pem").exists());
    Some(if tls { "tcp://docker:2376" } else { "tcp://docker:2375" }.to_owned())
}
