//! Facts that only trying can tell. A probe runs in a child, in namespaces of its own that vanish with it, with a
//! deadline, and leaves nothing.

pub mod background;
pub mod cgroup;
pub mod child;
pub mod ipset;
mod litter;
pub mod netfilter;
pub mod network;
pub mod nftables;
pub mod privileges;
pub mod rootless;
pub mod storage;

use serde::{Deserialize, Serialize};

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What: `make a bridge`.
    pub what: String,
    /// The kernel's error; `None` if it worked.
    pub error: Option<String>,
}

/// What was tried, with what came of it.
fn tried<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> Attempt {
    Attempt { what: what.to_owned(), error: result.err().map(|error| error.to_string()) }
}
