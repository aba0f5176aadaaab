//! Containers: made, started, waited for, read, killed, copied to and from.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount, MountType, PortBinding,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder,
    KillContainerOptionsBuilder, LogsOptionsBuilder, UploadToContainerOptionsBuilder, WaitContainerOptions,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::io::AsyncWriteExt as _;

use super::get::Listed;
use super::{Api, ApiError, Made};
use crate::foreign::Foreign;

/// A container that is wanted. What is not set is left to the daemon.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Its command; `None`: the image's own.
    pub command: Option<Vec<String>>,
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// `SOURCE:TARGET[:OPTIONS]`, as `docker run -v` takes them.
    pub binds: Vec<String>,
    /// A directory that has to be there where the daemon is, and where it is mounted, read-only.
    pub mounts: Vec<(String, String)>,
    /// A directory and the options of a tmpfs on it.
    pub tmpfs: HashMap<String, String>,
    /// A TCP port to publish on a free one.
    pub publish: Option<u16>,
    /// Bytes of memory, swap included.
    pub memory: Option<i64>,
    /// Thousandths of a CPU.
    pub millicpus: Option<i64>,
    /// How many processes and threads.
    pub pids: Option<i64>,
    /// Whether it is privileged.
    pub privileged: bool,
    /// Its network; `None`: the daemon's default one.
    pub network: Option<String>,
    /// Its user, as `docker run --user` takes it; `None` for the image's own.
    pub user: Option<String>,
    /// What is run first; `None` for the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Whether it has a standard input, which [`Api::feed`] writes to before each start.
    pub input: bool,
    /// Whether nothing can be written to its root.
    pub read_only: bool,
    /// Whether the engine puts an init of its own in front.
    pub init: bool,
    /// Whether its cgroup namespace is its own; `None`: the daemon's default.
    pub own_cgroup_namespace: Option<bool>,
    /// Capabilities beyond the usual ones, without the CAP_ in front.
    pub capabilities: Vec<String>,
    /// Whether its users are the host's own, whatever the daemon maps them to.
    pub host_users: bool,
    /// Options of its security, as `--security-opt` takes them.
    pub security: Vec<String>,
}

/// What a container printed and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// Standard output.
    pub stdout: Foreign,
    /// Standard error.
    pub stderr: Foreign,
    /// The exit status.
    pub status: i64,
}

/// How a container is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Its name.
    pub name: Foreign,
    /// Its first process, in the daemon's pid namespace.
    pub pid: Option<i64>,
    /// Whether it runs; one that is paused does, too.
    pub running: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Its exit status.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed something in it for its memory.
    pub oom_killed: bool,
    /// What the daemon says went wrong.
    pub error: Foreign,
    /// The ports of ours that its published port can be reached on.
    pub published: Vec<u16>,
    /// Its global IPv6 addresses.
    pub ipv6: Vec<String>,
    /// Its memory limit as the daemon has it.
    pub memory: Option<i64>,
    /// Its limit of processes as the daemon has it.
    pub pids: Option<i64>,
    /// When the daemon starts it again, in Docker's words.
    pub restart: String,
    /// What ends it, as its image or its user has named it; `None`: SIGTERM.
    pub stop_signal: Option<String>,
}

