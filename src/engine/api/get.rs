//! Asking what is the case: of each answer a few fields are read.
//!
//! bollard's models have all that an engine may say. That would be 300 kB of this binary, and the whole answer of an old
//! engine is refused for one missing field that no one here reads. What changes something or streams is bollard's.

use std::collections::HashMap;

use bollard::errors::Error;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Api, ApiError, Made};

/// One of a list of containers, images or networks.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) id: String,
    labels: Option<HashMap<String, String>>,
    /// A container's, each with a slash in front.
    names: Option<Vec<String>>,
    /// A network's.
    name: Option<String>,
    /// An image's; that it has none is written `<none>:<none>` (moby up to 23.0, image/list.go).
    repo_tags: Option<Vec<String>>,
    /// An image's; empty if it has none.
    parent_id: Option<String>,
}

impl Listed {
    /// It, if it has a label.
    pub(super) fn made(mut self, label: &str) -> Option<Made> {
        let label = self.labels.as_mut()?.remove(label)?;
        Some(Made { label, ..self.unlabelled() })
    }

    /// It, whatever labels it has.
    pub(super) fn unlabelled(self) -> Made {
        let names = self.names.unwrap_or_default().into_iter().map(|name| name.trim_start_matches('/').to_owned());
        let tags = self.repo_tags.unwrap_or_default().into_iter().filter(|tag| tag != "<none>:<none>");
        let names = names.chain(self.name).chain(tags).collect();
        let parent = self.parent_id.filter(|parent| !parent.is_empty());
        Made { id: self.id, names, label: String::new(), parent }
    }
}

/// What an engine answers when it refuses.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Api {
    /// Asks for a document.
    ///
    /// # Errors
    /// The daemon's error; no answer in time; an answer that is something else.
    pub(super) async fn get<T: DeserializeOwned>(&self, verb: &str, path: &str) -> Result<T, ApiError> {
        parse(verb, self.line.ask(&self.versioned(path)).await)
    }

    /// The same for documents one after the other.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub(super) async fn get_all<T: DeserializeOwned>(&self, verb: &str, path: &str) -> Result<Vec<T>, ApiError> {
        let body = answered(verb, self.line.ask(&self.versioned(path)).await)?;
        let documents = serde_json::Deserializer::from_slice(&body).into_iter();
        documents.collect::<Result<_, _>>().map_err(|error| ApiError::odd(verb, error.to_string()))
    }

    fn versioned(&self, path: &str) -> String {
        format!("/v{}{path}", self.version)
    }

    /// The same; `None` if there is no such thing.
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

/// The body of an answer that is no refusal.
fn answered(verb: &str, asked: Result<(u16, Bytes), Error>) -> Result<Bytes, ApiError> {
    let (status, body) = asked.map_err(|error| ApiError::new(verb, error))?;
    if status == 200 {
        return Ok(body);
    }
    let message = serde_json::from_slice::<Refusal>(&body).map(|refusal| refusal.message);
    // Engines up to 1.11 say it as plain text.
    let message = message.unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned());
    Err(ApiError::new(verb, Error::DockerResponseServerError { status_code: status, message }))
}

/// The document of an answer.
pub(super) fn parse<T: DeserializeOwned>(verb: &str, asked: Result<(u16, Bytes), Error>) -> Result<T, ApiError> {
    serde_json::from_slice(&answered(verb, asked)?).map_err(|error| ApiError::odd(verb, error.to_string()))
}
