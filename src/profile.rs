//! What an engine version needs, and what it gives to its containers: data, from `profiles/`.
//!
//! A profile file holds only what changed in a release line, each value with its source. The profile of a version is
//! all files up to that version laid over each other, oldest first, so every version has exactly one.

mod load;
mod schema;
mod values;

pub use load::{LoadError, Problem, Profiles};
pub use schema::{Layer, Profile, Sourced, Value};
pub use values::{
    BadPairing, CgroupDriver, CgroupMounts, CgroupNamespace, CgroupParent, DType, DockerProxy, Grants, ImageStore,
    IpForward, Nftables, OverlayProbe, RawTable, Seccomp,
};
