//! image.ports: ports of the image.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};

pub(super) const CHECK: Check = Check {
    id: "image.ports",
    docs: Docs {
        title: "ports of the image",
        motivation: "CI runners dial the ports that a service's image exposes to learn when it is ready: without any, \
                     GitLab's runner warns and waits in every job; with 2376 alone, it waits 30 s where TLS is turned off.",
        looks_at: "EXPOSE of the image.",
        remedy: "EXPOSE 2375 2376",
        since: "1.0",
    },
    run,
};

/// The daemon's ports without and with TLS.
const DAEMON_PORTS: [&str; 2] = ["2375", "2376"];

fn run(Subject { image, .. }: Subject<'_>) -> Verdict {
    let exposed = |port: &&str| image.config.ports.iter().any(|own| own.split('/').next() == Some(port));
    let missing: Vec<&str> = DAEMON_PORTS.into_iter().filter(|port| !exposed(port)).collect();
    if missing.is_empty() {
        return Verdict::pass(image.config.ports.join(" "));
    }
    Verdict::fail(Severity::Info, format!("not exposed: {}", missing.join(", ")))
        .saw_wanted("EXPOSE", image.config.ports.join(" "), DAEMON_PORTS.join(" "))
        .because("GitLab's runner dials exposed ports to learn when a service is ready, and waits in vain for others.")
        .remedy(format!("EXPOSE {} in the Dockerfile", missing.join(" ")))
        .source("gitlab-runner executors/docker/services.go: waitForServiceContainer")
}
