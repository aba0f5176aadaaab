//! Images: imported, committed, built, removed.

use std::collections::HashMap;

use bollard::models::ContainerConfig;
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CommitContainerOptionsBuilder, CreateImageOptionsBuilder, ListImagesOptionsBuilder,
    RemoveImageOptionsBuilder,
};
use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::{Api, ApiError, Made, gone_is_fine};

impl Api {
    /// Makes an image with a label from the tar of a root file system; gives its id.
    ///
    /// # Errors
    /// What the daemon said.
    pub async fn import(
        &self,
        repository: &str,
        tag: &str,
        (label, value): (&str, &str),
        tar: Vec<u8>,
    ) -> Result<String, ApiError> {
        // Engines that cannot change what they import take no notice of it.
        let changes = vec![format!("LABEL {label}=\"{value}\"")];
        let options = CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag).changes(changes).build();
        let verb = "import the test image";
        let answers: Vec<_> = self
            .docker
            .create_image(Some(options), Some(bollard::body_full(Bytes::from(tar))), None)
            .try_collect()
            .await
            .map_err(|error| ApiError::new(verb, error))?;
        answers
            .into_iter()
            .filter_map(|answer| answer.status)
            .next_back()
            .ok_or_else(|| ApiError::odd(verb, "the daemon gave no id"))
    }

    /// Makes an image of a container as it is, which is not paused meanwhile; gives its id.
    ///
    /// # Errors
    /// What the daemon said.
    pub async fn commit(&self, container: &str, labels: HashMap<String, String>) -> Result<String, ApiError> {
        let options = CommitContainerOptionsBuilder::new().container(container).pause(false).build();
        let config = ContainerConfig { labels: Some(labels), ..ContainerConfig::default() };
        let made = self.docker.commit_container(options, config).await;
        Ok(made.map_err(|error| ApiError::new("commit the test container", error))?.id)
    }

    /// Builds an image from a tar with a Dockerfile, without a network; gives what the builder said.
    ///
    /// # Errors
    /// What the daemon or the builder said.
    pub async fn build(&self, tag: &str, labels: &HashMap<String, String>, tar: Vec<u8>) -> Result<String, ApiError> {
        let options = BuildImageOptionsBuilder::new()
            .t(tag)
            .labels(labels)
            .networkmode("none")
            .nocache(true)
            .rm(true)
            .forcerm(true)
            .build();
        let failed = |error| ApiError::new("build an image", error);
        let answers: Vec<_> = self
            .docker
            .build_image(options, None, Some(bollard::body_full(Bytes::from(tar))))
            .try_collect()
            .await
            .map_err(failed)?;
        Ok(answers.into_iter().filter_map(|answer| answer.stream).collect())
    }

    /// Removes an image.
    ///
    /// # Errors
    /// What the daemon said; that there is none is no error.
    pub async fn remove_image(&self, image: &str) -> Result<(), ApiError> {
        let options = RemoveImageOptionsBuilder::new().force(true).build();
        gone_is_fine(self.docker.remove_image(image, Some(options), None).await.map(drop), "remove the test image")
    }

    /// The images with a label. Below API 1.26 a list cannot be read by the client, so there it is empty.
    ///
    /// # Errors
    /// What the daemon said.
    pub async fn labelled_images(&self, label: &str) -> Result<Vec<Made>, ApiError> {
        if self.speaks_less_than(1, 26) {
            return Ok(Vec::new());
        }
        let filters = HashMap::from([("label".to_owned(), vec![label.to_owned()])]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let listed = self.docker.list_images(Some(options)).await;
        let listed = listed.map_err(|error| ApiError::new("list the images", error))?.into_iter();
        Ok(listed.filter_map(|mut one| Some(Made { id: one.id, label: one.labels.remove(label)? })).collect())
    }
}
