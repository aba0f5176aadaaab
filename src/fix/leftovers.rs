//! Mends of what an earlier daemon left behind.

use super::Fix;
use super::step::Step;
use crate::facts::leftovers::{PidFile, Socket};

/// Removes pid files that name no engine.
pub fn remove_pidfiles<'f>(check: &'static str, files: impl Iterator<Item = &'f PidFile>) -> Fix {
    let steps = files
        .map(|file| Step::RemoveFile {
            path: file.path.clone(),
            content: file.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        })
        .collect();
    Fix::in_container(check, "remove stale pid files", steps)
}

/// Removes sockets that nothing listens on.
pub fn remove_sockets<'f>(check: &'static str, sockets: impl Iterator<Item = &'f Socket>) -> Fix {
    let steps = sockets.map(|socket| Step::RemoveSocket { path: socket.path.clone(), mode: socket.mode }).collect();
    Fix::in_container(check, "remove dead sockets", steps)
}
