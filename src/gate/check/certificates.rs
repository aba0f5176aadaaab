//! image.certificates: certificate authorities.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};

pub(super) const CHECK: Check = Check {
    id: "image.certificates",
    docs: Docs {
        title: "certificate authorities",
        motivation: "Without the bundle of certificate authorities the daemon pulls from no registry: \"x509: \
                     certificate signed by unknown authority\".",
        looks_at: "The places where Go programs look for the bundle (crypto/x509/root_linux.go).",
        remedy: "Install ca-certificates.",
        since: "1.0",
    },
    run,
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

fn run(Subject { image, .. }: Subject<'_>) -> Verdict {
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
