//! storage.in-use: a data-root of one's own.

use crate::check::{Check, Docs, leftovers};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "storage.in-use",
    docs: Docs {
        title: "a data-root of one's own",
        motivation: "Two daemons on one data-root spoil each other's state. The second one hangs and dies with a \
                     bare \"timeout\" on a database that the first has locked.",
        looks_at: "Whether the databases in the data-root are locked, while no daemon of this container runs.",
        remedy: "A volume for each outer container.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let storage = facts.storage.as_ref()?;
    let leftovers = facts.leftovers.as_ref()?;
    let Some(first) = storage.locked.first() else {
        return Ok(Verdict::pass("no database is locked"));
    };
    if leftovers.pidfiles.iter().any(leftovers::is_engine) {
        return Ok(Verdict::pass("the daemon of this container runs"));
    }
    Ok(Verdict::fail(Severity::Blocking, format!("{} is in use by another daemon", storage.data_root))
        .saw_wanted(format!("flock {first}"), "locked", "free")
        .because("No daemon of this container runs, so that it is one of another container, or of the host.")
        .remedy("give each outer container a volume of its own: docker run -v /var/lib/docker …")
        .source("bbolt: flock; moby#22416, moby#14072; docker/for-linux#274"))
}
