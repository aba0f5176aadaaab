//! Images: imported, committed, built, removed.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _};

use bollard::models::{ContainerConfig, ErrorDetail};
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CommitContainerOptionsBuilder, CreateImageOptionsBuilder, ImportImageOptionsBuilder,
    RemoveImageOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _, stream};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::get::Listed;
use super::{Api, ApiError, Made, gone_is_fine};
use crate::foreign::Foreign;

/// How much of a file is sent at once.
const PIECE: usize = 256 << 10;

/// A file piece by piece. A blocking read blocks nothing: the sender of a file waits for just that.
fn pieces(mut file: File) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::iter(std::iter::from_fn(move || {
        let mut piece = vec![0; PIECE];
        match file.read(&mut piece) {
            Ok(0) => None,
            Ok(count) => {
                piece.truncate(count);
                Some(Ok(Bytes::from(piece)))
            }
            Err(error) => Some(Err(error)),
        }
    }))
}

/// What the daemon says when it fails in the middle.
fn refused(verb: &str, error: &ErrorDetail) -> ApiError {
    let status = error.code.and_then(|code| u16::try_from(code).ok());
    ApiError { verb: verb.to_owned(), reason: error.message.clone().unwrap_or_default().into(), status }
}

/// The part of `GET /images/{name}/json` that is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    #[serde(default)]
    id: String,
    repo_tags: Option<Vec<String>>,
    architecture: Option<String>,
    config: Option<Config>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    user: Option<String>,
    volumes: Option<BTreeMap<String, IgnoredAny>>,
    exposed_ports: Option<BTreeMap<String, IgnoredAny>>,
    labels: Option<HashMap<String, String>>,
}

fn path(reference: &str) -> String {
    format!("/images/{reference}/json")
}

/// What an image says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// What is run first.
    pub entrypoint: Vec<String>,
    /// Its default arguments.
    pub command: Vec<String>,
    /// `NAME=VALUE`.
    pub environment: Vec<String>,
    /// The user; empty: root.
    pub user: String,
    /// The directories that become volumes.
    pub volumes: Vec<String>,
    /// The ports that it exposes: `NUMBER/PROTOCOL`, or a number.
    pub ports: Vec<String>,
    /// The processor, in Go's words.
    pub architecture: String,
    /// What it is labelled with.
    pub labels: HashMap<String, String>,
}

