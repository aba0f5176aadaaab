//! Mends of mounts.

use std::collections::BTreeSet;

use super::Fix;
use super::step::Step;
use crate::facts::mounts::{Mount, Mounts};

/// Remounts writable what the outer engine mounted read-only.
pub fn make_writable<'m>(check: &'static str, title: &str, mounts: impl IntoIterator<Item = &'m Mount>) -> Fix {
    let steps = mounts
        .into_iter()
        .map(|mount| Step::Remount { target: mount.point.clone(), flags: mount.flags(), read_only: false })
        .collect();
    Fix::in_container(check, title, steps)
}

/// Makes those of the container's mounts shared that are not, among the namespaces made from here on.
pub fn make_shared(check: &'static str, mounts: &Mounts) -> Fix {
    // One step for each point: what lies below another mount cannot be reached.
    let points: BTreeSet<&str> = mounts.all.iter().map(|mount| mount.point.as_str()).collect();
    let steps = points
        .into_iter()
        .filter(|point| mounts.at(point).is_some_and(|mount| mount.shared.is_none()))
        .map(|point| Step::SetPropagation { target: point.to_owned(), shared: true })
        .collect();
    Fix::in_container(check, "make the mounts of this container shared", steps)
}
