//! Asking what is the case: of each answer a few fields are read.
//!
//! bollard's models have all that an engine may say. That would be 300 kB of this binary, and the whole answer of an old
//! engine is refused for one missing field that nobody here reads. What changes something or streams is bollard's.

use std::collections::HashMap;
use std::time::Duration;

use bollard::errors::Error;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{Api, ApiError, Made};

/// One of a list of containers, images or networks.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) id: String,
    labels: Option<HashMap<String, String>>,
}

impl Listed {
    /// It, if it has a label.
    pub(super) fn made(self, label: &str) -> Option<Made> {
        Some(Made { id: self.id, label: self.labels?.remove(label)? })
    }
}

/// What an engine answers when it refuses.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// Where the daemon listens, and how long it may take.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) socket: String,
    /// For a whole request and its answer.
    pub(super) timeout: Duration,
}

impl Line {
    /// Sends a request on a connection of its own; gives the status and the body.
    async fn ask(&self, path: &str) -> Result<(u16, Bytes), Error> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(path).header(HOST, "docker").body(Empty::<Bytes>::new())?;
        // The connection moves what is said and heard, until the sender is gone.
        let heard = async move {
            let answer = sender.send_request(request).await?;
            let status = answer.status().as_u16();
            Ok((status, answer.into_body().collect().await?.to_bytes()))
        };
        futures_util::future::join(heard, connection).await.0
    }
}

impl Api {
    /// Asks for a document.
    ///
    /// # Errors
    /// What the daemon said; no answer in time; an answer that is something else.
    pub(super) async fn get<T: DeserializeOwned>(&self, verb: &str, path: &str) -> Result<T, ApiError> {
        let body = self.body(verb, path).await?;
        serde_json::from_slice(&body).map_err(|error| ApiError::odd(verb, error.to_string()))
    }

    /// The same for documents one after the other.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub(super) async fn get_all<T: DeserializeOwned>(&self, verb: &str, path: &str) -> Result<Vec<T>, ApiError> {
        let body = self.body(verb, path).await?;
        let documents = serde_json::Deserializer::from_slice(&body).into_iter();
        documents.collect::<Result<_, _>>().map_err(|error| ApiError::odd(verb, error.to_string()))
    }

    async fn body(&self, verb: &str, path: &str) -> Result<Bytes, ApiError> {
        let path = format!("/v{}{path}", self.version);
        let answer = tokio::time::timeout(self.line.timeout, self.line.ask(&path)).await;
        let (status, body) =
            answer.unwrap_or(Err(Error::RequestTimeoutError)).map_err(|error| ApiError::new(verb, error))?;
        if status != 200 {
            let message = serde_json::from_slice::<Refusal>(&body).map(|refusal| refusal.message);
            // Engines up to 1.11 say it as plain text.
            let message = message.unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned());
            return Err(ApiError::new(verb, Error::DockerResponseServerError { status_code: status, message }));
        }
        Ok(body)
    }

    /// The same; none: there is no such thing.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub(super) async fn find<T: DeserializeOwned>(&self, verb: &str, path: &str) -> Result<Option<T>, ApiError> {
        match self.get(verb, path).await {
            Err(error) if error.status == Some(404) => Ok(None),
            other => other.map(Some),
        }
    }
}
