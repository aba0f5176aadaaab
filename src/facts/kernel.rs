//! The kernel and the machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Fact, Root};

/// The parts of the kernel that a daemon's rules, networks and layers rest on, by the names of their modules.
const MODULES: [&str; 29] = [
    "aufs",
    "ip_tables",
    "iptable_filter",
    "iptable_nat",
    "iptable_raw",
    "ip6_tables",
    "ip6table_filter",
    "ip6table_nat",
    "ip6table_raw",
    "nf_tables",
    "nft_compat",
    "nft_chain_nat",
    "nft_ct",
    "nft_fib",
    "nft_fib_ipv4",
    "nft_fib_ipv6",
    "nft_masq",
    "nft_nat",
    "xt_addrtype",
    "xt_conntrack",
    "xt_MASQUERADE",
    "xt_nat",
    "xt_set",
    "ip_set",
    "ip_set_hash_net",
    "br_netfilter",
    "bridge",
    "veth",
    "overlay",
];

/// Whether a part of the kernel is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Built into the kernel.
    BuiltIn,
    /// A module that is loaded, or built in and with parameters.
    Loaded,
    /// A module that is not loaded.
    Loadable,
    /// Neither built in nor a module.
    Absent,
    /// The container does not see the kernel's lists.
    Untold,
}

/// The kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// The release, such as `6.12.57-cloud-amd64`.
    pub release: String,
    /// The machine's architecture as uname gives it, where it can be told.
    pub machine: Option<String>,
    /// Whether modules can be loaded at all.
    #[serde(default)]
    pub modular: bool,
    /// Parts of the kernel by module name.
    #[serde(default)]
    pub modules: BTreeMap<String, Presence>,
}

impl Kernel {
    /// Whether its release is earlier than `major.minor`; not where the release cannot be read.
    pub fn is_before(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self.release.split(['.', '-']).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(own_major)), Some(Ok(own_minor))) => (own_major, own_minor) < (major, minor),
            _ => false,
        }
    }

    /// Whether a part of the kernel is there.
    pub fn module(&self, name: &str) -> Presence {
        self.modules.get(name).copied().unwrap_or(Presence::Untold)
    }

    /// Whether the first use of a part would make the kernel load a module, as far as can be told; what cannot be told
    /// counts as one, where modules can be loaded at all.
    pub fn would_load(&self, name: &str) -> bool {
        match self.module(name) {
            Presence::Loadable => true,
            Presence::Untold => self.modular,
            Presence::BuiltIn | Presence::Loaded | Presence::Absent => false,
        }
    }
}

/// Reads the kernel's release and what it is made of.
pub fn read(root: &Root) -> Fact<Kernel> {
    let uname = root.is_live().then(|| nix::sys::utsname::uname().ok()).flatten();
    let machine = uname.as_ref().map(|name| name.machine().to_string_lossy().into_owned());
    // gVisor has no such file.
    let release = root
        .read_trimmed("/proc/sys/kernel/osrelease")
        .or_else(|error| uname.map(|name| name.release().to_string_lossy().into_owned()).ok_or(error))?;
    let list = |name: &str| root.read(&format!("/lib/modules/{release}/{name}")).ok();
    // Where /sys/module is hidden (systemd-nspawn) these tell of what is loaded: proc(5).
    let lists_loaded = ["/proc/modules", "/proc/filesystems"].map(|path| root.read(path).unwrap_or_default());
    let loaded: Vec<&str> = lists_loaded
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.trim_start_matches("nodev").split_whitespace().next())
        .collect();
    let is_listed = |name: &str| loaded.contains(&name);
    let (built_in, loadable) = (list("modules.builtin"), list("modules.dep"));
    let modules = MODULES
        .iter()
        .map(|name| {
            let presence = if root.exists(&format!("/sys/module/{name}")) || is_listed(name) {
                Presence::Loaded
            } else if built_in.as_deref().is_some_and(|list| lists(list, name)) {
                Presence::BuiltIn
            } else if loadable.as_deref().is_some_and(|list| lists(list, name)) {
                Presence::Loadable
            } else if built_in.is_some() && loadable.is_some() {
                Presence::Absent
            } else {
                Presence::Untold
            };
            ((*name).to_owned(), presence)
        })
        .collect();
    // Without module support the file is not there (kernel/module/procfs.c).
    Ok(Kernel { release, machine, modular: root.exists("/proc/modules"), modules })
}

/// Whether modules.builtin or modules.dep (modules.dep(5)) has a file of that module: `kernel/net/xt_nat.ko.zst: …`.
/// File names have `-` where module names have `_`, at times.
fn lists(list: &str, name: &str) -> bool {
    list.lines().any(|line| {
        let path = line.split(':').next().unwrap_or_default();
        let file = path.rsplit('/').next().unwrap_or_default();
        file.split(".ko").next().is_some_and(|own| own.replace('-', "_") == name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_their_numbers() {
        let before = |release: &str| {
            let release = release.to_owned();
            Kernel { release, machine: None, modular: false, modules: BTreeMap::new() }.is_before(5, 3)
        };
        let told = ["4.19.0-27-amd64", "5.2.21", "5.3.0", "5.10.0", "6.1", "odd", "5"].map(before);
        assert_eq!(told, [true, true, false, false, false, false, false]);
    }

    #[test]
    fn a_first_use_loads_what_is_not_there_or_not_told() {
        let would_load = |presence: Option<Presence>, modular: bool| {
            let modules = presence.map(|presence| ("x".to_owned(), presence)).into_iter().collect();
            Kernel { release: String::new(), machine: None, modular, modules }.would_load("x")
        };
        for modular in [true, false] {
            let told = [Presence::BuiltIn, Presence::Loaded, Presence::Loadable, Presence::Absent];
            let told = told.map(|presence| would_load(Some(presence), modular));
            assert_eq!(told, [false, false, true, false]);
            assert_eq!(would_load(None, modular), modular);
        }
    }

    #[test]
    fn built_in_loadable_and_absent_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/sys/kernel/osrelease", "6.1.0-x\n");
        let root = Root::new(directory.path());
        assert_eq!(read(&root).unwrap().module("xt_nat"), Presence::Untold);
        write("lib/modules/6.1.0-x/modules.builtin", "kernel/net/bridge/bridge.ko\n");
        write("lib/modules/6.1.0-x/modules.dep", "kernel/net/netfilter/xt_nat.ko.xz: kernel/x.ko\n");
        write("sys/module/overlay/refcnt", "1\n");
        let kernel = read(&root).unwrap();
        assert_eq!(kernel.module("bridge"), Presence::BuiltIn);
        assert_eq!(kernel.module("xt_nat"), Presence::Loadable);
        assert_eq!(kernel.module("overlay"), Presence::Loaded);
        assert_eq!(kernel.module("xt_addrtype"), Presence::Absent);
        assert_eq!(kernel.module("anything"), Presence::Untold);
        // systemd-nspawn hides /sys/module.
        std::fs::remove_dir_all(directory.path().join("sys")).unwrap();
        assert_eq!(read(&root).unwrap().module("overlay"), Presence::Absent);
        write("proc/filesystems", "nodev\tsysfs\nnodev\toverlay\n\text4\n");
        write("proc/modules", "veth 40960 0 - Live 0x0000000000000000\n");
        let kernel = read(&root).unwrap();
        assert_eq!((kernel.module("overlay"), kernel.module("veth")), (Presence::Loaded, Presence::Loaded));
    }
}
