//! The mounts that a daemon relies on.

pub(super) mod proc_sys;
pub(super) mod propagation;
pub(super) mod writable;
