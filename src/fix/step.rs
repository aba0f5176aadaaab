//! The typed steps that fixes are made of: each with its inverse and the shell line that does the same.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Where a whole hierarchy is mounted for a moment, to bind a part of it: neither in sysfs, where nothing can be made,
/// nor in a directory that may be the host's.
pub const STAGING: &str = "/run/dindcheck/whole";

/// Modules that can be taken out while they are used, with all devices of theirs, also those of other containers: they
/// hold no reference (net/core/rtnetlink.c: rtnl_link_unregister). These stay.
pub const LOSES_DEVICES: [&str; 2] = ["bridge", "veth"];

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Makes a directory; its parent is there.
    MakeDirectory {
        /// The directory.
        path: String,
    },
    /// Removes an empty directory.
    RemoveDirectory {
        /// The directory.
        path: String,
    },
    /// Makes a symbolic link.
    MakeLink {
        /// The link.
        path: String,
        /// What it points to.
        target: String,
    },
    /// Removes a symbolic link.
    RemoveLink {
        /// The link.
        path: String,
        /// What it pointed to.
        target: String,
    },
    /// Rewrites a file.
    WriteFile {
        /// The file.
        path: String,
        /// All that it shall hold.
        content: String,
    },
    /// Removes a file.
    RemoveFile {
        /// The file.
        path: String,
        /// What it held, to be able to bring it back.
        content: String,
    },
    /// Removes a socket that nothing listens on.
    RemoveSocket {
        /// The socket.
        path: String,
        /// Its permissions, to be able to bring it back.
        mode: u32,
    },
    /// Makes a socket that nothing listens on: the inverse of removing one.
    MakeDeadSocket {
        /// The socket.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// Mounts a file system without a device.
    MountFilesystem {
        /// Its type.
        fstype: String,
        /// Where.
        target: String,
        /// Its options, as in `mount -o`.
        options: String,
    },
    /// Mounts one cgroup hierarchy, with one cgroup of it at the top.
    MountHierarchy {
        /// `cgroup` or `cgroup2`.
        fstype: String,
        /// The controllers, or `none,name=…`; empty for version 2.
        options: String,
        /// The cgroup that shall be seen at the top.
        root: String,
        /// The mount's flags (`nosuid`, …); `None`: the usual three.
        #[serde(default)]
        flags: Option<BTreeSet<String>>,
        /// Where.
        target: String,
    },
    /// Keeps a cgroup namespace for the daemon, whose root are the cgroups that this process is in: a mount of it on a
    /// file.
    KeepCgroupNamespace {
        /// The file.
        path: String,
    },
    /// Takes one cgroup hierarchy's mount away; the fields are those that mount it again.
    UnmountHierarchy {
        /// `cgroup` or `cgroup2`.
        fstype: String,
        /// The options of the hierarchy itself.
        options: String,
        /// The cgroup that is seen at the top.
        root: String,
        /// The mount's flags (`nosuid`, …).
        #[serde(default)]
        flags: Option<BTreeSet<String>>,
        /// Where it is mounted.
        target: String,
    },
    /// Makes a file that takes space as it is written to, with an ext4 in it.
    MakeImage {
        /// The file.
        path: String,
        /// Its size in bytes.
        bytes: u64,
    },
    /// Removes it, and all that is in it.
    RemoveImage {
        /// The file.
        path: String,
        /// Its size in bytes.
        bytes: u64,
    },
    /// Mounts the ext4 in a file, by a loop device that goes with the mount.
    MountImage {
        /// The file.
        path: String,
        /// Where.
        target: String,
    },
    /// Takes a mount away; what is still in use stays until it is not.
    Unmount {
        /// Where it is mounted.
        target: String,
    },
    /// Makes a mount writable or read-only.
    Remount {
        /// Where it is mounted.
        target: String,
        /// The mount's other flags, which stay.
        flags: BTreeSet<String>,
        /// What it becomes.
        read_only: bool,
    },
    /// Makes a mount shared, or takes that back: a slave of what it was a slave of, private without such a master
    /// (mount_namespaces(7)).
    SetPropagation {
        /// Where it is mounted.
        target: String,
        /// Whether it becomes shared.
        shared: bool,
    },
    /// Gives a controller to the children of a version 2 cgroup.
    EnableController {
        /// The cgroup's directory.
        group: String,
        /// The controller.
        controller: String,
    },
    /// Takes it from them.
    DisableController {
        /// The cgroup's directory.
        group: String,
        /// The controller.
        controller: String,
    },
    /// Makes a character device's node.
    MakeNode {
        /// The node.
        path: String,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// Removes it.
    RemoveNode {
        /// The node.
        path: String,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// Sets an interface up or down.
    SetLink {
        /// Its name.
        name: String,
        /// Whether it is up then.
        up: bool,
    },
    /// Sets a sysctl.
    SetSysctl {
        /// Its file below /proc/sys.
        path: String,
        /// What it shall be.
        value: String,
        /// What it was.
        before: String,
    },
    /// Gives a cgroup a limit that the one above it has and holds anyway, so that what is in it can read it.
    SetGroupLimit {
        /// The limit's file in the cgroup (kernel Documentation/admin-guide/cgroup-v2.rst, Interface Files).
        path: String,
        /// What it shall be.
        value: String,
        /// What it was.
        before: String,
    },
    /// Gives the daemon one more flag when dindcheck starts it. The journal is what remembers it.
    AddFlag {
        /// The flag with its value, one word.
        flag: String,
    },
    /// Takes the flag back.
    DropFlag {
        /// The flag with its value, one word.
        flag: String,
    },
    /// Loads a module of the kernel, by the host's own modprobe.
    LoadModule {
        /// The module.
        name: String,
    },
    /// Takes it out again, unless it is in use by then. What was loaded along with it stays.
    UnloadModule {
        /// The module.
        name: String,
    },
    /// Gives the daemon another soft limit when dindcheck starts it. The journal is what remembers it.
    SetLimit {
        /// Which: `nofile` or `nproc`.
        name: String,
        /// What it shall be; `None` if unlimited.
        soft: Option<u64>,
        /// What it was; `None` if unlimited.
        before: Option<u64>,
    },
    /// Adds a rule to the end of a chain of the firewall.
    AddRule {
        /// The program that writes it.
        program: String,
        /// The table.
        table: String,
        /// The chain and the rule, in the program's words.
        rule: String,
    },
    /// Removes it.
    DropRule {
        /// The program that writes it.
        program: String,
        /// The table.
        table: String,
        /// The chain and the rule, in the program's words.
        rule: String,
    },
    /// Moves every process of a version 2 cgroup to another one.
    MoveProcesses {
        /// The cgroup that shall be empty.
        from: String,
        /// The cgroup that takes them.
        to: String,
    },
}

impl Step {
    /// Whether a fix goes on when this is refused: a controller that the kernel does not give must not cost the
    /// others, nor a module that is not there, nor a limit that holds anyway; and taking back what was refused changes
    /// nothing.
    #[must_use]
    pub fn may_be_refused(&self) -> bool {
        matches!(self, Self::EnableController { .. } | Self::LoadModule { .. } | Self::SetGroupLimit { .. })
    }

    /// Whether it can have been done in part when it fails: then it is taken back as well. What consists of one call of
    /// the kernel's has done nothing, and what is there then is not ours.
    #[must_use]
    pub fn may_be_half_done(&self) -> bool {
        matches!(
            self,
            Self::MountHierarchy { .. } | Self::SetLink { .. } | Self::AddRule { .. } | Self::MoveProcesses { .. }
        )
    }

    /// The capability without which the kernel refuses it (capabilities(7)); `None` if it takes no more than a file does.
    #[must_use]
    pub fn capability(&self) -> Option<&'static str> {
        match self {
            Self::MountFilesystem { .. }
            | Self::MountHierarchy { .. }
            | Self::KeepCgroupNamespace { .. }
            | Self::UnmountHierarchy { .. }
            | Self::MountImage { .. }
            | Self::Unmount { .. }
            | Self::Remount { .. }
            | Self::SetPropagation { .. } => Some("CAP_SYS_ADMIN"),
            Self::MakeNode { .. } | Self::RemoveNode { .. } => Some("CAP_MKNOD"),
            Self::AddRule { .. } | Self::DropRule { .. } => Some("CAP_NET_ADMIN"),
            _ => None,
        }
    }

    /// The mount that it takes away or makes another one of: what was read of it before holds no more.
    #[must_use]
    pub fn replaces_mount(&self) -> Option<&str> {
        match self {
            Self::MountFilesystem { target, .. }
            | Self::MountHierarchy { target, .. }
            | Self::UnmountHierarchy { target, .. }
            | Self::MountImage { target, .. }
            | Self::Unmount { target } => Some(target),
            _ => None,
        }
    }

    /// Whether what it did is still there when the container has been stopped and started again: files of it are, as
    /// far as they lie in its own layer; mounts, devices, rules and sysctls are new ones, and flags are decided again.
    #[must_use]
    pub fn outlives_the_container(&self) -> bool {
        match self {
            Self::MakeDirectory { path }
            | Self::RemoveDirectory { path }
            | Self::MakeLink { path, .. }
            | Self::RemoveLink { path, .. }
            | Self::WriteFile { path, .. }
            | Self::RemoveFile { path, .. }
            | Self::MakeImage { path, .. } => {
                !["/dev/", "/sys/", "/proc/"].iter().any(|mounted| path.starts_with(mounted))
            }
            _ => false,
        }
    }

    /// What takes this step back. Total, so that every fix can be undone.
    #[must_use]
    pub fn inverse(&self) -> Self {
        match self.clone() {
            Self::MakeDirectory { path } => Self::RemoveDirectory { path },
            Self::RemoveDirectory { path } => Self::MakeDirectory { path },
            Self::MakeLink { path, target } => Self::RemoveLink { path, target },
            Self::RemoveLink { path, target } => Self::MakeLink { path, target },
            Self::WriteFile { path, content } => Self::RemoveFile { path, content },
            Self::RemoveFile { path, content } => Self::WriteFile { path, content },
            Self::RemoveSocket { path, mode } => Self::MakeDeadSocket { path, mode },
            Self::MakeDeadSocket { path, mode } => Self::RemoveSocket { path, mode },
            Self::MountFilesystem { target, .. }
            | Self::MountHierarchy { target, .. }
            | Self::MountImage { target, .. } => Self::Unmount { target },
            Self::KeepCgroupNamespace { path } => Self::Unmount { target: path },
            Self::MakeImage { path, bytes } => Self::RemoveImage { path, bytes },
            Self::RemoveImage { path, bytes } => Self::MakeImage { path, bytes },
            Self::UnmountHierarchy { fstype, options, root, flags, target } => {
                Self::MountHierarchy { fstype, options, root, flags, target }
            }
            // No fix has it as a step of its own; as an inverse this is never inverted again.
            Self::Unmount { target } => Self::Unmount { target },
            Self::Remount { target, flags, read_only } => Self::Remount { target, flags, read_only: !read_only },
            Self::SetPropagation { target, shared } => Self::SetPropagation { target, shared: !shared },
            Self::EnableController { group, controller } => Self::DisableController { group, controller },
            Self::DisableController { group, controller } => Self::EnableController { group, controller },
            Self::MakeNode { path, major, minor } => Self::RemoveNode { path, major, minor },
            Self::RemoveNode { path, major, minor } => Self::MakeNode { path, major, minor },
            Self::SetLink { name, up } => Self::SetLink { name, up: !up },
            Self::SetSysctl { path, value, before } => Self::SetSysctl { path, value: before, before: value },
            Self::SetGroupLimit { path, value, before } => Self::SetGroupLimit { path, value: before, before: value },
            Self::AddFlag { flag } => Self::DropFlag { flag },
            Self::DropFlag { flag } => Self::AddFlag { flag },
            Self::LoadModule { name } => Self::UnloadModule { name },
            Self::UnloadModule { name } => Self::LoadModule { name },
            Self::AddRule { program, table, rule } => Self::DropRule { program, table, rule },
            Self::DropRule { program, table, rule } => Self::AddRule { program, table, rule },
            Self::SetLimit { name, soft, before } => Self::SetLimit { name, soft: before, before: soft },
            Self::MoveProcesses { from, to } => Self::MoveProcesses { from: to, to: from },
        }
    }

    /// The shell line that does the same.
    pub fn shell(&self) -> String {
        match self {
            Self::MakeDirectory { path } => format!("mkdir {}", quote(path)),
            Self::RemoveDirectory { path } => format!("rmdir {}", quote(path)),
            Self::MakeLink { path, target } => format!("ln -s {} {}", quote(target), quote(path)),
            Self::WriteFile { path, content } => format!("printf %s {} > {}", quote(content), quote(path)),
            Self::RemoveFile { path, .. } | Self::RemoveLink { path, .. } | Self::RemoveSocket { path, .. } => {
                format!("rm {}", quote(path))
            }
            Self::MakeDeadSocket { path, mode } => {
                format!("nc -lU {0} & kill $!; chmod {mode:o} {0}", quote(path))
            }
            Self::MountFilesystem { fstype, target, options } => {
                format!("mount -t {fstype} -o nosuid,nodev,noexec,{options} {fstype} {}", quote(target))
            }
            Self::MountHierarchy { fstype, options, root, flags, target } => {
                let line = hierarchy_line(fstype, options, root, target);
                match flags {
                    Some(flags) => format!("{line} && {}", remount_line(target, flags, false)),
                    None => line,
                }
            }
            Self::KeepCgroupNamespace { path } => format!("unshare --cgroup={} true", quote(path)),
            Self::MakeImage { path, bytes } => format!("truncate -s {bytes} {0} && mkfs.ext4 -q -m 0 {0}", quote(path)),
            Self::RemoveImage { path, .. } => format!("rm {}", quote(path)),
            Self::MountImage { path, target } => format!("mount -o loop {} {}", quote(path), quote(target)),
            Self::Unmount { target } | Self::UnmountHierarchy { target, .. } => format!("umount -l {}", quote(target)),
            Self::Remount { target, flags, read_only } => remount_line(target, flags, *read_only),
            Self::SetPropagation { target, shared } => {
                format!("mount --make-{} {}", if *shared { "shared" } else { "slave" }, quote(target))
            }
            Self::EnableController { group, controller } => {
                format!("echo +{controller} > {}", quote(&format!("{group}/cgroup.subtree_control")))
            }
            Self::DisableController { group, controller } => {
                format!("echo -{controller} > {}", quote(&format!("{group}/cgroup.subtree_control")))
            }
            Self::MakeNode { path, major, minor } => format!("mknod -m 600 {} c {major} {minor}", quote(path)),
            Self::RemoveNode { path, .. } => format!("rm {}", quote(path)),
            Self::SetSysctl { path, value, .. } | Self::SetGroupLimit { path, value, .. } => {
                format!("echo {} > {}", quote(value), quote(path))
            }
            Self::SetLink { name, up } => format!("ip link set {} {}", quote(name), if *up { "up" } else { "down" }),
            // For the line that starts the daemon: `dockerd "$@"`.
            Self::AddFlag { flag } => format!("set -- \"$@\" {}", quote(flag)),
            Self::DropFlag { flag } => format!("# without the daemon's flag {flag}"),
            Self::LoadModule { name } => format!("modprobe {name}"),
            Self::UnloadModule { name } if LOSES_DEVICES.contains(&name.as_str()) => format!("# {name} stays loaded"),
            Self::UnloadModule { name } => format!("rmmod {name} || true # It stays while it is used."),
            Self::AddRule { program, table, rule } => format!("{} -t {table} -A {rule}", quote(program)),
            Self::DropRule { program, table, rule } => format!("{} -t {table} -D {rule}", quote(program)),
            // For the shell that starts the daemon. That of processes has another letter in each shell.
            Self::SetLimit { name, soft, .. } => {
                let soft = soft.map_or_else(|| "unlimited".to_owned(), |soft| soft.to_string());
                match name.as_str() {
                    "nproc" => format!("ulimit -S -u {soft} 2> /dev/null || ulimit -S -p {soft}"),
                    _ => format!("ulimit -S -n {soft}"),
                }
            }
            Self::MoveProcesses { from, to } => format!(
                "for pid in $(grep -vx 0 {}); do echo $pid > {}; done",
                quote(&format!("{from}/cgroup.procs")),
                quote(&format!("{to}/cgroup.procs"))
            ),
        }
    }
}

fn remount_line(target: &str, flags: &BTreeSet<String>, read_only: bool) -> String {
    let mode = if read_only { "ro" } else { "rw" };
    let flags: String = flags.iter().map(|flag| format!(",{flag}")).collect();
    format!("mount -o remount,bind,{mode}{flags} {}", quote(target))
}

fn hierarchy_line(fstype: &str, options: &str, root: &str, target: &str) -> String {
    let options = if options.is_empty() { String::new() } else { format!(",{options}") };
    let whole = |point: &str| format!("mount -t {fstype} -o nosuid,nodev,noexec{options} {fstype} {}", quote(point));
    if root == "/" {
        return whole(target);
    }
    let staging = STAGING;
    format!(
        "mkdir -p {staging} && {} && mount --bind {} {} && umount -l {staging} && rmdir {staging}",
        whole(staging),
        quote(&format!("{staging}{root}")),
        quote(target),
    )
}

/// Quotes a word for the shell where it needs to be.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-,=:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hierarchy_below_the_root_is_bound() {
        let step = Step::MountHierarchy {
            fstype: "cgroup".to_owned(),
            options: "devices".to_owned(),
            root: "/docker/a".to_owned(),
            flags: None,
            target: "/sys/fs/cgroup/devices".to_owned(),
        };
        insta::assert_snapshot!(step.shell(), @"mkdir -p /run/dindcheck/whole && mount -t cgroup -o nosuid,nodev,noexec,devices cgroup /run/dindcheck/whole && mount --bind /run/dindcheck/whole/docker/a /sys/fs/cgroup/devices && umount -l /run/dindcheck/whole && rmdir /run/dindcheck/whole");
        assert_eq!(step.inverse(), Step::Unmount { target: "/sys/fs/cgroup/devices".to_owned() });
    }

    /// Each step, as the journal has it.
    const STEPS: &str = r#"[
        {"make-directory": {"path": "/a b"}},
        {"make-directory": {"path": "/dev/net"}},
        {"remove-directory": {"path": "/sys/fs/x"}},
        {"make-link": {"path": "/a", "target": "b"}},
        {"remove-link": {"path": "/proc/a", "target": "b"}},
        {"write-file": {"path": "/a", "content": "x y"}},
        {"remove-file": {"path": "/a", "content": "x y"}},
        {"remove-socket": {"path": "/a", "mode": 432}},
        {"make-dead-socket": {"path": "/a", "mode": 432}},
        {"mount-filesystem": {"fstype": "tmpfs", "target": "/a", "options": "mode=755"}},
        {"mount-hierarchy": {"fstype": "cgroup2", "options": "", "root": "/", "flags": ["nosuid", "noexec"], "target": "/a"}},
        {"keep-cgroup-namespace": {"path": "/a"}},
        {"unmount-hierarchy": {"fstype": "cgroup", "options": "none,name=x", "root": "/b", "target": "/a"}},
        {"make-image": {"path": "/a", "bytes": 4096}},
        {"remove-image": {"path": "/a", "bytes": 4096}},
        {"mount-image": {"path": "/a", "target": "/b"}},
        {"unmount": {"target": "/a"}},
        {"remount": {"target": "/a", "flags": ["nodev"], "read_only": true}},
        {"set-propagation": {"target": "/", "shared": true}},
        {"enable-controller": {"group": "/a", "controller": "memory"}},
        {"disable-controller": {"group": "/a", "controller": "memory"}},
        {"make-node": {"path": "/dev/fuse", "major": 10, "minor": 229}},
        {"remove-node": {"path": "/dev/fuse", "major": 10, "minor": 229}},
        {"set-link": {"name": "lo", "up": true}},
        {"set-sysctl": {"path": "/proc/sys/a", "value": "1", "before": "0 2"}},
        {"set-group-limit": {"path": "/a/pids.max", "value": "5", "before": "max"}},
        {"add-flag": {"flag": "--mtu=1400"}},
        {"drop-flag": {"flag": "--mtu=1400"}},
        {"load-module": {"name": "overlay"}},
        {"load-module": {"name": "bridge"}},
        {"unload-module": {"name": "overlay"}},
        {"set-limit": {"name": "nofile", "soft": 1024, "before": null}},
        {"set-limit": {"name": "nproc", "soft": null, "before": 7}},
        {"add-rule": {"program": "iptables", "table": "nat", "rule": "OUTPUT -j X"}},
        {"drop-rule": {"program": "iptables", "table": "nat", "rule": "OUTPUT -j X"}},
        {"move-processes": {"from": "/a", "to": "/a/init"}}
    ]"#;

    #[test]
    fn each_step_has_its_line_its_way_back_and_what_it_takes() {
        let steps: Vec<Step> = serde_json::from_str(STEPS).unwrap();
        let told = steps.iter().map(|step| {
            let marks = [
                step.may_be_refused().then_some("may be refused"),
                step.may_be_half_done().then_some("may be half done"),
                step.outlives_the_container().then_some("outlives the container"),
                step.capability(),
                step.replaces_mount(),
            ];
            let marks: Vec<&str> = marks.into_iter().flatten().collect();
            format!("{}\n  back: {}\n  {}\n", step.shell(), step.inverse().shell(), marks.join(", "))
        });
        insta::assert_snapshot!(told.collect::<String>());
    }

    /// What is taken back twice is as it was; of a mount only its end is.
    #[test]
    fn the_way_back_of_the_way_back_is_the_step() {
        let steps: Vec<Step> = serde_json::from_str(STEPS).unwrap();
        for step in steps {
            let back = step.inverse();
            match back.inverse() {
                Step::Unmount { .. } => {}
                twice => assert_eq!((twice == step, back == step), (true, false), "{step:?}: {back:?}"),
            }
        }
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quote("/a/b,c"), "/a/b,c");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
