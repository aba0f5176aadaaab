//! The processes of the nest: the daemon, what it started, and what that left running.
//!
//! They are told from the supervisor's other children, and from orphans of a `docker exec` in the outer container, by a
//! variable that the daemon's environment has, and by the cgroups that the daemon has put them in.

use std::collections::{BTreeMap, BTreeSet};

use crate::fact::Root;
use crate::foreign::Foreign;
use crate::process::stat::Stat;
use crate::supervisor::NEST;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its name, as the kernel keeps it.
    pub name: Foreign,
}

/// All processes of the nest that still run; a zombie waits to be reaped and does no harm. Asked by a child of the
/// supervisor, whose value of the variable `mark` is.
pub fn processes(mark: &str) -> Vec<Process> {
    let root = Root::new("/");
    let supervisor = nix::unistd::getppid().as_raw();
    let all = all(&root);
    let own_cgroups = cgroups(&root, supervisor);
    let is_of_nest = |pid: i32| has_mark(&root, pid, mark) || is_in_container(&cgroups(&root, pid), &own_cgroups);
    let heads = all.iter().filter(|(_, stat)| stat.parent == supervisor).map(|(pid, _)| *pid);
    let heads: Vec<i32> = heads.filter(|pid| is_of_nest(*pid)).collect();
    family(&all, &heads)
}

fn has_mark(root: &Root, pid: i32, mark: &str) -> bool {
    let mark = format!("{NEST}={mark}");
    root.read(&format!("/proc/{pid}/environ")).unwrap_or_default().split('\0').any(|variable| variable == mark)
}

/// Whether a process of this number runs; a zombie does not.
pub fn runs(pid: &str) -> bool {
    let stat = Root::new("/").read(&format!("/proc/{pid}/stat")).ok().as_deref().and_then(Stat::parse);
    stat.is_some_and(|stat| !stat.is_over())
}

fn all(root: &Root) -> BTreeMap<i32, Stat> {
    let mut all = BTreeMap::new();
    for name in root.list("/proc").unwrap_or_default() {
        let Ok(pid) = name.parse::<i32>() else { continue };
        if let Some(stat) = root.read(&format!("/proc/{pid}/stat")).ok().as_deref().and_then(Stat::parse) {
            all.insert(pid, stat);
        }
    }
    all
}

/// The cgroups of a process: controllers, and path (cgroups(7)).
fn cgroups(root: &Root, pid: i32) -> BTreeMap<String, String> {
    let text = root.read(&format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let line = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        Some((controllers.to_owned(), path.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// Whether these cgroups are a container's of the inner daemon: somewhere else than the supervisor's, which may lie in a
/// leaf of its own. What `docker exec` starts in the outer container is in the outer container's.
fn is_in_container(theirs: &BTreeMap<String, String>, own: &BTreeMap<String, String>) -> bool {
    theirs.iter().any(|(controllers, path)| {
        own.get(controllers).is_some_and(|own| {
            let above = own.rsplit_once('/').map_or("", |(above, _)| above);
            path != own && path.trim_end_matches('/') != above
        })
    })
}

/// These processes and all below them, those that are over left out.
fn family(all: &BTreeMap<i32, Stat>, heads: &[i32]) -> Vec<Process> {
    let mut family: BTreeSet<i32> = heads.iter().copied().collect();
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
        .filter(|(pid, stat)| family.contains(pid) && !stat.is_over())
        .map(|(pid, stat)| Process { pid: *pid, name: stat.name.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Sleeper, alone};

    #[test]
    fn the_family_is_found_whatever_its_numbers_and_names() {
        let all = [
            (1, "1 (dindcheck) S 0 1"),
            (9, "9 (dockerd) S 1 9"),
            (5, "5 (a (b) c) S 9 5"),
            (6, "6 (gone) Z 9 5"),
            (20, "20 (sh) S 0 20"),
            (21, "21 (sleep) S 1 20"),
        ]
        .into_iter()
        .map(|(pid, stat)| (pid, Stat::parse(stat).unwrap()))
        .collect();
        let names: Vec<Foreign> = family(&all, &[9]).into_iter().map(|process| process.name).collect();
        assert_eq!(names, ["a (b) c", "dockerd"].map(Foreign::from));
    }

    #[test]
    fn processes_are_read_with_their_marks_and_cgroups() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path());
        let write = |path: &str, text: &str| {
            let path = root.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("/proc/5/stat", "5 (a) S 1 5");
        write("/proc/5/environ", &format!("A=b\0{NEST}=17\0C=d\0"));
        write("/proc/5/cgroup", "3:memory:/docker/a:b\nodd\n0::/x\n");
        write("/proc/6/stat", "odd");
        write("/proc/self/stat", "7 (self) S 1 7");
        assert_eq!(all(&root).into_iter().map(|(pid, stat)| (pid, stat.name)).collect::<Vec<_>>(), [(5, "a".into())]);
        assert!(has_mark(&root, 5, "17") && !has_mark(&root, 5, "1") && !has_mark(&root, 6, ""));
        let cgroups = cgroups(&root, 5).into_iter().collect::<Vec<_>>();
        assert_eq!(
            cgroups,
            [("", "/x"), ("memory", "/docker/a:b")].map(|(name, path)| (name.to_owned(), path.to_owned()))
        );
        assert!(runs(&std::process::id().to_string()) && !runs("0") && !runs("no number"));
    }

    #[test]
    fn a_container_is_told_from_the_outer_container_by_its_cgroups() {
        let map = |lines: &[(&str, &str)]| {
            lines.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let own = map(&[("memory", "/docker/outer"), ("", "/init")]);
        assert!(!is_in_container(&own, &own));
        assert!(is_in_container(&map(&[("memory", "/docker/outer/docker/inner")]), &own));
        assert!(is_in_container(&map(&[("", "/docker/inner")]), &own));
        // A process that `docker exec` has put into the container's own cgroup, above the leaf.
        assert!(!is_in_container(&map(&[("", "/")]), &own));
    }

    #[test]
    fn the_nest_is_what_has_its_mark_and_what_that_has_started() {
        let mut command = alone::command(|| {
            let child = Sleeper::start();
            let pids = |mark: &str| processes(mark).into_iter().map(|process| process.pid).collect::<BTreeSet<_>>();
            let wanted = [std::process::id(), child.0.id()].map(|pid| i32::try_from(pid).unwrap());
            assert_eq!(pids("17-4"), BTreeSet::from(wanted));
            assert_eq!(pids("17-40"), BTreeSet::new());
        });
        let _other = Sleeper::start();
        alone::passes(command.env(NEST, "17-4"));
    }
}
