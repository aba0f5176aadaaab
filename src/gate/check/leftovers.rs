//! image.leftovers: leftovers baked into the image.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Evidence, Severity, Verdict};
use crate::gate::image::Node;

pub(super) const CHECK: Check = Check {
    id: "image.leftovers",
    docs: Docs {
        title: "leftovers baked into the image",
        motivation: "An image committed from a running daemon brings its pid files and sockets along. A pid file names \
                     a process that every container has, so that the daemon takes itself for running already; a \
                     containerd socket that nothing listens on keeps it from starting its own.",
        looks_at: "The pid files and sockets that this version looks at, in the image.",
        remedy: "Remove them in the Dockerfile, or commit a container that was stopped in order.",
        since: "1.0",
    },
    run,
};

fn run(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
    let found: Vec<Evidence> = profile
        .pidfiles
        .value
        .iter()
        .chain(&profile.sockets.value)
        .filter_map(|path| {
            let (real, node) = image.tree.resolve(path)?;
            let value = match node {
                Node::File { content: Some(content), .. } => {
                    format!("process {}", String::from_utf8_lossy(content).trim())
                }
                _ => "a socket that nothing listens on".to_owned(),
            };
            Some(Evidence { location: real, value, wanted: Some("no file".to_owned()) })
        })
        .collect();
    if found.is_empty() {
        return Verdict::pass("none");
    }
    let names: Vec<String> = found.iter().map(|evidence| evidence.location.clone()).collect();
    Verdict::fail(Severity::Blocking, format!("baked into the image: {}", names.join(", ")))
        .evidence(found)
        .because("The daemon of every container finds them at its first start, and takes them for signs of life.")
        .remedy(format!("RUN rm -f {}", names.join(" ")))
        .remedy("or dindcheck --fix as the entrypoint, which removes what is stale")
        .source(profile.pidfiles.source.clone())
}
