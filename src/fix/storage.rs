//! Mends of storage: a file system in a file, where the one below the data-root carries no overlay.

use super::Fix;
use super::step::Step;
use crate::facts::storage::IMAGE;

/// Mounts a file system of its own on the data-root, in a file there that takes space as it is written to. What is made
/// is gone on with when the container has been started again.
pub fn own_file_system(check: &'static str, data_root: &str, data_root_is_there: bool, bytes: Option<u64>) -> Fix {
    let image = format!("{data_root}/{IMAGE}");
    let mut steps = Vec::new();
    if !data_root_is_there {
        steps.push(Step::MakeDirectory { path: data_root.to_owned() });
    }
    if let Some(bytes) = bytes {
        steps.push(Step::MakeImage { path: image.clone(), bytes });
    }
    steps.push(Step::MountImage { path: image, target: data_root.to_owned() });
    Fix::in_container(check, format!("mount an ext4 of its own on {data_root}, in a file there"), steps)
}
