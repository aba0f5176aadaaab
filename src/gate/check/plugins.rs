//! image.plugins: plugins of the client.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};

pub(super) const CHECK: Check = Check {
    id: "image.plugins",
    docs: Docs {
        title: "plugins of the client",
        motivation: "From 23.0 on `docker build` is done by the plugin buildx; without it the client falls back to the \
                     builder that is to be removed, and `docker compose` is an unknown command.",
        looks_at: "The directories in which the client looks for its plugins (docker/cli, cli-plugins/manager).",
        remedy: "Install docker-buildx and docker-compose (Docker's own packages: docker-buildx-plugin, docker-compose-plugin; Alpine: docker-cli-buildx, docker-cli-compose).",
        since: "19.03",
    },
    run,
};

/// docker/cli cli-plugins/manager/manager_unix.go: defaultSystemPluginDirs, and that of root's own configuration.
const PLUGIN_DIRECTORIES: [&str; 5] = [
    "/root/.docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

fn run(Subject { image, .. }: Subject<'_>) -> Verdict {
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
