//! Networks and volumes, which came with API 1.21.

use std::collections::HashMap;

use bollard::models::{NetworkConnectRequest, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::RemoveVolumeOptionsBuilder;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::get::Listed;
use super::{Api, ApiError, Made, gone_is_fine};

/// The part of `GET /volumes` that is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Volumes {
    volumes: Option<Vec<Volume>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Volume {
    name: String,
    labels: Option<HashMap<String, String>>,
}

fn made(volume: Volume, label: &str) -> Option<Made> {
    Some(Made { id: volume.name.clone(), names: vec![volume.name], label: volume.labels?.remove(label)?, parent: None })
}

impl Api {
    /// Whether there is a network of this name. Before API 1.21 there is the one, and it has no name.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn has_network(&self, name: &str) -> Result<bool, ApiError> {
        if self.speaks_less_than(1, 21) {
            return Ok(true);
        }
        Ok(self.find::<Listed>("look for a network", &format!("/networks/{name}")).await?.is_some())
    }

    /// Makes a bridge network.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn create_network(&self, name: &str, labels: HashMap<String, String>) -> Result<(), ApiError> {
        let wanted = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(labels),
            ..NetworkCreateRequest::default()
        };
        let made = self.docker.create_network(wanted).await;
        made.map(drop).map_err(|error| ApiError::new("create a network", error))
    }

    /// Joins a container to a network.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn connect_network(&self, network: &str, container: &str) -> Result<(), ApiError> {
        let wanted = NetworkConnectRequest { container: container.to_owned(), endpoint_config: None };
        let joined = self.docker.connect_network(network, wanted).await;
        joined.map_err(|error| ApiError::new("connect the test container to a network", error))
    }

    /// Removes a network.
    ///
    /// # Errors
    /// The daemon's error; that there is none is no error.
    pub async fn remove_network(&self, network: &str) -> Result<(), ApiError> {
        gone_is_fine(self.docker.remove_network(network).await, "remove the test network")
    }

    /// The networks with a label.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn labelled_networks(&self, label: &str) -> Result<Vec<Made>, ApiError> {
        if self.speaks_less_than(1, 21) {
            return Ok(Vec::new());
        }
        let listed: Vec<Listed> = self.get("list the networks", "/networks").await?;
        Ok(listed.into_iter().filter_map(|one| one.made(label)).collect())
    }

    /// Makes a volume.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn create_volume(&self, name: &str, labels: HashMap<String, String>) -> Result<(), ApiError> {
        let wanted =
            VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(labels), ..VolumeCreateRequest::default() };
        let made = self.docker.create_volume(wanted).await;
        made.map(drop).map_err(|error| ApiError::new("create a volume", error))
    }

    /// Whether there is a volume of this name.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn has_volume(&self, name: &str) -> Result<bool, ApiError> {
        Ok(self.find::<IgnoredAny>("look for a volume", &format!("/volumes/{name}")).await?.is_some())
    }

    /// Removes a volume.
    ///
    /// # Errors
    /// The daemon's error; that there is none is no error.
    pub async fn remove_volume(&self, volume: &str) -> Result<(), ApiError> {
        let options = RemoveVolumeOptionsBuilder::new().force(true).build();
        gone_is_fine(self.docker.remove_volume(volume, Some(options)).await, "remove the test volume")
    }

    /// The volumes with a label.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn labelled_volumes(&self, label: &str) -> Result<Vec<Made>, ApiError> {
        // Labels of volumes came with API 1.23 (moby docs/reference/api/docker_remote_api.md, v1.23).
        if self.speaks_less_than(1, 23) {
            return Ok(Vec::new());
        }
        let listed: Volumes = self.get("list the volumes", "/volumes").await?;
        let listed = listed.volumes.unwrap_or_default().into_iter();
        Ok(listed.filter_map(|one| made(one, label)).collect())
    }
}
