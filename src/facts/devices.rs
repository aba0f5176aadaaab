//! Device nodes, by opening them.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Fact, FactError, Root};

/// Drivers that the kernel has registered with a minor number of their own (drivers/char/misc.c).
const MISC: &str = "/proc/misc";
/// The major number of all of those.
const MISC_MAJOR: u32 = 10;

/// Devices that inner containers get from this one: path, major and minor number, name in /proc/misc
/// (kernel Documentation/admin-guide/devices.txt). kmsg is always there.
const DEVICES: [(&str, u32, u32, &str); 5] = [
    ("/dev/fuse", MISC_MAJOR, 229, "fuse"),
    ("/dev/net/tun", MISC_MAJOR, 200, "tun"),
    ("/dev/loop-control", MISC_MAJOR, 237, "loop-control"),
    ("/dev/mapper/control", MISC_MAJOR, 236, "device-mapper"),
    ("/dev/kmsg", 1, 11, ""),
];

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its node.
    pub path: String,
    /// Its major number.
    pub major: u32,
    /// Its minor number.
    pub minor: u32,
    /// Whether the node is there.
    pub is_there: bool,
    /// Whether its directory is there.
    pub has_directory: bool,
    /// What opening it gave; `None` if it works.
    pub error: Option<String>,
    /// Whether the device cgroup of version 1 does not let this container open it, so that a node would be of no use.
    #[serde(default)]
    pub refused: bool,
}

/// What the device cgroup of version 1 lets this container open; version 2 has a program that does not tell.
const ALLOWED: &str = "/sys/fs/cgroup/devices/devices.list";

/// Whether a character device may be opened for reading, by lines of `TYPE MAJOR:MINOR ACCESS` (kernel
/// Documentation/admin-guide/cgroup-v1/devices.rst).
fn allows(list: &str, major: u32, minor: u32) -> bool {
    list.lines().any(|line| {
        let mut fields = line.split([' ', ':']);
        let mut next = || fields.next().unwrap_or_default();
        let (kind, own_major, own_minor, access) = (next(), next(), next(), next());
        let covers = |own: &str, wanted: u32| own == "*" || own == wanted.to_string();
        ["a", "c"].contains(&kind) && covers(own_major, major) && covers(own_minor, minor) && access.contains('r')
    })
}

/// The devices that the kernel has, or has loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// Each of them.
    pub all: Vec<Device>,
    /// What shows of NVIDIA's GPUs; `None` if no node of theirs is there.
    #[serde(default)]
    pub nvidia: Option<Nvidia>,
}

/// What the outer container shows of NVIDIA's GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nvidia {
    /// The nodes, such as `/dev/nvidia0`.
    pub nodes: Vec<String>,
    /// Whether the driver's directory `/proc/driver/nvidia` shows, which libnvidia-container reads (src/driver.c).
    pub driver: bool,
    /// Specifications of CDI in the directories that the daemon reads by default (moby daemon/cdi.go).
    pub specifications: Vec<String>,
}

/// Where the daemon looks for specifications of CDI (moby daemon/config: CDISpecDirs).
const CDI: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

impl Nvidia {
    fn read(root: &Root) -> Option<Self> {
        let names = root.list("/dev").ok()?;
        let is_node = |name: &String| {
            name.strip_prefix("nvidia").is_some_and(|rest| rest == "ctl" || !rest.is_empty() && is_number(rest))
        };
        let nodes: Vec<String> = names.iter().filter(|name| is_node(name)).map(|name| format!("/dev/{name}")).collect();
        let listed = |dir: &str| {
            let names = root.list(dir).unwrap_or_default();
            names.into_iter().map(|name| format!("{dir}/{name}")).collect::<Vec<_>>()
        };
        (!nodes.is_empty()).then(|| Self {
            nodes,
            driver: root.exists("/proc/driver/nvidia"),
            specifications: CDI.iter().flat_map(|dir| listed(dir)).collect(),
        })
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether /proc/misc has a driver of this name (kernel drivers/char/misc.c: misc_seq_show, `number name`). An
/// empty name stands for a driver that every kernel has.
fn is_registered(name: &str, misc: &str) -> bool {
    name.is_empty() || misc.lines().any(|line| line.split_whitespace().nth(1) == Some(name))
}

/// Opens each device whose driver is there: without it, opening would load a module on the host.
pub(super) fn read(root: &Root) -> Fact<Devices> {
    if !root.is_live() {
        return Err(FactError::new("open", "devices", "this is a captured machine"));
    }
    let misc = root.read(MISC)?;
    let allowed = root.read(ALLOWED).ok();
    let all = DEVICES
        .iter()
        .filter(|(.., name)| is_registered(name, &misc))
        .map(|(path, major, minor, _)| {
            let opened = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(root.path(path));
            Device {
                path: (*path).to_owned(),
                major: *major,
                minor: *minor,
                is_there: root.exists(path),
                has_directory: Path::new(path).parent().is_some_and(|parent| root.path(parent).is_dir()),
                error: opened.err().map(|error| error.to_string()),
                refused: allowed.as_ref().is_some_and(|list| !allows(list, *major, *minor)),
            }
        })
        .collect();
    Ok(Devices { all, nvidia: Nvidia::read(root) })
}

#[cfg(test)]
mod tests {
    use super::{Nvidia, Root, allows, is_registered};

    #[test]
    fn a_driver_is_there_where_it_is_registered_or_every_kernel_has_it() {
        let misc = "229 fuse\n200 tun\n 59 rfkill\nodd\n";
        for (name, there) in
            [("", true), ("fuse", true), ("rfkill", true), ("200", false), ("fus", false), ("odd", false)]
        {
            assert_eq!(is_registered(name, misc), there, "{name}");
        }
        assert!(is_registered("", "") && !is_registered("fuse", ""));
    }

    #[test]
    fn a_device_is_allowed_by_any_line_that_covers_it() {
        let docker = "c 1:5 rwm\nb *:* m\nc *:* m\nc 10:200 rwm\nc 136:* rwm\n";
        assert!(allows(docker, 10, 200) && allows(docker, 136, 7));
        assert!(!allows(docker, 10, 229), "nodes of any kind may be made, and not opened");
        assert!(!allows("b 10:229 rwm\n", 10, 229));
        assert!(allows("a *:* rwm\n", 10, 229) && allows("c 10:* r\n", 10, 229));
        assert!(!allows("", 1, 11) && !allows("odd", 1, 11));
    }

    #[test]
    fn the_nodes_of_gpus_are_told_from_what_is_named_alike() {
        let directory = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        let root = Root::new(directory.path());
        assert_eq!(Nvidia::read(&root), None, "there is no /dev");
        for name in ["nvidia", "nvidia-uvm", "nvidia0x", "nvidiactl0", "null"] {
            make(&format!("dev/{name}"));
        }
        make("etc/cdi/nvidia.yaml");
        assert_eq!(Nvidia::read(&root), None);
        make("dev/nvidia0");
        make("dev/nvidia12");
        make("dev/nvidiactl");
        let nodes = ["/dev/nvidia0", "/dev/nvidia12", "/dev/nvidiactl"].map(str::to_owned).to_vec();
        let specifications = vec!["/etc/cdi/nvidia.yaml".to_owned()];
        let seen = Nvidia { nodes, driver: false, specifications };
        assert_eq!(Nvidia::read(&root).as_ref(), Some(&seen));
        make("proc/driver/nvidia/version");
        assert_eq!(Nvidia::read(&root), Some(Nvidia { driver: true, ..seen }));
    }
}
