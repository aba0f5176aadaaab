//! Files that should be in the image, and such that should not.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Evidence, Severity, Verdict};
use crate::gate::image::Node;

pub(super) const CERTIFICATES: Check = Check {
    id: "image.certificates",
    docs: Docs {
        title: "certificate authorities",
        motivation: "Without the bundle of certificate authorities the daemon pulls from no registry: \"x509: \
                     certificate signed by unknown authority\".",
        looks_at: "The places where Go programs look for the bundle (crypto/x509/root_linux.go).",
        remedy: "Install ca-certificates.",
        since: "1.0",
    },
    run: certificates,
};

/// crypto/x509/root_linux.go: certFiles; and the last directory of certDirectories.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

fn certificates(Subject { image, .. }: Subject<'_>) -> Verdict {
    if let Some(bundle) = BUNDLES.iter().find(|path| image.tree.resolve(path).is_some()) {
        return Verdict::pass(*bundle);
    }
    if image.tree.below("/etc/ssl/certs").next().is_some() {
        return Verdict::pass("/etc/ssl/certs");
    }
    Verdict::fail(Severity::Warning, "there is no bundle of certificate authorities in the image")
        .saw_wanted("/etc/ssl/certs", "nothing", BUNDLES[0])
        .because("A pull from any registry ends with \"x509: certificate signed by unknown authority\".")
        .remedy("apt-get install ca-certificates, or apk add ca-certificates")
        .source("Go crypto/x509/root_linux.go: certFiles, certDirectories")
}

pub(super) const LEFTOVERS: Check = Check {
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
    run: leftovers,
};

fn leftovers(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
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
