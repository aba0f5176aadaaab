//! image.user: the user of the image.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};

pub(super) const CHECK: Check = Check {
    id: "image.user",
    docs: Docs {
        title: "the user of the image",
        motivation: "A daemon that is not rootless has to be root in its container; --privileged gives a user nothing.",
        looks_at: "USER of the image, and whether RootlessKit or sudo is in it.",
        remedy: "USER root, or what a rootless engine takes: rootlesskit, uidmap, slirp4netns; or sudo without a password.",
        since: "1.0",
    },
    run,
};

fn run(Subject { image, .. }: Subject<'_>) -> Verdict {
    let user = image.config.user.as_str();
    let name = user.split(':').next().unwrap_or_default();
    if ["", "root", "0"].contains(&name) {
        return Verdict::pass("root");
    }
    if image.is_rootless() {
        return Verdict::pass(format!("{user}, for a rootless daemon"));
    }
    if image.find("sudo").is_some() {
        return Verdict::fail(Severity::Warning, format!("the image runs as {user}, who needs sudo to start a daemon"))
            .saw_wanted("USER", user, "root")
            .because("dindcheck goes on as root by sudo where that asks for no password; other entrypoints do not.")
            .remedy(format!("{user} ALL=(root) SETENV:NOPASSWD:/usr/local/bin/dindcheck, as a line in /etc/sudoers"));
    }
    Verdict::fail(Severity::Blocking, format!("the image runs as {user}, who cannot start a daemon"))
        .saw_wanted("USER", user, "root")
        .because("dockerd needs to be started with root privileges, and says so.")
        .remedy("USER root at the end of the Dockerfile")
        .remedy("or docker run --user root")
}
