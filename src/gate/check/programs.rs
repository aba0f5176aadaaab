//! image.programs: engine programs in the image.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};
use crate::profile::DockerProxy;

pub(super) const CHECK: Check = Check {
    id: "image.programs",
    docs: Docs {
        title: "engine programs in the image",
        motivation: "From 1.11 the engine is several programs, and which it needs changed with the versions: 25.0 and \
                     later do not start without docker-proxy. A missing one shows up as a start that times out, or as \
                     the first container that fails.",
        looks_at: "Each program that the profile names, in PATH of the image, links followed.",
        remedy: "Install the packages that the image leaves out, or fix PATH.",
        since: "1.11",
    },
    run,
};

fn run(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
    let absent =
        |names: &[String]| -> Vec<String> { names.iter().filter(|name| image.find(name).is_none()).cloned().collect() };
    let needed = &profile.binaries_required;
    let mut missing = absent(&needed.value);
    // What iptables needs has a rule of its own.
    missing.retain(|name| name != "iptables");
    if !missing.is_empty() {
        let mut verdict = Verdict::fail(Severity::Blocking, format!("not in the image: {}", missing.join(", ")))
            .saw_wanted(format!("PATH={}", image.path()), "no such program", needed.value.join(" "))
            .because(format!("Docker {} does not start, or runs no container, without them.", profile.version))
            .remedy(format!("install {} in the image, or put their directory into PATH", missing.join(", ")))
            .source(needed.source.clone());
        if missing.iter().any(|name| name == "docker-proxy")
            && profile.netfilter_docker_proxy.value == DockerProxy::Required
        {
            verdict = verdict.source(profile.netfilter_docker_proxy.source.clone());
        }
        return verdict;
    }
    let optional = absent(&profile.binaries_optional.value);
    if optional.is_empty() {
        return Verdict::pass(needed.value.join(", "));
    }
    Verdict::fail(Severity::Info, format!("not in the image, can be done without: {}", optional.join(", ")))
        .saw(format!("PATH={}", image.path()), "no such program")
        .source(profile.binaries_optional.source.clone())
}
