//! The programs in the image.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};
use crate::gate::image::{Node, Program};
use crate::profile::DockerProxy;

pub(super) const ENGINE: Check = Check {
    id: "image.engine",
    docs: Docs {
        title: "the engine in the image",
        motivation: "What an image needs depends on the version of the engine in it, so that has to be known.",
        looks_at: "The build information of dockerd, the package database, DOCKER_VERSION of the image, or --inner.",
        remedy: "Install the engine, or give its version with --inner.",
        since: "1.0",
    },
    run: engine,
};

fn engine(Subject { engine, profile, .. }: Subject<'_>) -> Verdict {
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

pub(super) const PROGRAMS: Check = Check {
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
    run: programs,
};

fn programs(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
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

pub(super) const PAIRING: Check = Check {
    id: "image.pairing",
    docs: Docs {
        title: "versions that do not go together",
        motivation: "The engine is released with a containerd and a runc that it was tested with. With some others \
                     every container fails.",
        looks_at: "The versions of containerd, runc and crun, against the bad pairings of the profile.",
        remedy: "Install the version that the engine was released with.",
        since: "18.09",
    },
    run: pairing,
};

fn pairing(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
    let mut versions = Vec::new();
    for name in ["containerd", "runc", "crun"] {
        let Some(said) = image.version_of(name) else { continue };
        let bad = profile.runtime_bad_pairings.value.iter().find(|bad| {
            bad.program == name
                && bad.from.as_ref().is_none_or(|from| said.version >= *from)
                && bad.before.as_ref().is_none_or(|before| said.version < *before)
        });
        if let Some(bad) = bad {
            // In which outer engine it will run is not known here.
            let everywhere = bad.outer.is_empty();
            let severity = if everywhere { Severity::Blocking } else { Severity::Info };
            let place = if everywhere { String::new() } else { format!(" in {}", bad.outer.join(", ")) };
            return Verdict::fail(
                severity,
                format!("{name} {} with Docker {}{place}: {}", said.version, profile.version, bad.effect),
            )
            .saw(said.by, said.version.to_string())
            .remedy(bad.remedy.clone())
            .source(profile.runtime_bad_pairings.source.clone());
        }
        versions.push(format!("{name} {}", said.version));
    }
    if versions.is_empty() {
        return Verdict::not_applicable("neither containerd nor runc reports its version");
    }
    Verdict::pass(versions.join(", "))
}

pub(super) const LIBC: Check = Check {
    id: "image.libc",
    docs: Docs {
        title: "processor and C library",
        motivation: "A program for another processor, or one linked against glibc in an image with musl, cannot be \
                     run, and the error is a misleading \"no such file or directory\".",
        looks_at: "The ELF headers of the engine's programs: the machine, and the dynamic linker that has to be there.",
        remedy: "Take the programs for this processor and this C library, or the static ones.",
        since: "1.0",
    },
    run: libc,
};

fn libc(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
    let mut kinds: Vec<&str> = Vec::new();
    for name in &profile.binaries_required.value {
        let Some((path, Node::File { program: Some(Program { architecture: Some(own), interpreter, .. }), .. })) =
            image.find(name)
        else {
            continue;
        };
        let wanted = image.config.architecture.as_str();
        if !wanted.is_empty() && own != wanted {
            return Verdict::fail(Severity::Blocking, format!("{name} is for {own}, and the image for {wanted}"))
                .saw_wanted(path, own.clone(), wanted)
                .because("The kernel refuses it with \"exec format error\".")
                .remedy(format!("install the {name} for {wanted}"));
        }
        let kind = match interpreter.as_deref() {
            None => "static",
            Some(linker) if image.find(linker).is_none() => {
                return Verdict::fail(Severity::Blocking, format!("{name} needs {linker}, which is not in the image"))
                    .saw_wanted(path, linker, "a dynamic linker that is there")
                    .because("It was built for another C library; running it gives \"no such file or directory\".")
                    .remedy("install the engine's packages of this distribution, or the static programs");
            }
            Some(linker) if linker.contains("musl") => "musl",
            Some(_) => "glibc",
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    match kinds.as_slice() {
        [] => Verdict::not_applicable("there is no program to look at"),
        kinds => Verdict::pass(kinds.join(", ")),
    }
}

pub(super) const IPTABLES: Check = Check {
    id: "image.iptables",
    docs: Docs {
        title: "iptables in the image",
        motivation: "Without iptables the daemon does not start. Which flavour works depends on the host's kernel, so \
                     an image that has only the legacy one fails on hosts that have dropped it.",
        looks_at: "iptables in PATH of the image, the program behind its links, and which flavours there are.",
        remedy: "Install iptables, with both flavours: iptables and, on Alpine, iptables-legacy.",
        since: "1.0",
    },
    run: iptables,
};

fn iptables(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
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
