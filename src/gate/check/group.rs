//! image.group: group of the socket.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};

pub(super) const CHECK: Check = Check {
    id: "image.group",
    docs: Docs {
        title: "group of the socket",
        motivation: "The daemon gives its socket to a group. One that is asked for and not there ends the daemon; \
                     without a group `docker` root alone may use the socket.",
        looks_at: "/etc/group in the image, against --group, `group` in daemon.json, and the default `docker`.",
        remedy: "groupadd --system docker, or addgroup -S docker.",
        since: "1.0",
    },
    run,
};

/// The group unless one is named (moby daemon/command/config_unix.go).
const DEFAULT_GROUP: &str = "docker";

fn run(Subject { image, .. }: Subject<'_>) -> Verdict {
    let configuration = image.configuration(None).ok();
    let named = configuration.as_ref().and_then(|configuration| configuration.group());
    let name = named.unwrap_or(DEFAULT_GROUP);
    if name.is_empty() || name.parse::<u32>().is_ok() {
        return Verdict::pass("none is needed");
    }
    let text = image.text("/etc/group").unwrap_or_default();
    if text.lines().any(|line| line.split(':').next() == Some(name)) {
        return Verdict::pass(name);
    }
    // moby daemon/listeners/listeners_linux.go: only the default may be absent.
    let is_asked = named.is_some_and(|named| named != DEFAULT_GROUP);
    let (severity, effect) = if is_asked {
        (Severity::Blocking, "The daemon ends: group not found.")
    } else {
        (Severity::Info, "The socket is root's alone: other users of the image cannot use the daemon.")
    };
    Verdict::fail(severity, format!("there is no group {name} in the image"))
        .saw_wanted("/etc/group", "no such line", format!("{name}:x:…"))
        .because(effect)
        .remedy(format!("RUN groupadd --system {name} in the Dockerfile (Alpine: addgroup -S {name})"))
        .source("moby daemon/listeners/listeners_linux.go: Init")
}
