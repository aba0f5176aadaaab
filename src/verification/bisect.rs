//! Where it breaks: the same container by the runtime alone, by containerd, and (that is known to fail) by the daemon.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use oci_spec::runtime::{ProcessBuilder, RootBuilder, Spec, SpecBuilder};

use super::nest::Nest;
use super::scenario::Refused;
use super::scratch::Scratch;
use super::{STATUS, image, inside};
use crate::fact::Root;
use crate::facts::engine::{find, search_path};
use crate::finding::{Severity, Verdict};
use crate::process;

/// How long one layer may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// The runtime's names: since 17.12 as it is, before as the engine's own.
const RUNTIMES: [&str; 2] = ["runc", "docker-runc"];
/// Where containerd listens: the daemon's own, or one that was there before (moby v20.10.0 cmd/dockerd/daemon_unix.go
/// getContainerdDaemonOpts, and libcontainerd/supervisor/remote_daemon.go).
const SOCKETS: [&str; 2] = ["/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock"];
/// containerd keeps its clients apart by this.
const NAMESPACE: &str = "dindcheck";

/// What one layer made of the container.
enum Layer {
    Ran,
    Failed(String),
    NotTried(&'static str),
}

/// Tries the layers below the daemon, which has failed.
pub(super) async fn prove(nest: &Nest<'_>) {
    let name = nest.name("bisect");
    let scenario = async {
        let tried = tokio::task::spawn_blocking(move || try_layers(&name)).await.map_err(io::Error::other);
        match tried.and_then(|tried| tried) {
            Ok((runtime, containerd)) => Ok((judge(&runtime, &containerd), ())),
            Err(error) => Err(Refused::from(Verdict::unknown(format!("cannot make a bundle: {error}")))),
        }
    };
    nest.ledger.prove("bisect", scenario).await;
}

fn judge(runtime: &Layer, containerd: &Layer) -> Verdict {
    let where_it_breaks = match (runtime, containerd) {
        (Layer::Failed(_), _) => "it breaks in the runtime: a bare bundle does not run either",
        (Layer::Ran, Layer::Failed(_)) => "it breaks in containerd: the runtime alone runs it",
        (Layer::Ran, Layer::Ran) => "it breaks in dockerd: the runtime and containerd run it",
        (Layer::Ran, Layer::NotTried(_)) => "it breaks above the runtime, which alone runs it",
        (Layer::NotTried(_), Layer::Failed(_)) => "it breaks in containerd or below",
        (Layer::NotTried(_), Layer::Ran) => "it breaks in dockerd: containerd runs it",
        (Layer::NotTried(_), Layer::NotTried(_)) => {
            return Verdict::not_applicable("there is nothing below the daemon");
        }
    };
    let said = |layer: &Layer| match layer {
        Layer::Ran => "ran it".to_owned(),
        Layer::Failed(why) => why.clone(),
        Layer::NotTried(why) => format!("not tried: {why}"),
    };
    Verdict::fail(Severity::Warning, where_it_breaks)
        .saw("the runtime alone", said(runtime))
        .saw("containerd", said(containerd))
        .saw("dockerd", "see verification.run")
}

fn try_layers(name: &str) -> io::Result<(Layer, Layer)> {
    let bundle = Bundle::new(name)?;
    Ok((runtime(&bundle, name), containerd(&bundle, name)))
}

fn runtime(bundle: &Bundle, name: &str) -> Layer {
    let Some(program) = program(&RUNTIMES) else { return Layer::NotTried("there is no runc") };
    let state = bundle.path().join("state");
    let runc = || {
        let mut command = Command::new(&program);
        command.arg("--root").arg(&state);
        command
    };
    let mut command = runc();
    command.args(["run", "--bundle"]).arg(bundle.path()).arg(name);
    let layer = ran(command);
    if !matches!(layer, Layer::Ran) {
        let mut command = runc();
        command.args(["delete", "--force", name]);
        drop(ran(command));
    }
    layer
}

fn containerd(bundle: &Bundle, name: &str) -> Layer {
    let Some(program) = program(&["ctr"]) else { return Layer::NotTried("there is no ctr") };
    let Some(socket) = SOCKETS.iter().find(|path| std::os::unix::net::UnixStream::connect(path).is_ok()) else {
        return Layer::NotTried("nothing listens on containerd's socket");
    };
    let ctr = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["--address", socket, "--namespace", NAMESPACE]).args(words);
        command
    };
    let rootfs = bundle.path().join("rootfs");
    let rootfs = rootfs.to_string_lossy();
    let layer = ran(ctr(&["run", "--rm", "--rootfs", &rootfs, name, image::PATH, inside::COMMAND]));
    if !matches!(layer, Layer::Ran) {
        drop(ran(ctr(&["tasks", "kill", "--signal", "9", name])));
        drop(ran(ctr(&["containers", "delete", name])));
    }
    drop(ran(ctr(&["namespaces", "remove", NAMESPACE])));
    layer
}

fn program(names: &[&str]) -> Option<String> {
    let path = search_path();
    names.iter().find_map(|name| find(&Root::new("/"), &path, name))
}

/// Runs a command that should end as our container does.
fn ran(mut command: Command) -> Layer {
    process::clean_signals(&mut command);
    match process::output_until(&mut command, None, Instant::now() + DEADLINE) {
        Ok(output) if output.status.code() == Some(i32::from(STATUS)) => Layer::Ran,
        Ok(output) => Layer::Failed(format!("{}: {}", output.status, output.stderr.text())),
        Err(error) => Layer::Failed(error.to_string()),
    }
}

/// A bundle of the test image (OCI runtime specification, bundle.md).
struct Bundle(Scratch);

impl Bundle {
    fn new(name: &str) -> io::Result<Self> {
        let bundle = Self(Scratch::new(name, &[])?);
        let rootfs = bundle.path().join("rootfs");
        fs::create_dir_all(&rootfs)?;
        tar::Archive::new(image::tar()?.as_slice()).unpack(&rootfs)?;
        Self::spec()?.save(bundle.path().join("config.json")).map_err(io::Error::other)?;
        Ok(bundle)
    }

    fn path(&self) -> &Path {
        &self.0.0
    }

    fn spec() -> io::Result<Spec> {
        let process = ProcessBuilder::default()
            .args([image::PATH, inside::COMMAND].map(str::to_owned))
            .cwd("/")
            .terminal(false)
            .build()
            .map_err(io::Error::other)?;
        let root = RootBuilder::default().path("rootfs").readonly(false).build().map_err(io::Error::other)?;
        SpecBuilder::default().process(process).root(root).build().map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_layer_that_fails_is_named() {
        let failed = || Layer::Failed("x".to_owned());
        assert!(judge(&failed(), &failed()).summary.contains("in the runtime"));
        assert!(judge(&Layer::Ran, &failed()).summary.contains("in containerd"));
        assert!(judge(&Layer::Ran, &Layer::Ran).summary.contains("in dockerd"));
    }
}