impl Api {
    /// What an image says about itself; `None`: the engine does not have it.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn about_image(&self, reference: &str) -> Result<Option<About>, ApiError> {
        let Some(seen) = self.find::<Image>("inspect the image", &path(reference)).await? else { return Ok(None) };
        let config = seen.config.unwrap_or_default();
        Ok(Some(About {
            entrypoint: config.entrypoint.unwrap_or_default(),
            command: config.cmd.unwrap_or_default(),
            environment: config.env.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            volumes: config.volumes.unwrap_or_default().into_keys().collect(),
            ports: config.exposed_ports.unwrap_or_default().into_keys().collect(),
            architecture: seen.architecture.unwrap_or_default(),
            labels: config.labels.unwrap_or_default(),
        }))
    }

    /// Makes an image of a name and with a label from the tar of a root file system; gives its id.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn import(&self, name: &str, (label, value): (&str, &str), tar: Vec<u8>) -> Result<String, ApiError> {
        let changes = match self.labels_images() {
            true => vec![format!("LABEL {label}=\"{value}\"")],
            false => Vec::new(),
        };
        let options = CreateImageOptionsBuilder::new().from_src("-").repo(name).changes(changes).build();
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

    /// Makes an image of a name from the file of a root file system.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn import_file(&self, name: &str, tar: File) -> Result<(), ApiError> {
        let options = CreateImageOptionsBuilder::new().from_src("-").repo(name).build();
        let made = self.docker.create_image(Some(options), Some(bollard::body_try_stream(pieces(tar))), None);
        made.try_for_each(|_| std::future::ready(Ok(())))
            .await
            .map_err(|error| ApiError::new("import the image", error))
    }

    /// Loads what `docker save` has written; gives the name or the id of the image, if the daemon says one.
    ///
    /// # Errors
    /// The file cannot be read, or the daemon's error.
    pub async fn load(&self, tar: File) -> Result<Option<String>, ApiError> {
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let answers: Vec<_> = self
            .docker
            .import_image_stream(options, pieces(tar), None)
            .try_collect()
            .await
            .map_err(|error| ApiError::new("load the image", error))?;
        // What goes wrong in the middle comes inside of an answer that began well.
        if let Some(error) = answers.iter().find_map(|answer| answer.error_detail.as_ref()) {
            return Err(refused("load the image", error));
        }
        let said: String = answers.into_iter().filter_map(|answer| answer.stream).collect();
        // `Loaded image: NAME`, or `Loaded image ID: sha256:…`.
        let line = said.lines().find_map(|line| line.strip_prefix("Loaded image")?.split_once(": "));
        Ok(line.map(|(_, name)| name.trim().to_owned()))
    }

    /// Pulls an image, and tells how far that is.
    ///
    /// # Errors
    /// What the daemon or the registry said.
    pub async fn pull(&self, reference: &str, tell: &dyn Fn(&str)) -> Result<(), ApiError> {
        // A name without tag and digest would pull all tags.
        let last = reference.rsplit('/').next().unwrap_or_default();
        let whole = if last.contains([':', '@']) { reference.to_owned() } else { format!("{reference}:latest") };
        let options = CreateImageOptionsBuilder::new().from_image(&whole).build();
        tell(&format!("pulling {whole}"));
        self.docker
            .create_image(Some(options), None, None)
            .try_for_each(|step| {
                // The bars between are for terminals; each layer's end is a line.
                if let Some(status) =
                    step.status.filter(|status| !["Downloading", "Extracting"].contains(&status.as_str()))
                {
                    let step = Foreign::from(format!("{} {status}", step.id.unwrap_or_default()));
                    tell(&step.line());
                }
                std::future::ready(Ok(()))
            })
            .await
            .map_err(|error| ApiError::new(format!("pull {whole}"), error))
    }

    /// Whether the engine has an image.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn has_image(&self, reference: &str) -> Result<bool, ApiError> {
        Ok(self.find::<Image>("look for the image", &path(reference)).await?.is_some())
    }

    /// Makes an image of a name of a container as it is, which is not paused meanwhile; gives its id.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn commit(
        &self,
        container: &str,
        name: &str,
        labels: HashMap<String, String>,
    ) -> Result<String, ApiError> {
        let options = CommitContainerOptionsBuilder::new().container(container).repo(name).pause(false).build();
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
        if let Some(error) = answers.iter().find_map(|answer| answer.error_detail.as_ref()) {
            return Err(refused("build an image", error));
        }
        Ok(answers.into_iter().filter_map(|answer| answer.stream).collect())
    }

    /// Removes an image.
    ///
    /// # Errors
    /// The daemon's error; that there is none is no error.
    pub async fn remove_image(&self, image: &str) -> Result<(), ApiError> {
        let options = RemoveImageOptionsBuilder::new().force(true).build();
        gone_is_fine(self.docker.remove_image(image, Some(options), None).await.map(drop), "remove the test image")
    }

    /// Whether an image that is imported can be labelled: Docker 1.7 refuses the word, older ones take no notice (moby
    /// v1.7.1 builder/job.go: validCommitCommands).
    pub fn labels_images(&self) -> bool {
        !self.speaks_less_than(1, 20)
    }

    /// The images with a label, those between the steps of a build among them; where they have no labels, all of them.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn labelled_images(&self, label: &str) -> Result<Vec<Made>, ApiError> {
        let listed: Vec<Listed> = self.get("list the images", "/images/json?all=1").await?;
        Ok(match self.labels_images() {
            true => listed.into_iter().filter_map(|one| one.made(label)).collect(),
            false => listed.into_iter().map(Listed::unlabelled).collect(),
        })
    }

    /// An image with its value of a label; `None` if it has no such label, or is gone.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn labelled_image(&self, image: &str, label: &str) -> Result<Option<Made>, ApiError> {
        let Some(seen) = self.find::<Image>("inspect the image", &path(image)).await? else { return Ok(None) };
        let labels = seen.config.and_then(|config| config.labels);
        let value = labels.and_then(|mut labels| labels.remove(label));
        Ok(value.map(|label| Made { id: seen.id, names: seen.repo_tags.unwrap_or_default(), label, parent: None }))
    }
}
