//! image.iptables: iptables in the image.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};
use crate::gate::image::Node;

pub(super) const CHECK: Check = Check {
    id: "image.iptables",
    docs: Docs {
        title: "iptables in the image",
        motivation: "Without iptables the daemon does not start. Which flavour works depends on the host's kernel, so \
                     an image that has only the legacy one fails on hosts that have dropped it.",
        looks_at: "iptables in PATH of the image, the program behind its links, and which flavours there are.",
        remedy: "Install iptables, with both flavours: iptables and, on Alpine, iptables-legacy.",
        since: "1.0",
    },
    run,
};

fn run(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
    if !profile.binaries_required.value.iter().any(|name| name == "iptables") {
        return Verdict::not_applicable(format!("Docker {} does without", profile.version));
    }
    if !image.find("iptables").is_some_and(|(_, node)| is_program(node)) {
        return Verdict::fail(Severity::Blocking, "there is no iptables in the image that can be run")
            .saw_wanted(format!("PATH={}", image.path()), "no such program, or a link that leads nowhere", "iptables")
            .because("dockerd writes its firewall rules with it, and ends where it cannot.")
            .remedy("apt-get install iptables, or apk add iptables")
            .source(profile.binaries_required.source.clone());
    }
    let flavours: Vec<&str> =
        ["nft", "legacy"].into_iter().filter(|flavour| image.find(&format!("iptables-{flavour}")).is_some()).collect();
    let path = image.find("iptables").map(|(path, _)| path).unwrap_or_default();
    match flavours.as_slice() {
        ["legacy"] => Verdict::fail(Severity::Warning, "the legacy iptables is the only one")
            .saw_wanted("PATH of the image", path, "xtables-nft-multi too")
            .because("Kernels from 6.17 on may have no legacy tables (CONFIG_NETFILTER_XTABLES_LEGACY).")
            .remedy("install the iptables for nftables too; DOCKER_IPTABLES_LEGACY chooses"),
        [] => Verdict::pass(path),
        flavours => Verdict::pass(format!("{path}, of {}", flavours.join(" and "))),
    }
}

fn is_program(node: &Node) -> bool {
    matches!(node, Node::File { executable: true, program: Some(_), .. })
}
