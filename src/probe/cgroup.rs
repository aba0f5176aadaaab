//! Making a cgroup in each of our own, as a runtime does for each container: made, frozen and thawed, given a rule for
//! devices, and removed.
#![expect(unsafe_code, reason = "bpf(2) is neither in std nor in nix")]

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use nix::sched::CloneFlags;
use serde::{Deserialize, Serialize};

use super::Attempt;
use super::background::Background;
use super::child;
use super::litter;

/// Its name on the hidden command line.
pub(super) const NAME: &str = "cgroup";

/// A cgroup that is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its directory.
    pub path: String,
    /// The version 1 controllers of its hierarchy; `None` if it is of version 2.
    pub controllers: Vec<String>,
}

/// What a privileged inner container is given, and no other.
pub const ALL_DEVICES: &str = "give a cgroup all devices";

/// What every container is given (moby v28.5.2 oci/defaults.go: Devices; runc v1.3.3 libcontainer/specconv/spec_linux.go:
/// AllowedDevices). The kernel lets a cgroup have what its parent has, and nothing else
/// (Documentation/admin-guide/cgroup-v1/devices.rst).
const DEVICES: [&str; 12] = [
    "b *:* m",
    "c *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 10:200 rwm",
    "c 136:* rwm",
];

/// What the names of the cgroups that it makes begin with.
const LITTER: &str = "dindcheck-probe-";

/// Starts the trial in each of them.
pub fn start(places: &[Place]) -> Background<Vec<Attempt>> {
    child::start(NAME, &places, CloneFlags::empty())
}

/// What runs in the child.
pub(super) fn run(places: &[Place]) -> Vec<Attempt> {
    places.iter().flat_map(try_in).collect()
}

fn try_in(place: &Place) -> Vec<Attempt> {
    let parent = Path::new(&place.path);
    litter::sweep(parent, LITTER);
    let mut attempts = Vec::new();
    let mut attempt = |what: &str, result: io::Result<()>| {
        let error = result.err().map(|error| error.to_string());
        attempts.push(Attempt { what: format!("{what} in {}", place.path), error });
    };
    let group = match litter::make(parent, LITTER) {
        Ok(group) => group,
        Err(error) => {
            attempt("make a cgroup", Err(error));
            return attempts;
        }
    };
    attempt("make a cgroup", Ok(()));
    let has = |name: &str| place.controllers.iter().any(|own| own == name);
    let write = |file: &str, value: &str| fs::write(group.join(file), value);
    if place.controllers.is_empty() {
        attempt("freeze a cgroup", write("cgroup.freeze", "1").and_then(|()| write("cgroup.freeze", "0")));
        attempt("give a cgroup a program for devices", attach(&group));
    }
    if has("freezer") {
        attempt("freeze a cgroup", write("freezer.state", "FROZEN").and_then(|()| write("freezer.state", "THAWED")));
    }
    if has("devices") {
        let allow = |rule: &&str| {
            write("devices.allow", rule).map_err(|error| io::Error::new(error.kind(), format!("{rule}: {error}")))
        };
        let rules = write("devices.deny", "a").and_then(|()| DEVICES.iter().try_for_each(&allow));
        attempt("give a cgroup rules for devices", rules);
        attempt(ALL_DEVICES, allow(&"a"));
    }
    // What is attached goes with it.
    attempt("remove a cgroup", fs::remove_dir(&group));
    attempts
}

/// Attaches a program that allows every device, as runc does on a version 2 host.
fn attach(group: &Path) -> io::Result<()> {
    const BPF_PROG_ATTACH: libc::c_long = 8;
    const BPF_CGROUP_DEVICE: u32 = 6;
    const BPF_F_ALLOW_MULTI: u32 = 2;
    #[repr(C)]
    struct Attach {
        target: u32,
        program: u32,
        kind: u32,
        flags: u32,
        replaced: u32,
    }
    let number = |fd: RawFd| u32::try_from(fd).map_err(io::Error::other);
    let (program, target) = (load()?, File::open(group)?);
    let attach = Attach {
        target: number(target.as_raw_fd())?,
        program: number(program.as_raw_fd())?,
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
        replaced: 0,
    };
    // SAFETY: the kernel reads as much as the size says.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attach, size_of::<Attach>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Loads a program that allows every device (bpf(2)). It is gone with its descriptor, and with what it is attached to.
pub(super) fn load() -> io::Result<OwnedFd> {
    const BPF_PROG_LOAD: libc::c_long = 5;
    const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
    // r0 = 1; exit
    let program: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];
    let license = c"Apache-2.0";
    #[repr(C)]
    struct Load {
        kind: u32,
        instructions: u32,
        program: u64,
        license: u64,
        log: [u64; 3],
        version: u64,
    }
    let load = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        instructions: 2,
        program: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log: [0; 3],
        version: 0,
    };
    // SAFETY: the kernel reads as much as the size says, and the program and license live until the call is over.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const load, size_of::<Load>()) };
    let fd = RawFd::try_from(result).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nothing else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
