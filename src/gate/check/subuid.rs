//! image.subuid: ranges of subordinate users.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};
use crate::gate::image::by_name;

pub(super) const CHECK: Check = Check {
    id: "image.subuid",
    docs: Docs {
        title: "ranges of subordinate users",
        motivation: "With userns-remap, and for a rootless daemon, the user needs a range of 65536 users and groups, \
                     or the daemon does not start.",
        looks_at: "/etc/subuid and /etc/subgid in the image, for the user that is remapped to or that runs the daemon.",
        remedy: "echo dockremap:165536:65536 into both files.",
        since: "1.10",
    },
    run,
};

fn run(Subject { image, .. }: Subject<'_>) -> Verdict {
    let configuration = image.configuration(None).ok();
    let remap = configuration.as_ref().and_then(|own| own.userns_remap()).map(str::to_owned);
    let user = match (remap, image.is_rootless()) {
        // The daemon makes this user and its ranges, if it can.
        (Some(remap), _) if remap == "default" => "dockremap".to_owned(),
        (Some(remap), _) => remap.split(':').next().unwrap_or_default().to_owned(),
        (None, true) => image.config.user.split(':').next().unwrap_or_default().to_owned(),
        (None, false) => return Verdict::not_applicable("neither userns-remap nor rootless"),
    };
    let passwd = image.text("/etc/passwd").unwrap_or_default();
    let aliases = aliases(&passwd, &user);
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = image.text(file).unwrap_or_default();
        let ranges = by_name(&text);
        let sizes = aliases.iter().filter_map(|name| ranges.get(name)?.rsplit(':').next()?.trim().parse::<u64>().ok());
        let size = sizes.max();
        if size.is_none_or(|size| size < 65_536) {
            let had = size.map_or_else(|| "no range".to_owned(), |size| format!("{size} numbers"));
            return Verdict::fail(Severity::Blocking, format!("{user} has {had} in {file}"))
                .saw_wanted(file, had, format!("{user}:165536:65536"))
                .because("The daemon cannot map the users of its containers, and ends.")
                .remedy(format!("RUN echo {user}:165536:65536 >> {file}"));
        }
    }
    Verdict::pass(format!("{user} has ranges in both files"))
}

/// A user's name and number, of which one is known (passwd(5)).
fn aliases<'t>(passwd: &'t str, user: &'t str) -> Vec<&'t str> {
    let lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut both: Vec<&str> = lines
        .filter_map(|fields| Some((*fields.first()?, *fields.get(2)?)))
        .filter(|(name, id)| *name == user || *id == user)
        .flat_map(|(name, id)| [name, id])
        .collect();
    both.push(user);
    both
}
