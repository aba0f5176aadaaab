//! The inner engine's programs and version.

pub(super) mod binaries;
pub(super) mod pairing;
pub(super) mod profile;
