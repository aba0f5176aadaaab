//! What the image's clients need beside a daemon that works: notes, since not every image needs them.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};

pub(super) const PORTS: Check = Check {
    id: "image.ports",
    docs: Docs {
        title: "ports of the image",
        motivation: "CI runners dial the ports that a service's image exposes to learn when it is ready: without any, \
                     GitLab's runner warns and waits in every job; with 2376 alone, it waits 30 s where TLS is turned off.",
        looks_at: "EXPOSE of the image.",
        remedy: "EXPOSE 2375 2376",
        since: "1.0",
    },
    run: ports,
};

/// The daemon's ports without and with TLS.
const DAEMON_PORTS: [&str; 2] = ["2375", "2376"];

fn ports(Subject { image, .. }: Subject<'_>) -> Verdict {
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

pub(super) const PLUGINS: Check = Check {
    id: "image.plugins",
    docs: Docs {
        title: "plugins of the client",
        motivation: "From 23.0 on `docker build` is done by the plugin buildx; without it the client falls back to the \
                     builder that is to be removed, and `docker compose` is an unknown command.",
        looks_at: "The directories in which the client looks for its plugins (docker/cli, cli-plugins/manager).",
        remedy: "Install docker-buildx and docker-compose (Docker's own packages: docker-buildx-plugin, docker-compose-plugin; Alpine: docker-cli-buildx, docker-cli-compose).",
        since: "19.03",
    },
    run: plugins,
};

/// docker/cli cli-plugins/manager/manager_unix.go: defaultSystemPluginDirs, and that of root's own configuration.
const PLUGIN_DIRECTORIES: [&str; 5] = [
    "/root/.docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

fn plugins(Subject { image, .. }: Subject<'_>) -> Verdict {
    if image.find("docker").is_none() {
        return Verdict::not_applicable("there is no docker client in the image");
    }
    let is_there = |name: &str| {
        PLUGIN_DIRECTORIES.iter().any(|directory| image.tree.resolve(&format!("{directory}/docker-{name}")).is_some())
    };
    let missing: Vec<&str> = ["buildx", "compose"].into_iter().filter(|name| !is_there(name)).collect();
    if missing.is_empty() {
        return Verdict::pass("buildx and compose");
    }
    Verdict::fail(Severity::Info, format!("the docker client has no plugin {}", missing.join(" and none ")))
        .saw_wanted(PLUGIN_DIRECTORIES.join(", "), "nothing", format!("docker-{}", missing.join(", docker-")))
        .because("`docker build` falls back to the legacy builder, and `docker compose` is an unknown command.")
        .remedy("apt-get install docker-buildx docker-compose (Docker's own packages: docker-buildx-plugin docker-compose-plugin), or apk add docker-cli-buildx docker-cli-compose")
        .source("docker/cli cli-plugins/manager/manager_unix.go")
}

pub(super) const GROUP: Check = Check {
    id: "image.group",
    docs: Docs {
        title: "group of the socket",
        motivation: "The daemon gives its socket to a group. One that is asked for and not there ends the daemon; \
                     without a group `docker` root alone may use the socket.",
        looks_at: "/etc/group in the image, against --group, `group` in daemon.json, and the default `docker`.",
        remedy: "groupadd --system docker, or addgroup -S docker.",
        since: "1.0",
    },
    run: group,
};

/// The group unless one is named (moby daemon/command/config_unix.go).
const DEFAULT_GROUP: &str = "docker";

fn group(Subject { image, .. }: Subject<'_>) -> Verdict {
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
