//! The mount table, from mountinfo.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use procfs::process::{MountInfo, MountOptFields};
use serde::{Deserialize, Serialize};

use super::{Fact, Root};

/// Where the table is read from.
pub const MOUNTINFO: &str = "/proc/self/mountinfo";

/// One line of mountinfo. Paths are unescaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The line's number in the file, from 1.
    pub line: usize,
    /// The mount's id.
    pub id: i32,
    /// The id of the mount that it lies on.
    pub parent: i32,
    /// The directory of the file system that is mounted.
    pub root: String,
    /// Where it is mounted.
    pub point: String,
    /// The mount's own options.
    pub options: BTreeMap<String, Option<String>>,
    /// The peer group that mount events are shared with; `None` if private or slave.
    pub shared: Option<u32>,
    /// The type of the file system.
    pub fstype: String,
    /// What is mounted.
    pub source: String,
    /// The options of the file system itself.
    pub super_options: BTreeMap<String, Option<String>>,
}

impl Mount {
    /// Whether nothing can be written here: by the mount's option or by that of the file system below.
    pub fn is_read_only(&self) -> bool {
        self.options.contains_key("ro") || self.super_options.contains_key("ro")
    }

    /// The flags of the mount itself, without whether it can be written to.
    pub fn flags(&self) -> BTreeSet<String> {
        self.options.keys().filter(|name| !is_mode(name)).cloned().collect()
    }

    /// The options of the file system itself, without whether it can be written to.
    pub fn file_system_options(&self) -> impl Iterator<Item = (&String, &Option<String>)> {
        self.super_options.iter().filter(|(name, _)| !is_mode(name))
    }

    /// Where this stands, for evidence.
    pub fn location(&self) -> String {
        format!("{MOUNTINFO}:{}", self.line)
    }

    /// The mount in a few words, for evidence.
    pub fn describe(&self) -> String {
        let mode = if self.is_read_only() { "ro" } else { "rw" };
        format!("{} on {}, {mode}, root {}", self.fstype, self.point, self.root)
    }
}

fn is_mode(option: &str) -> bool {
    ["ro", "rw"].contains(&option)
}

/// The mount table, in the kernel's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounts {
    /// The mounts.
    pub all: Vec<Mount>,
    /// The lines that could not be understood: number and text.
    pub odd: Vec<(usize, String)>,
}

impl Mounts {
    /// The mount that a path lies on: the last one mounted at the longest prefix.
    pub fn of(&self, path: &str) -> Option<&Mount> {
        self.all
            .iter()
            .filter(|mount| Path::new(path).starts_with(&mount.point))
            .max_by_key(|mount| (Path::new(&mount.point).components().count(), mount.line))
    }

    /// The topmost mount exactly at a path.
    pub fn at(&self, point: &str) -> Option<&Mount> {
        self.all.iter().rev().find(|mount| mount.point == point)
    }
}

/// Reads the table.
pub fn read(root: &Root) -> Fact<Mounts> {
    root.read(MOUNTINFO).map(|text| parse(&text))
}

/// Understands mountinfo line by line, so that one odd line does not cost the table
/// (proc_pid_mountinfo(5) has the format).
pub fn parse(text: &str) -> Mounts {
    let mut mounts = Mounts { all: Vec::new(), odd: Vec::new() };
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match MountInfo::from_line(line) {
            Ok(info) => mounts.all.push(convert(index + 1, info)),
            Err(_) => mounts.odd.push((index + 1, line.to_owned())),
        }
    }
    mounts
}

fn convert(line: usize, info: MountInfo) -> Mount {
    Mount {
        line,
        id: info.mnt_id,
        parent: info.pid,
        root: unescape(&info.root),
        point: unescape(&info.mount_point.to_string_lossy()),
        options: info.mount_options.into_iter().collect(),
        shared: info.opt_fields.iter().find_map(|field| match field {
            MountOptFields::Shared(group) => Some(*group),
            _ => None,
        }),
        fstype: info.fs_type,
        source: info.mount_source.map(|source| unescape(&source)).unwrap_or_default(),
        super_options: info.super_options.into_iter().collect(),
    }
}

/// Undoes the kernel's octal escapes (`\040` for a space); what is no escape stays as it is.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal =
            after.get(..3).filter(|digits| first == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        let value = octal.and_then(|digits| {
            digits.iter().try_fold(0u8, |value, digit| value.checked_mul(8)?.checked_add(digit - b'0'))
        });
        match value {
            Some(value) => {
                bytes.push(value);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
this line is odd
31 27 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs rw,mode=755
32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 27 0:40 / /mnt\\040space rw - tmpfs none rw
";

    #[test]
    fn an_odd_line_does_not_cost_the_table() {
        let mounts = parse(TABLE);
        assert_eq!(mounts.all.len(), 4);
        assert_eq!(mounts.odd, [(2, "this line is odd".to_owned())]);
        assert_eq!(mounts.at("/mnt space").map(|mount| mount.line), Some(5));
    }

    #[test]
    fn the_mount_of_a_path_is_the_deepest_by_components() {
        let mounts = parse(TABLE);
        assert_eq!(mounts.of("/sys/fs/cgroup/cpu,cpuacct/x").map(|mount| mount.fstype.as_str()), Some("cgroup"));
        assert_eq!(mounts.of("/sys/fs/cgroupish").map(|mount| mount.fstype.as_str()), Some("ext4"));
    }

    #[test]
    fn read_only_and_propagation_are_seen() {
        let mounts = parse(TABLE);
        assert!(mounts.at("/sys/fs/cgroup").is_some_and(Mount::is_read_only));
        assert_eq!(mounts.at("/").and_then(|mount| mount.shared), Some(1));
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in "(\\PC|[\n\\\\0-9/: -])*") {
            let _ = parse(&text);
        }
    }
}
