//! Where inner containers are in the cgroup tree: below the outer container's own part, or beside it.

use std::fs;
use std::time::Duration;

use super::nest::Nest;
use super::scenario::blocking;
use super::work::Work;
use crate::facts::cgroup::{Membership, parse_memberships};
use crate::finding::Verdict;

/// Compares the container's place with our own.
pub(super) fn prove(nest: &Nest<'_>, work: &Work) {
    let start = std::time::Instant::now();
    let verdict = match work.state.pid {
        None => Verdict::unknown("the daemon does not report which process the container is"),
        Some(pid) => match (read("self"), read(&pid.to_string())) {
            (Ok(own), Ok(inner)) => judge(&own, &inner),
            (Err(error), _) | (_, Err(error)) => Verdict::unknown(format!("cannot be told: {error}")),
        },
    };
    nest.ledger.write("cgroup", verdict, Duration::from_nanos(u64::try_from(start.elapsed().as_nanos()).unwrap_or(0)));
}

fn read(pid: &str) -> Result<Vec<Membership>, String> {
    let path = format!("/proc/{pid}/cgroup");
    fs::read_to_string(&path).map(|text| parse_memberships(&text)).map_err(|error| format!("read {path}: {error}"))
}

/// The container has to be below the place of the outer container in each hierarchy that we share.
fn judge(own: &[Membership], inner: &[Membership]) -> Verdict {
    let mut escaped = Vec::new();
    let mut below = Vec::new();
    for place in own {
        let Some(theirs) =
            inner.iter().find(|theirs| theirs.hierarchy == place.hierarchy && theirs.controllers == place.controllers)
        else {
            continue;
        };
        let name = if place.controllers.is_empty() { "v2".to_owned() } else { place.directory() };
        // A hierarchy in which neither has been moved (name=systemd of old outer engines, the empty v2 one of a
        // hybrid host) limits nothing.
        if theirs.path == "/" && place.path == "/" {
            continue;
        }
        let top = outer_part(&place.path);
        if is_below(&theirs.path, top) {
            below.push((name, theirs.path.clone()));
        } else {
            escaped.push((name, theirs.path.clone(), top.to_owned()));
        }
    }
    if escaped.is_empty() {
        let mut verdict = match below.is_empty() {
            true => Verdict::unknown("no hierarchy tells where the container is"),
            false => Verdict::pass("limits and accounting of the outer container hold for inner ones"),
        };
        for (name, path) in below {
            verdict = verdict.saw(format!("/proc/PID/cgroup: {name}"), path);
        }
        return verdict;
    }
    let names: Vec<&str> = escaped.iter().map(|(name, ..)| name.as_str()).collect();
    let mut verdict =
        blocking(format!("inner containers are outside of the outer container's cgroup: {}", names.join(", ")));
    for (name, path, top) in escaped {
        verdict = verdict.saw_wanted(format!("/proc/PID/cgroup: {name}"), path, format!("{top}, or below"));
    }
    verdict
        .because("The outer container's limits do not hold for them, and its accounting does not see them.")
        .remedy("docker run --cgroupns=private … on a v2 host; leave out -v /sys/fs/cgroup:/sys/fs/cgroup")
}

/// The outer container's part of the tree. On v2 its own processes were moved below, so that controllers can be handed
/// on: to `init`, or by systemd to `init.scope`; and what enters a container of LXC or Incus gets `.lxc` or `.lxc-N` there
/// (lxc src/lxc/cgroups/cgfsng.c, cgroup_attach_leaf).
fn outer_part(own: &str) -> &str {
    match own.rsplit_once('/') {
        Some((above, "init" | "init.scope" | ".lxc")) => above,
        Some((above, last)) if last.starts_with(".lxc-") => above,
        _ => own,
    }
}

/// Whether a path is another one or below it: the cgroup itself is where processes stay in a hierarchy that the inner
/// engine leaves alone (v2 on a hybrid host). In a private namespace what lies outside begins with `/..`
/// (cgroup_namespaces(7)).
fn is_below(path: &str, top: &str) -> bool {
    if path == "/.." || path.starts_with("/../") {
        return false;
    }
    let top = top.trim_end_matches('/');
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Outcome;

    fn outcome(own: &str, inner: &str) -> Outcome {
        judge(&parse_memberships(own), &parse_memberships(inner)).outcome
    }

    #[test]
    fn below_is_below_in_every_kind_of_tree() {
        assert_eq!(outcome("4:memory:/docker/o", "4:memory:/docker/o/docker/i"), Outcome::Pass);
        assert_eq!(outcome("4:memory:/docker/o", "4:memory:/docker/i"), Outcome::Fail);
        assert_eq!(outcome("4:memory:/docker/o", "4:memory:/docker/other/i"), Outcome::Fail);
        assert_eq!(outcome("0::/docker/o", "0::/docker/o"), Outcome::Pass);
        assert_eq!(outcome("0::/docker/o", "0::/docker/other"), Outcome::Fail);
        assert_eq!(outcome("0::/", "0::/docker/i"), Outcome::Pass);
        assert_eq!(outcome("0::/init", "0::/docker/i"), Outcome::Pass);
        assert_eq!(outcome("0::/init.scope", "0::/system.slice/docker-i.scope"), Outcome::Pass);
        assert_eq!(outcome("0::/", "0::/../i"), Outcome::Fail);
        assert_eq!(outcome("0::/.lxc", "0::/docker/i"), Outcome::Pass);
        assert_eq!(outcome("0::/lxc.payload.o/.lxc-2", "0::/lxc.payload.o/docker/i"), Outcome::Pass);
        assert_eq!(outcome("0::/lxc.payload.o/.lxc", "0::/docker/i"), Outcome::Fail);
        assert_eq!(outcome("4:memory:/o\n1:name=systemd:/", "4:memory:/o/i\n1:name=systemd:/"), Outcome::Pass);
        assert_eq!(outcome("1:name=systemd:/", "1:name=systemd:/"), Outcome::Unknown);
        assert_eq!(outcome("", ""), Outcome::Unknown);
    }
}
