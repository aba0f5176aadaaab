//! What an engine version needs, and what it gives to its containers: data, from `profiles/`.
//!
//! A profile file holds only what changed in a release line, each value with its source. The profile of a version is
//! all files up to that version laid over each other, oldest first, so every version has exactly one.

mod document;
mod lint;
mod load;
pub mod outer;
#[cfg(test)]
mod published;
mod schema;
mod values;

pub use document::Problem;
pub use lint::lint;
pub use load::{LoadError, Profiles};
pub use outer::{Outer, outers};
pub use schema::{Entry, Layer, Profile, Sourced, Value};
pub use values::{
    BadPairing, BridgeFilter, CgroupDriver, CgroupMounts, CgroupNamespace, CgroupParent, CgroupV1, DType, DeadSocket,
    DockerProxy, Grants, ImageStore, IpForward, Nftables, OverlayProbe, PairingTrial, Rootless, Seccomp,
    SocketActivation,
};

impl Profile {
    /// The storage drivers that the engine has, without containerd's snapshotters: where those are the default, they are
    /// what is tried in order.
    pub fn graph_drivers(&self) -> impl Iterator<Item = &str> {
        let is_snapshotter = |name: &&String| {
            self.storage_image_store.value == ImageStore::Containerd && self.storage_priority.value.contains(name)
        };
        self.storage_drivers.value.iter().filter(move |name| !is_snapshotter(name)).map(String::as_str)
    }
}
