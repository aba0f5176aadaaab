//! image.engine: the engine in the image.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};

pub(super) const CHECK: Check = Check {
    id: "image.engine",
    docs: Docs {
        title: "the engine in the image",
        motivation: "What an image needs depends on the version of the engine in it, so that has to be known.",
        looks_at: "The build information of dockerd, the package database, DOCKER_VERSION of the image, or --inner.",
        remedy: "Install the engine, or give its version with --inner.",
        since: "1.0",
    },
    run,
};

fn run(Subject { engine, profile, .. }: Subject<'_>) -> Verdict {
    match engine {
        None => Verdict::fail(Severity::Blocking, "there is no engine in the image, or it does not report its version")
            .saw_wanted("PATH of the image", "no dockerd of a known version", "dockerd")
            .because(format!("It is judged by the newest profile, {}; what follows may not hold.", profile.profile))
            .remedy("install the engine in the image, or put its directory into PATH")
            .remedy("or give the version: --inner 28.5.2"),
        Some(engine) if profile.stands_in => {
            Verdict::fail(Severity::Info, format!("Docker {} is newer than every profile", engine.version))
                .saw(engine.by.clone(), engine.version.to_string())
                .because(format!("It is judged by the newest, {}.", profile.profile))
        }
        Some(engine) => {
            Verdict::pass(format!("Docker {} ({}), judged by {}", engine.version, engine.by, profile.profile))
        }
    }
}