/// The part of `GET /containers/{id}/json` that is read: what an engine does not know of is missing, and what is empty may
/// be null.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    name: Option<String>,
    image: Option<String>,
    state: Option<InspectedState>,
    network_settings: Option<InspectedNetwork>,
    host_config: Option<InspectedHost>,
    config: Option<InspectedConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedConfig {
    stop_signal: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedState {
    pid: Option<i64>,
    running: Option<bool>,
    paused: Option<bool>,
    exit_code: Option<i64>,
    #[serde(rename = "OOMKilled")]
    oom_killed: Option<bool>,
    error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedNetwork {
    ports: Option<HashMap<String, Option<Vec<InspectedPort>>>>,
    networks: Option<HashMap<String, InspectedEndpoint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedPort {
    host_port: Option<String>,
}

#[derive(Deserialize)]
struct InspectedEndpoint {
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedHost {
    memory: Option<i64>,
    pids_limit: Option<i64>,
    restart_policy: Option<InspectedPolicy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedPolicy {
    name: Option<String>,
}

/// What a container uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPU time, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory, in bytes.
    pub memory: u64,
}

/// The part of `GET /containers/{id}/stats` that is read.
#[derive(Deserialize)]
struct Seen {
    cpu_stats: Option<SeenCpu>,
    memory_stats: Option<SeenMemory>,
}

#[derive(Deserialize)]
struct SeenCpu {
    cpu_usage: Option<SeenUsage>,
}

#[derive(Deserialize)]
struct SeenUsage {
    total_usage: Option<u64>,
}

#[derive(Deserialize)]
struct SeenMemory {
    usage: Option<u64>,
}

/// The part of an event that is read. `status` and `id` are those of before API 1.22, and are gone with 1.52.
#[derive(Deserialize)]
struct Happened {
    status: Option<String>,
    id: Option<String>,
    #[serde(rename = "Action")]
    action: Option<String>,
    #[serde(rename = "Actor")]
    actor: Option<Actor>,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(rename = "ID")]
    id: Option<String>,
}

impl Happened {
    fn is(self, container: &str, what: &str) -> bool {
        self.action.or(self.status).as_deref() == Some(what)
            && self.actor.and_then(|actor| actor.id).or(self.id).as_deref() == Some(container)
    }
}

/// More than this, in bytes, no container of ours prints.
const MAX_FOLLOWED: usize = 32 << 20;

/// What a container prints, as it prints it.
pub struct Follow {
    pieces: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>>>>,
    /// What came so far on standard output.
    pub text: Foreign,
}

/// The writing end of a container's standard input.
#[derive(Debug)]
pub struct Fed(#[expect(dead_code, reason = "kept open")] AttachContainerResults);

impl Api {
    /// Makes a container.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn create(&self, spec: &Spec) -> Result<String, ApiError> {
        let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
        let port = spec.publish.map(|port| format!("{port}/tcp"));
        let binding = PortBinding { host_ip: None, host_port: Some(String::new()) };
        // 100 ms, the kernel's own default period: API versions before 1.25 know no NanoCpus.
        let period = spec.millicpus.map(|_| 100_000);
        let mounts = spec.mounts.iter().map(|(source, target)| Mount {
            typ: Some(MountType::BIND),
            source: Some(source.clone()),
            target: Some(target.clone()),
            read_only: Some(true),
            ..Mount::default()
        });
        let host = HostConfig {
            binds: Some(spec.binds.clone()).filter(|binds| !binds.is_empty()),
            mounts: Some(mounts.collect()).filter(|mounts: &Vec<_>| !mounts.is_empty()),
            tmpfs: Some(spec.tmpfs.clone()).filter(|tmpfs| !tmpfs.is_empty()),
            port_bindings: port.clone().map(|port| HashMap::from([(port, Some(vec![binding]))])),
            memory: spec.memory,
            memory_swap: spec.memory,
            cpu_period: period,
            cpu_quota: spec.millicpus.map(|thousandths| thousandths * 100),
            pids_limit: spec.pids,
            privileged: Some(spec.privileged),
            network_mode: spec.network.clone(),
            readonly_rootfs: spec.read_only.then_some(true),
            init: spec.init.then_some(true),
            userns_mode: spec.host_users.then(|| "host".to_owned()),
            cgroupns_mode: spec.own_cgroup_namespace.map(|own| match own {
                true => HostConfigCgroupnsModeEnum::PRIVATE,
                false => HostConfigCgroupnsModeEnum::HOST,
            }),
            cap_add: Some(spec.capabilities.clone()).filter(|names| !names.is_empty()),
            security_opt: Some(spec.security.clone()).filter(|options| !options.is_empty()),
            // The daemon's default may be a driver that nothing can be read back from.
            log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: None }),
            ..HostConfig::default()
        };
        let body = ContainerCreateBody {
            image: Some(spec.image.clone()),
            cmd: spec.command.clone(),
            user: spec.user.clone(),
            entrypoint: spec.entrypoint.clone(),
            labels: Some(spec.labels.clone()),
            attach_stdin: spec.input.then_some(true),
            open_stdin: spec.input.then_some(true),
            stdin_once: spec.input.then_some(true),
            exposed_ports: port.map(|port| vec![port]),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        let created = self
            .docker
            .create_container(Some(options), body)
            .await
            .map_err(|error| ApiError::new("create the test container", error))?;
        Ok(created.id)
    }

    /// Starts a container.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn start(&self, container: &str) -> Result<(), ApiError> {
        let started = self.docker.start_container(container, None).await;
        started.map_err(|error| ApiError::new("start the test container", error))
    }

    /// Writes to the standard input of a container that is going to be started. The container has it as long as what is
    /// given back is kept.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn feed(&self, container: &str, input: &[u8]) -> Result<Fed, ApiError> {
        let verb = "write to the container's standard input";
        let options = AttachContainerOptionsBuilder::new().stdin(true).stream(true).build();
        let attached = self.docker.attach_container(container, Some(options)).await;
        let mut attached = attached.map_err(|error| ApiError::new(verb, error))?;
        let written = attached.input.write_all(input).await;
        written.map_err(|error| ApiError::odd(verb, error.to_string()))?;
        // The engine copies it once the container runs.
        let flushed = attached.input.flush().await;
        flushed.map_err(|error| ApiError::odd(verb, error.to_string()))?;
        Ok(Fed(attached))
    }

    /// Waits for a container's end; gives its exit status.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn wait(&self, container: &str) -> Result<i64, ApiError> {
        let waited: Result<Vec<_>, Error> =
            self.docker.wait_container(container, None::<WaitContainerOptions>).try_collect().await;
        match waited {
            Ok(answers) => Ok(answers.last().map_or(0, |answer| answer.status_code)),
            // The client makes an error of each status that is not 0.
            Err(Error::DockerContainerWaitError { code, .. }) => Ok(code),
            Err(error) => Err(ApiError::new("wait for the test container", error)),
        }
    }

    /// What a container printed: all of it, or its last lines.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn logs(&self, container: &str, tail: Option<u32>) -> Result<Run, ApiError> {
        let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&tail).build();
        let pieces: Vec<LogOutput> = self
            .docker
            .logs(container, Some(options))
            .try_collect()
            .await
            .map_err(|error| ApiError::new("read the test container's output", error))?;
        Ok(spread(&pieces))
    }

    /// Follows what a container prints on standard output, from its beginning.
    pub fn follow(&self, container: &str) -> Follow {
        let options = LogsOptionsBuilder::new().stdout(true).follow(true).build();
        // The stream borrows what it is made with, so that it gets a connection and a name of its own.
        let (docker, container) = (self.docker.clone(), container.to_owned());
        Follow { pieces: Box::pin(docker.logs(&container, Some(options))), text: Foreign::default() }
    }

    /// How a container is.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn state(&self, container: &str) -> Result<State, ApiError> {
        let seen: Inspected = self.get("inspect the test container", &format!("/containers/{container}/json")).await?;
        let state = seen.state.unwrap_or_default();
        let network = seen.network_settings.unwrap_or_default();
        let host = seen.host_config.unwrap_or_default();
        let bindings = network.ports.unwrap_or_default().into_values().flatten().flatten();
        let mut published: Vec<u16> = bindings.filter_map(|binding| binding.host_port?.parse().ok()).collect();
        published.sort_unstable();
        published.dedup();
        let endpoints = network.networks.unwrap_or_default();
        Ok(State {
            name: seen.name.unwrap_or_default().trim_start_matches('/').into(),
            pid: state.pid.filter(|pid| *pid > 0),
            running: state.running.unwrap_or(false),
            paused: state.paused.unwrap_or(false),
            exit_code: state.exit_code,
            oom_killed: state.oom_killed.unwrap_or(false),
            error: state.error.unwrap_or_default().into(),
            published,
            ipv6: endpoints
                .into_values()
                .filter_map(|endpoint| endpoint.global_ipv6_address.filter(|address| !address.is_empty()))
                .collect(),
            memory: host.memory,
            pids: host.pids_limit,
            restart: host.restart_policy.and_then(|policy| policy.name).unwrap_or_default(),
            stop_signal: seen.config.and_then(|config| config.stop_signal),
        })
    }

    /// Whether there is a container of this id or name.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn has_container(&self, container: &str) -> Result<bool, ApiError> {
        let path = format!("/containers/{container}/json");
        Ok(self.find::<IgnoredAny>("look for a container", &path).await?.is_some())
    }

    /// What a running container uses, as the daemon sees it.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn stats(&self, container: &str) -> Result<Stats, ApiError> {
        let path = format!("/containers/{container}/stats?stream=false&one-shot=true");
        let seen: Seen = self.get("ask what the test container uses", &path).await?;
        let cpu = seen.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage);
        let memory = seen.memory_stats.and_then(|memory| memory.usage);
        Ok(Stats { cpu_ns: cpu.unwrap_or(0), memory: memory.unwrap_or(0) })
    }

    /// Whether the daemon has reported since `since` (seconds since 1970) that a container ran out of memory. Waits until
    /// the second is over.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn reported_oom(&self, container: &str, since: u64) -> Result<bool, ApiError> {
        let until = SystemTime::now().duration_since(UNIX_EPOCH).map_or(since, |now| now.as_secs()) + 1;
        let path = format!("/events?since={since}&until={until}");
        let events: Vec<Happened> = self.get_all("read the daemon's events", &path).await?;
        Ok(events.into_iter().any(|event| event.is(container, "oom")))
    }

    /// Sends a signal to a container's first process.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn kill(&self, container: &str, signal: &str) -> Result<(), ApiError> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        let killed = self.docker.kill_container(container, Some(options)).await;
        killed.map_err(|error| ApiError::new(format!("send SIG{signal} to the test container"), error))
    }

    /// Unpacks a tar in a directory of a container.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn upload(&self, container: &str, directory: &str, tar: Vec<u8>) -> Result<(), ApiError> {
        let options = UploadToContainerOptionsBuilder::new().path(directory).build();
        let body = bollard::body_full(Bytes::from(tar));
        let done = self.docker.upload_to_container(container, Some(options), body).await;
        done.map_err(|error| ApiError::new("copy a file into the test container", error))
    }

    /// A path of a container as a tar.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn download(&self, container: &str, path: &str) -> Result<Vec<u8>, ApiError> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let pieces: Vec<Bytes> = self
            .docker
            .download_from_container(container, Some(options))
            .try_collect()
            .await
            .map_err(|error| ApiError::new("copy a file out of the test container", error))?;
        Ok(pieces.concat())
    }

    /// The root file system of a container as a tar, as it comes.
    pub fn export(&self, container: &str) -> impl Stream<Item = Result<Bytes, ApiError>> {
        let pieces = self.docker.export_container(container);
        pieces.map_err(|error| ApiError::new("read the root file system of the container", error))
    }

    /// The containers with a label, running or not.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn labelled_containers(&self, label: &str) -> Result<Vec<Made>, ApiError> {
        let listed: Vec<Listed> = self.get("list the containers", "/containers/json?all=true").await?;
        Ok(listed.into_iter().filter_map(|one| one.made(label)).collect())
    }
}

