//! The directories that carry images and layers.

pub(super) mod d_type;
pub(super) mod data_root;
pub(super) mod driver;
pub(super) mod flags;
pub(super) mod in_use;
pub(super) mod space;

use std::path::Path;

use crate::facts::storage::{Directory, Storage};

fn location(directory: &Directory) -> String {
    format!(
        "{}:{} ({} on {})",
        crate::facts::mounts::MOUNTINFO,
        directory.line,
        directory.fstype,
        directory.mount_point
    )
}

fn volumes(storage: &Storage) -> String {
    let mut places: Vec<String> = Vec::new();
    for directory in &storage.directories {
        // A volume on the data-root covers what lies in it.
        let covered = Path::new(&directory.path).starts_with(&storage.data_root);
        let place = if covered { storage.data_root.clone() } else { directory.path.clone() };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let flags: String = places.iter().map(|place| format!(" -v {place}")).collect();
    format!("docker run{flags} …: volumes for what the daemon keeps")
}
