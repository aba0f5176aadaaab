//! Mends of mounts.

use super::Fix;
use super::step::Step;
use crate::facts::mounts::Mount;

/// Remounts writable what the outer engine mounted read-only.
pub fn make_writable<'m>(check: &'static str, title: &str, mounts: impl IntoIterator<Item = &'m Mount>) -> Fix {
    let steps = mounts
        .into_iter()
        .map(|mount| Step::Remount {
            target: mount.point.clone(),
            flags: mount.options.keys().filter(|name| !["ro", "rw"].contains(&name.as_str())).cloned().collect(),
            read_only: false,
        })
        .collect();
    Fix::in_container(check, title, steps)
}

/// Makes the container's mounts shared among the namespaces made from here on.
pub fn make_shared(check: &'static str) -> Fix {
    let step = Step::SetPropagation { target: "/".to_owned(), shared: true };
    Fix::in_container(check, "make the mounts of this container shared", vec![step])
}
