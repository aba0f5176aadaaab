//! The directories that carry images and layers.

pub(super) mod d_type;
pub(super) mod data_root;
pub(super) mod driver;
pub(super) mod flags;
pub(super) mod in_use;
pub(super) mod space;

use std::path::Path;

use crate::facts::storage::{Directory, Storage};
use crate::profile::{ImageStore, Profile};

/// The order in which the daemon tries storage drivers. That of an engine whose default is containerd is of snapshotters;
/// its drivers end with vfs as ever.
fn order<'p>(storage: &Storage, profile: &'p Profile) -> &'p [String] {
    match profile.storage_image_store.value {
        ImageStore::Containerd if storage.image_store == ImageStore::Graphdriver => &profile.storage_drivers.value,
        _ => &profile.storage_priority.value,
    }
}

/// The storage drivers of this engine that have left something in the data-root; vfs does not count, nor does a driver
/// that the engine does not have (moby daemon/graphdriver/driver.go: scanPriorDrivers).
fn prior<'s>(storage: &'s Storage, profile: &Profile) -> Vec<&'s str> {
    let drivers: Vec<&str> = profile.graph_drivers().collect();
    let used = storage.used_drivers.iter().map(String::as_str);
    let is_built_in = |name: &str| !storage.left_out.iter().any(|own| own == name);
    used.filter(|name| *name != "vfs" && drivers.contains(name) && is_built_in(name)).collect()
}

/// The driver that the daemon takes whatever else would work, and what decides that: the user, or else what is in the
/// data-root (moby daemon/graphdriver/driver.go: New).
fn settled<'s>(storage: &'s Storage, profile: &Profile) -> Option<(&'s str, &'s str)> {
    if let Some((name, by)) = &storage.driver {
        return Some((name, by));
    }
    let goes_on = storage.image_store == ImageStore::Graphdriver;
    let tried = |name: &&str| order(storage, profile).iter().any(|own| own == name);
    let prior = prior(storage, profile).into_iter().find(tried).filter(|_| goes_on)?;
    Some((prior, "what is in the data-root"))
}

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
