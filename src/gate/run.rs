//! Running an image through the outer engine's API: everything that is made carries a label, and is removed again,
//! what a gate that was killed has left included.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};

use super::cell;
use super::image::{Image, ImageError, Limits, Pieces, archive};
use super::matrix::CellSpec;
use super::report::Cell;
use crate::engine::api::container::Spec;
use crate::engine::api::{Api, ApiError};
use crate::engine::ours::{GATE, Left, Owner, Whose};
use crate::verification::image::own_binary_as;

/// Where dindcheck is in the containers. Only we can write to the volume that it lies on.
pub(super) const DIRECTORY: &str = "/.dindcheck";
/// How many pieces of a root file system wait to be read.
const PIECES: usize = 16;

/// What runs first in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrypoint {
    /// dindcheck, instead of the image's entrypoint
    Dindcheck,
    /// What the image says; dindcheck looks at it and proves it from beside
    Theirs,
}

/// How an image is run.
#[derive(Debug, Clone)]
pub struct Order {
    /// The image's name.
    pub image: String,
    /// What runs first.
    pub entrypoint: Entrypoint,
    /// The daemon's flags that the image gives.
    pub daemon_flags: Vec<String>,
    /// Options of the look from inside: the version, what to skip.
    pub look: Vec<String>,
    /// How long one cell may take.
    pub timeout: Duration,
    /// How many cells run at the same time.
    pub jobs: usize,
}

/// Why nothing could be run.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The outer engine.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The engine does not have the image.
    #[error("the outer engine has no image {0}; pull or build it first")]
    NoImage(String),
    /// An engine without volumes of a name, by which dindcheck gets into the image's containers (API 1.21, moby v1.9.0).
    #[error(
        "the outer engine, Docker {0}, is older than 1.9 and has no named volumes, which dindcheck needs to run an image; \
         judge it with --static, or run it under a later engine"
    )]
    NoVolumes(String),
    /// Our own binary.
    #[error("cannot read /proc/self/exe: {0}")]
    OwnBinary(io::Error),
}

/// The outer engine, and what we make in it.
#[derive(Debug, Clone)]
pub struct Outer {
    pub(super) api: Api,
    owner: Owner,
    unproved: Vec<String>,
}

impl Outer {
    /// Connects, and removes what gates that were killed have left.
    ///
    /// # Errors
    /// No connection.
    pub async fn connect(socket: &str, timeout: Duration) -> Result<Self, GateError> {
        let api = Api::connect(socket, timeout).await?;
        let owner = Owner::this(&api);
        let left = Left::find(&api, GATE, &owner, Whose::Dead).await?;
        let _ = left.remove(&api).await;
        Ok(Self { unproved: left.unproved().to_vec(), api, owner })
    }

    /// What has a label of ours, and is not proved to be ours: it was left.
    pub fn unproved(&self) -> &[String] {
        &self.unproved
    }

    /// The engine's version, and the API version that is spoken.
    pub fn versions(&self) -> (String, String) {
        (self.api.engine.clone(), self.api.version.clone())
    }

    pub(super) fn labels(&self) -> HashMap<String, String> {
        HashMap::from([(GATE.label.to_owned(), self.owner.to_string())])
    }

    pub(super) fn name(&self, what: &str) -> String {
        format!("{}{}-{what}", GATE.prefix, self.owner)
    }

    /// Reads an image without running it.
    ///
    /// # Errors
    /// The engine does not have it, or gives something else.
    pub async fn read(&self, reference: &str, limits: Limits) -> Result<Image, GateError> {
        let about = self.api.about_image(reference).await?;
        let about = about.ok_or_else(|| GateError::NoImage(reference.to_owned()))?;
        let spec = Spec {
            name: self.name("read"),
            image: reference.to_owned(),
            // It is never started; without a command it could not even be made.
            command: Some(vec!["/".to_owned()]),
            labels: self.labels(),
            ..Spec::default()
        };
        let container = self.api.create(&spec).await?;
        let (send, receive) = sync_channel(PIECES);
        let what = reference.to_owned();
        let reader = thread::spawn(move || archive::flat(Pieces::new(receive), &what, limits));
        let mut pieces = Box::pin(self.api.export(&container));
        while let Some(piece) = pieces.next().await {
            // A reader that has had enough says why at its end.
            if send.send(piece.map_err(io::Error::other)).is_err() {
                break;
            }
        }
        drop(send);
        let tree = reader.join().map_err(|_| ImageError::odd(format!("{reference}: the reader died")))??;
        self.api.remove_container(&container).await?;
        Ok(Image { name: reference.to_owned(), config: about, tree })
    }

    /// Runs the image in each cell; they come back in their order.
    ///
    /// # Errors
    /// dindcheck cannot be put in.
    pub async fn run(&self, order: &Order, cells: &[CellSpec], tell: &dyn Fn(&str)) -> Result<Vec<Cell>, GateError> {
        if self.api.speaks_less_than(1, 21) {
            return Err(GateError::NoVolumes(self.api.engine.clone()));
        }
        let start = Instant::now();
        let tool = self.put_tool(&order.image).await?;
        let running = cells.iter().map(|spec| cell::run(self, order, spec, &tool, start, tell));
        Ok(stream::iter(running).buffered(order.jobs.max(1)).collect().await)
    }

    /// Puts dindcheck on a volume, through a container of the image that is never started; gives the volume.
    async fn put_tool(&self, image: &str) -> Result<String, GateError> {
        let volume = self.name("tool");
        self.api.create_volume(&volume, self.labels()).await?;
        let spec = Spec {
            name: self.name("put"),
            image: image.to_owned(),
            command: Some(vec!["/".to_owned()]),
            labels: self.labels(),
            binds: vec![format!("{volume}:{DIRECTORY}")],
            ..Spec::default()
        };
        let container = self.api.create(&spec).await?;
        let tar = own_binary_as("dindcheck").map_err(GateError::OwnBinary)?;
        self.api.upload(&container, DIRECTORY, tar).await?;
        self.api.remove_container(&container).await?;
        Ok(volume)
    }

    /// Removes all that we made; gives what could not be removed.
    ///
    /// # Errors
    /// The engine's error.
    pub async fn clean(&self) -> Result<Vec<String>, GateError> {
        let own = || Left::find(&self.api, GATE, &self.owner, Whose::Own);
        let _ = own().await?.remove(&self.api).await;
        Ok(own().await?.names())
    }
}
