//! The daemon's API, as far as it is needed here, for engines from 1.7 on.
//!
//! Readiness is an answered version request, never a ping or a header: up to 1.9 the socket answers nothing until the
//! daemon is up, and headers differ by era. Images come by import, which every engine takes.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerSummary};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, StopContainerOptionsBuilder, WaitContainerOptions,
};
use bytes::Bytes;
use futures_util::TryStreamExt as _;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb}: {reason}")]
pub struct ApiError {
    /// What could not be done.
    pub verb: String,
    /// What the daemon or the connection said.
    pub reason: String,
    /// The HTTP status, where the daemon answered.
    pub status: Option<u16>,
}

impl ApiError {
    pub(super) fn new(verb: impl Into<String>, error: Error) -> Self {
        let (status, reason) = match error {
            Error::DockerResponseServerError { status_code, message } => {
                (Some(status_code), format!("{} (status {status_code})", message.trim()))
            }
            Error::RequestTimeoutError => (None, "no answer in time".to_owned()),
            other => (None, other.to_string()),
        };
        Self { verb: verb.into(), reason, status }
    }
}

/// What a container printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit status.
    pub status: i64,
}

/// A connection to a daemon that has answered.
#[derive(Debug, Clone)]
pub struct Api {
    pub(super) docker: Docker,
    /// The engine's version, as it says itself.
    pub engine: String,
    /// The API version that both sides speak.
    pub version: String,
}

/// Runs API calls to their end on a runtime of this thread alone, which is gone afterwards.
///
/// # Errors
/// What making the runtime gave.
pub fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    Ok(runtime.block_on(future))
}

impl Api {
    /// Connects and asks for the version; `timeout` holds for each request from here on.
    ///
    /// # Errors
    /// No connection, or no answer in time.
    pub async fn connect(socket: &str, timeout: Duration) -> Result<Self, ApiError> {
        let verb = || format!("talk to the daemon at {socket}");
        let docker = Docker::connect_with_unix(socket, timeout.as_secs().max(1), bollard::API_DEFAULT_VERSION)
            .map_err(|error| ApiError::new(verb(), error))?
            .negotiate_version()
            .await
            .map_err(|error| ApiError::new(verb(), error))?;
        let engine = docker.version().await.map_err(|error| ApiError::new(verb(), error))?.version.unwrap_or_default();
        let version = docker.client_version().to_string();
        Ok(Self { docker, engine, version })
    }

    /// The storage driver in use.
    ///
    /// # Errors
    /// What the daemon said.
    pub async fn storage_driver(&self) -> Result<String, ApiError> {
        let info = self.docker.info().await.map_err(|error| ApiError::new("ask for the engine's state", error))?;
        Ok(info.driver.unwrap_or_default())
    }

