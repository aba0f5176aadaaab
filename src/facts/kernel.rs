//! The kernel and the machine.

use serde::{Deserialize, Serialize};

use super::{Fact, Root};

/// The kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// The release, such as `6.12.57-cloud-amd64`.
    pub release: String,
    /// The machine's architecture as uname gives it, where it can be told.
    pub machine: Option<String>,
}

/// Reads the kernel's release.
pub(super) fn read(root: &Root) -> Fact<Kernel> {
    let machine = root
        .is_live()
        .then(|| nix::sys::utsname::uname().ok().map(|name| name.machine().to_string_lossy().into_owned()))
        .flatten();
    Ok(Kernel { release: root.read_trimmed("/proc/sys/kernel/osrelease")?, machine })
}
