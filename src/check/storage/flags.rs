//! storage.flags: mount flags of the data-root.

use super::location;
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::storage::Directory;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "storage.flags",
    docs: Docs {
        title: "mount flags of the data-root",
        motivation: "With noexec nothing in a volume or in a container of vfs can be run; with nodev no device of \
                     an image works.",
        looks_at: "noexec and nodev of the mounts below the directories that carry layers.",
        remedy: "A volume or tmpfs without them (docker run --tmpfs /var/lib/docker:exec,dev).",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let storage = facts.storage.as_ref()?;
    let flags = |directory: &Directory| {
        [(directory.noexec, "noexec"), (directory.nodev, "nodev")]
            .into_iter()
            .filter_map(|(set, name)| set.then_some(name))
            .collect::<Vec<_>>()
    };
    let Some(directory) = storage.directories.iter().find(|directory| directory.noexec) else {
        return Ok(Verdict::pass("programs can be run there"));
    };
    Ok(Verdict::fail(Severity::Warning, format!("{} is mounted {}", directory.path, flags(directory).join(", ")))
        .saw_wanted(location(directory), flags(directory).join(","), "neither")
        .because("Programs in volumes, and in containers of the vfs driver, cannot be run.")
        .remedy("docker run --tmpfs /var/lib/docker:exec,dev …, or a volume")
        .source("mount(8): noexec, nodev"))
}