    /// Makes an image from the tar of a root file system; gives its id.
    ///
    /// # Errors
    /// What the daemon said.
    pub async fn import(&self, repository: &str, tag: &str, tar: Vec<u8>) -> Result<String, ApiError> {
        let options = CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag).build();
        let verb = "import the test image";
        let answers: Vec<_> = self
            .docker
            .create_image(Some(options), Some(bollard::body_full(Bytes::from(tar))), None)
            .try_collect()
            .await
            .map_err(|error| ApiError::new(verb, error))?;
        answers.into_iter().filter_map(|answer| answer.status).next_back().ok_or_else(|| ApiError {
            verb: verb.to_owned(),
            reason: "the daemon gave no id".to_owned(),
            status: None,
        })
    }

    /// Makes a container.
    ///
    /// # Errors
    /// What the daemon said.
    pub async fn create(
        &self,
        name: &str,
        image: &str,
        command: &[&str],
        labels: HashMap<String, String>,
    ) -> Result<String, ApiError> {
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            labels: Some(labels),
            ..ContainerCreateBody::default()
        };
        let created = self
            .docker
            .create_container(Some(options), body)
            .await
            .map_err(|error| ApiError::new("create the test container", error))?;
        Ok(created.id)
    }

    /// Starts a container, waits for its end and reads what it printed.
    ///
    /// # Errors
    /// What the daemon said.
    pub async fn run(&self, container: &str) -> Result<Run, ApiError> {
        self.docker
            .start_container(container, None)
            .await
            .map_err(|error| ApiError::new("start the test container", error))?;
        let waited: Result<Vec<_>, Error> =
            self.docker.wait_container(container, None::<WaitContainerOptions>).try_collect().await;
        let status = match waited {
            Ok(answers) => answers.last().map_or(0, |answer| answer.status_code),
            // The client makes an error of each status that is not 0.
            Err(Error::DockerContainerWaitError { code, .. }) => code,
            Err(error) => return Err(ApiError::new("wait for the test container", error)),
        };
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
        let pieces: Vec<LogOutput> = self
            .docker
            .logs(container, Some(options))
            .try_collect()
            .await
            .map_err(|error| ApiError::new("read the test container's output", error))?;
        let mut run = Run { stdout: String::new(), stderr: String::new(), status };
        for piece in pieces {
            match piece {
                LogOutput::StdOut { message } | LogOutput::Console { message } => {
                    run.stdout.push_str(&String::from_utf8_lossy(&message));
                }
                LogOutput::StdErr { message } => run.stderr.push_str(&String::from_utf8_lossy(&message)),
                LogOutput::StdIn { .. } => {}
            }
        }
        Ok(run)
    }

    /// Removes a container, running or not.
    ///
    /// # Errors
    /// What the daemon said; that there is none is no error.
    pub async fn remove_container(&self, container: &str) -> Result<(), ApiError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        gone_is_fine(self.docker.remove_container(container, Some(options)).await, "remove the test container")
    }

    /// Removes an image.
    ///
    /// # Errors
    /// What the daemon said; that there is none is no error.
    pub async fn remove_image(&self, image: &str) -> Result<(), ApiError> {
        let options = RemoveImageOptionsBuilder::new().force(true).build();
        gone_is_fine(self.docker.remove_image(image, Some(options), None).await.map(drop), "remove the test image")
    }

    /// The containers with a label, running or not: their ids.
    ///
    /// # Errors
    /// What the daemon said.
    pub async fn labelled(&self, label: &str) -> Result<Vec<String>, ApiError> {
        let filters = HashMap::from([("label".to_owned(), vec![label.to_owned()])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        Ok(ids(self.list(options).await?))
    }

    /// The running containers: their ids.
    ///
    /// # Errors
    /// What the daemon said.
    pub async fn running(&self) -> Result<Vec<String>, ApiError> {
        Ok(ids(self.list(ListContainersOptionsBuilder::new().build()).await?))
    }

    async fn list(
        &self,
        options: bollard::query_parameters::ListContainersOptions,
    ) -> Result<Vec<ContainerSummary>, ApiError> {
        self.docker.list_containers(Some(options)).await.map_err(|error| ApiError::new("list the containers", error))
    }

    /// Stops a container: its own signal first, SIGKILL after `grace_s` seconds. A paused one is woken, since a
    /// frozen process hears no signal.
    ///
    /// # Errors
    /// What the daemon said; that there is none is no error.
    pub async fn stop(&self, container: &str, grace_s: i32) -> Result<(), ApiError> {
        let _ = self.docker.unpause_container(container).await;
        let options = StopContainerOptionsBuilder::new().t(grace_s).build();
        gone_is_fine(self.docker.stop_container(container, Some(options)).await, &format!("stop container {container}"))
    }
}

fn ids(containers: Vec<ContainerSummary>) -> Vec<String> {
    containers.into_iter().filter_map(|container| container.id).collect()
}

fn gone_is_fine(result: Result<(), Error>, verb: &str) -> Result<(), ApiError> {
    match result.map_err(|error| ApiError::new(verb, error)) {
        Err(error) if error.status == Some(404) || error.status == Some(304) => Ok(()),
        other => other,
    }
}
