//! The daemon's API, as far as it is needed here, for engines from 1.7 on.
//!
//! Readiness is an answered version request, never a ping or a header: up to 1.9 the socket answers nothing until the
//! daemon is up, and headers differ by era. Images come by import, which every engine takes.

pub mod container;
pub mod exec;
mod get;
pub mod image;
pub mod info;
mod line;
pub mod network;

use std::future::Future;
use std::io;
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{RemoveContainerOptionsBuilder, StopContainerOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, BollardRequest, ClientVersion, Docker};

use crate::foreign::Foreign;
use crate::version::ApiVersion;
use line::Line;
pub use line::Place;
use serde::Deserialize;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb}: {}", .reason.text())]
pub struct ApiError {
    /// What could not be done.
    pub verb: String,
    /// What the daemon or the connection said.
    pub reason: Foreign,
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
            other => (None, innermost(&other)),
        };
        Self { verb: verb.into(), reason: reason.into(), status }
    }

    /// An answer that is not what was asked for.
    pub(crate) fn odd(verb: impl Into<String>, reason: impl Into<Foreign>) -> Self {
        Self { verb: verb.into(), reason: reason.into(), status: None }
    }
}

/// The cause of an error: what is around it says that a request failed, which is known.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

/// Something in the engine that carries a label of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its id; a volume's name.
    pub id: String,
    /// What it is called.
    pub names: Vec<String>,
    /// The label's value.
    pub label: String,
    /// The id of the image that an image was made from, where the engine keeps it.
    pub parent: Option<String>,
}

/// The part of `GET /version` that is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct About {
    version: Option<String>,
    api_version: Option<ApiVersion>,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: Option<ApiVersion>,
}

impl About {
    /// The newest version that both sides speak. What is asked here has kept its form through all of them, so that a
    /// daemon that wants a newer one than the client knows gets the oldest that it takes.
    fn spoken(&self) -> ApiVersion {
        let part = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        let ours = ApiVersion::new(part(API_DEFAULT_VERSION.major_version), part(API_DEFAULT_VERSION.minor_version));
        let spoken = self.api_version.map_or(ours, |theirs| theirs.min(ours));
        self.min_api_version.map_or(spoken, |least| least.max(spoken))
    }
}

/// A connection to a daemon that has answered.
#[derive(Debug, Clone)]
pub struct Api {
    pub(super) docker: Docker,
    line: Line,
    /// Whether the daemon is a process of our pid namespace.
    pub beside_daemon: bool,
    /// The engine's version, as it says itself.
    pub engine: String,
    /// The API version that both sides speak.
    pub version: String,
    spoken: ApiVersion,
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
        Self::connect_to(Place::Unix(socket.to_owned()), timeout).await
    }

    /// The same, wherever it listens.
    ///
    /// # Errors
    /// No connection, or no answer in time.
    pub async fn connect_to(place: Place, timeout: Duration) -> Result<Self, ApiError> {
        let at = place.to_string();
        let verb = || format!("talk to the daemon at {at}");
        let line = Line { place, timeout };
        let about: About = get::parse(&verb(), line.ask("/version").await)?;
        let spoken = about.spoken();
        let beside_daemon = line.is_beside().await;
        let engine = about.version.unwrap_or_default();
        Self::over(line, engine, spoken, beside_daemon).map_err(|error| ApiError::new(verb(), error))
    }

    /// Whether it still answers: the cheapest question, which runs no program in the daemon.
    ///
    /// # Errors
    /// No connection, or no answer in time.
    pub async fn ping(&self) -> Result<(), ApiError> {
        let asked = self.line.ask("/_ping").await;
        asked.map(drop).map_err(|error| ApiError::new(format!("talk to the daemon at {}", self.line.place), error))
    }

    fn over(line: Line, engine: String, spoken: ApiVersion, beside_daemon: bool) -> Result<Self, Error> {
        let (major, minor) = spoken.parts();
        let version = ClientVersion { major_version: usize::from(major), minor_version: usize::from(minor) };
        let seconds = line.timeout.as_secs().max(1);
        let requests = line.clone();
        let transport = move |request: BollardRequest| {
            let line = requests.clone();
            async move { line.send(request).await }
        };
        let docker = Docker::connect_with_custom_transport(transport, Some("http://docker"), seconds, &version)?;
        Ok(Self { docker, line, beside_daemon, engine, version: spoken.to_string(), spoken })
    }

    /// The same daemon, with another `timeout` for each request.
    ///
    /// # Errors
    /// None that is known: making the client may fail.
    pub fn with_timeout(&self, timeout: Duration) -> Result<Self, ApiError> {
        let line = Line { timeout, ..self.line.clone() };
        Self::over(line, self.engine.clone(), self.spoken, self.beside_daemon)
            .map_err(|error| ApiError::new("talk to the daemon", error))
    }

    /// Whether the API version that both sides speak is older than this one.
    pub(crate) fn speaks_less_than(&self, major: u16, minor: u16) -> bool {
        self.spoken < ApiVersion::new(major, minor)
    }

    /// Removes a container, running or not; gives whether there was one.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn remove_container(&self, container: &str) -> Result<bool, ApiError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.docker.remove_container(container, Some(options)).await {
            Ok(()) => Ok(true),
            Err(error) => match ApiError::new("remove the test container", error) {
                error if error.status == Some(404) => Ok(false),
                error => Err(error),
            },
        }
    }

    /// The running containers: their ids.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn running(&self) -> Result<Vec<String>, ApiError> {
        let listed: Vec<get::Listed> = self.get("list the containers", "/containers/json").await?;
        Ok(listed.into_iter().map(|one| one.id).collect())
    }

    /// Resumes a paused container.
    ///
    /// # Errors
    /// The daemon's error. For a container that is not paused it logs an error, too.
    pub async fn resume(&self, container: &str) -> Result<(), ApiError> {
        let resumed = self.docker.unpause_container(container).await;
        resumed.map_err(|error| ApiError::new(format!("resume container {container}"), error))
    }

    /// Stops a container: its own signal first, SIGKILL after `grace_s` seconds. A paused one hears no signal
    /// ([`Api::resume`]).
    ///
    /// # Errors
    /// The daemon's error; that there is none is no error.
    pub async fn stop(&self, container: &str, grace_s: i32) -> Result<(), ApiError> {
        let options = StopContainerOptionsBuilder::new().t(grace_s).build();
        gone_is_fine(self.docker.stop_container(container, Some(options)).await, &format!("stop container {container}"))
    }
}

fn gone_is_fine(result: Result<(), Error>, verb: &str) -> Result<(), ApiError> {
    match result.map_err(|error| ApiError::new(verb, error)) {
        Err(error) if error.status == Some(404) || error.status == Some(304) => Ok(()),
        other => other,
    }
}
