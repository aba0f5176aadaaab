//! mounts.writable: places to write to.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::leftovers::KEY;
use crate::finding::{Evidence, Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "mounts.writable",
    docs: Docs {
        title: "places to write to",
        motivation: "In a container with a read-only root (--read-only, readOnlyRootFilesystem) the daemon has no \
                     place for its socket and its state below /run, and dies; without /tmp no `docker exec` works; \
                     and before 23.0 it makes a key in /etc/docker, which may be a read-only ConfigMap.",
        looks_at: "The mounts below the directories beside the data-root that this version and its programs write \
                   to, in /proc/self/mountinfo.",
        remedy: "A tmpfs on each: --tmpfs /run --tmpfs /tmp, before 23.0 --tmpfs /etc/docker; on Kubernetes an \
                 emptyDir.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let mounts = facts.mounts.as_ref()?;
    let has_key = facts.leftovers.as_ref().is_ok_and(|leftovers| leftovers.has_key);
    let (required, wanted) = (&profile.directories_required, &profile.directories_wanted);
    let read_only: Vec<_> = required
        .value
        .iter()
        .chain(&wanted.value)
        .filter(|path| !(has_key && KEY.starts_with(path.as_str())))
        .filter_map(|path| Some((path, mounts.of(path).filter(|mount| mount.is_read_only())?)))
        .collect();
    let paths: Vec<&str> = read_only.iter().map(|(path, _)| path.as_str()).collect();
    if paths.is_empty() {
        let all: Vec<&str> = required.value.iter().chain(&wanted.value).map(String::as_str).collect();
        return Ok(Verdict::pass(all.join(", ")));
    }
    let blocks = read_only.iter().any(|(path, _)| required.value.contains(path));
    let (severity, reason) = if blocks {
        (Severity::Blocking, "The daemon makes something there before it starts, and dies.")
    } else {
        (Severity::Warning, "What `docker exec` shall run is written there: it fails.")
    };
    let tmpfs: Vec<String> = paths.iter().map(|path| format!("--tmpfs {path}")).collect();
    Ok(Verdict::fail(severity, format!("read-only: {}", paths.join(", ")))
        .evidence(read_only.iter().map(|(path, mount)| Evidence {
            location: mount.location(),
            value: format!("{path}: {}", mount.describe()),
            wanted: Some("rw".to_owned()),
        }))
        .because(reason)
        .remedy(format!("docker run {} …", tmpfs.join(" ")))
        .remedy("on Kubernetes: an emptyDir on each, or no readOnlyRootFilesystem")
        .source(required.source.as_str())
        .source(wanted.source.as_str()))
}
