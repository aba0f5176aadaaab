//! Limits that a daemon and its containers run into.

pub(super) mod kernel;
pub(super) mod memory;
pub(super) mod open_files;
pub(super) mod raising;
pub(super) mod tasks;
