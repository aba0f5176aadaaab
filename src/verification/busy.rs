//! Containers that are at work while the daemon is stopped or killed: what a drill of the gate needs.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use super::image;
use super::inside::READY;
use super::nest::NO_NETWORK;
use crate::engine::api::container::Spec;
use crate::engine::api::{self, Api, ApiError};
use crate::engine::ours::{Owner, VERIFICATION};

/// Leaves a container running in the daemon that listens there. A later verification removes it: its maker has ended.
pub(super) fn leave(socket: &str) -> io::Result<()> {
    let tar = image::tar()?;
    let left = api::block_on(async {
        let api = Api::connect(socket, Duration::from_secs(30)).await?;
        let owner = Owner::this(&api).to_string();
        let name = format!("{}{owner}-busy", VERIFICATION.prefix);
        let image = api.import(&name, (VERIFICATION.label, &owner), tar).await?;
        let spec = Spec {
            name,
            image,
            command: Some([image::PATH, "inside", "work"].map(str::to_owned).to_vec()),
            labels: HashMap::from([(VERIFICATION.label.to_owned(), owner.clone())]),
            network: Some(NO_NETWORK.to_owned()),
            ..Spec::default()
        };
        let container = api.create(&spec).await?;
        api.start(&container).await?;
        api.follow(&container).line(READY).await
    })?;
    left.map_err(|error: ApiError| io::Error::other(error.to_string()))
}
