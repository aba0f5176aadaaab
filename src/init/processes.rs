//! The processes below us.

use std::collections::{BTreeMap, BTreeSet};

use nix::unistd::Pid;

use crate::facts::Root;
use crate::process::stat::Stat;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// Its name, as the kernel keeps it.
    pub name: String,
}

/// All children of ours and theirs that still run. What somebody else started in this container (`docker exec`) is no
/// child of anybody here, and not among them; a zombie waits to be reaped and does no harm.
pub fn below_us() -> Vec<Process> {
    let root = Root::new("/");
    let mut all = BTreeMap::new();
    for name in root.list("/proc").unwrap_or_default() {
        let Ok(pid) = name.parse::<i32>() else { continue };
        if let Some(stat) = root.read(&format!("/proc/{pid}/stat")).ok().as_deref().and_then(Stat::parse) {
            all.insert(pid, stat);
        }
    }
    descendants(&all, i32::try_from(std::process::id()).unwrap_or_default())
}

/// Whether a process of this number runs; a zombie does not.
pub fn runs(pid: &str) -> bool {
    let stat = Root::new("/").read(&format!("/proc/{pid}/stat")).ok().as_deref().and_then(Stat::parse);
    stat.is_some_and(|stat| !stat.is_over())
}

fn descendants(all: &BTreeMap<i32, Stat>, ancestor: i32) -> Vec<Process> {
    let mut family = BTreeSet::from([ancestor]);
    // A child can have a smaller number than its parent, once numbers have come round.
    loop {
        let size = family.len();
        family.extend(
            all.iter().filter(|(_, stat)| family.contains(&stat.parent)).map(|(pid, _)| *pid).collect::<Vec<_>>(),
        );
        if family.len() == size {
            break;
        }
    }
    all.iter()
        .filter(|(pid, stat)| **pid != ancestor && family.contains(pid) && !stat.is_over())
        .map(|(pid, stat)| Process { pid: Pid::from_raw(*pid), name: stat.name.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_found_whatever_its_numbers_and_names() {
        let all = [
            (1, "1 (dindcheck) S 0 1"),
            (9, "9 (dockerd) S 1 9"),
            (5, "5 (a (b) c) S 9 5"),
            (6, "6 (gone) Z 9 5"),
            (20, "20 (sh) S 0 20"),
            (21, "21 (sleep) S 20 20"),
        ]
        .into_iter()
        .map(|(pid, stat)| (pid, Stat::parse(stat).unwrap()))
        .collect();
        let names: Vec<String> = descendants(&all, 1).into_iter().map(|process| process.name).collect();
        assert_eq!(names, ["a (b) c", "dockerd"]);
        assert_eq!(Stat::parse("garbage"), None);
    }
}