impl Api {
    /// The image of a container, with its value of a label; `None` if it has no such label, or is gone.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn image_of(&self, container: &str, label: &str) -> Result<Option<Made>, ApiError> {
        let path = format!("/containers/{container}/json");
        let seen: Option<Inspected> = self.find("inspect a container", &path).await?;
        match seen.and_then(|seen| seen.image).filter(|image| !image.is_empty()) {
            Some(image) => self.labelled_image(&image, label).await,
            None => Ok(None),
        }
    }
}

impl Follow {
    /// Waits until a line of standard output is this one.
    ///
    /// # Errors
    /// The daemon's error, or that the output ended first.
    pub async fn line(&mut self, wanted: &str) -> Result<(), ApiError> {
        self.until(&format!("`{wanted}`"), |text| text.lines().any(|line| line == wanted).then_some(())).await
    }

    /// Waits until what came so far gives something; `what` names it.
    ///
    /// # Errors
    /// The daemon's error, or that the output ended first.
    pub async fn until<T>(&mut self, what: &str, given: impl Fn(&str) -> Option<T>) -> Result<T, ApiError> {
        loop {
            if let Some(given) = given(self.text.raw()) {
                return Ok(given);
            }
            let verb = || format!("see {what} in the test container's output");
            match self.pieces.next().await {
                Some(Ok(_)) if self.text.raw().len() > MAX_FOLLOWED => {
                    return Err(ApiError::odd(verb(), "too much was printed"));
                }
                Some(Ok(piece)) => self.text.push(&spread(&[piece]).stdout),
                Some(Err(error)) => return Err(ApiError::new(verb(), error)),
                None => return Err(ApiError::odd(verb(), format!("it ended with `{}`", self.text.text()))),
            }
        }
    }
}

/// Spreads pieces of output over the two streams.
pub(super) fn spread(pieces: &[LogOutput]) -> Run {
    let (mut stdout, mut stderr) = (String::new(), String::new());
    for piece in pieces {
        match piece {
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                stdout.push_str(&String::from_utf8_lossy(message));
            }
            LogOutput::StdErr { message } => stderr.push_str(&String::from_utf8_lossy(message)),
            LogOutput::StdIn { .. } => {}
        }
    }
    Run { stdout: stdout.into(), stderr: stderr.into(), status: 0 }
}
