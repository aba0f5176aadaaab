//! Control groups: is there what this engine version needs, and can it be used.

pub(super) mod controllers;
pub(super) mod delegation;
pub(super) mod hybrid;
pub(super) mod mounted;
pub(super) mod namespace;
pub(super) mod operations;
pub(super) mod version;
pub(super) mod writable;
