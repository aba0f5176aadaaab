//! cgroup.version: cgroup version.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::cgroup::{Cgroup, Mode, PROC_CGROUP};
use crate::finding::{Severity, Verdict};
use crate::profile::{CgroupV1, Profile};

pub(in crate::check) const CHECK: Check = Check {
    id: "cgroup.version",
    docs: Docs {
        title: "cgroup version",
        motivation: "Engines before 20.10 know version 1 only. On a host with version 2 alone they find no \
                     devices controller and die. From 29 on version 1 is on its way out.",
        looks_at: "/proc/self/cgroup: hierarchies with controllers are version 1.",
        remedy: "A newer engine inside, or a host booted with systemd.unified_cgroup_hierarchy=0.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let cgroup = facts.cgroup.as_ref()?;
    if cgroup.mode != Mode::Unified {
        let name = mode_name(cgroup.mode);
        return Ok(match profile.cgroup_v1.value {
            CgroupV1::Supported => Verdict::pass(format!("{name} host")),
            CgroupV1::Deprecated => {
                Verdict::fail(Severity::Info, format!("{name} host: this engine works there, and warns"))
                    .saw_wanted(PROC_CGROUP, memberships(cgroup), "one line, 0::/…: version 2 alone")
                    .because(format!(
                        "Docker {} calls cgroup v1 deprecated; a later one will not work there.",
                        profile.version
                    ))
                    .remedy("boot the host with systemd.unified_cgroup_hierarchy=1 (the default from systemd 247 on)")
                    .source(profile.cgroup_v1.source.clone())
            }
            CgroupV1::Unsupported => {
                Verdict::fail(Severity::Blocking, "the host has cgroup v1, which this engine does not know any more")
                    .saw_wanted(PROC_CGROUP, memberships(cgroup), "0::/… alone")
                    .because(format!("Docker {} needs a host with cgroup v2 alone.", profile.version))
                    .remedy("boot the host with systemd.unified_cgroup_hierarchy=1, or use an older engine inside")
                    .source(profile.cgroup_v1.source.clone())
            }
        });
    }
    if profile.cgroup_v2.value {
        return Ok(Verdict::pass("unified host (v2), which this engine knows"));
    }
    Ok(Verdict::fail(Severity::Blocking, "the host has cgroup v2 only, which this engine does not know")
        .saw_wanted(PROC_CGROUP, memberships(cgroup), "hierarchies with v1 controllers")
        .because(format!(
            "Docker {} looks for v1 controllers and dies with \"{}\".",
            profile.version, profile.cgroup_missing_error.value
        ))
        .remedy("use Docker 20.10 or later inside")
        .remedy("or boot the host with systemd.unified_cgroup_hierarchy=0 (systemd before 258)")
        .source(profile.cgroup_v2.source.clone()))
}

fn memberships(cgroup: &Cgroup) -> String {
    let lines: Vec<String> =
        cgroup.own.iter().map(|own| format!("{}:{}:{}", own.hierarchy, own.controllers.join(","), own.path)).collect();
    lines.join(" ")
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Legacy => "v1",
        Mode::Hybrid => "hybrid (v1 controllers, v2 beside)",
        Mode::Unified => "unified (v2)",
    }
}
