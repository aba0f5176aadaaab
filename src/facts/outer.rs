//! What kind of container this is, by the marks that outer engines leave.

use serde::{Deserialize, Serialize};

use super::{Fact, Root};

/// The marks of an outer engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outer {
    /// Whether this looks like a container at all.
    pub in_container: bool,
    /// The engine that the marks speak for, where they do: `docker`, `podman`, `kubernetes`, `lxc`, …
    pub engine: Option<String>,
    /// The marks, each with what it says.
    pub marks: Vec<String>,
}

/// Looks for the marks.
pub fn read(root: &Root) -> Fact<Outer> {
    let mut marks = Vec::new();
    let mut engine = None;
    let mut mark = |name: Option<&str>, text: String| {
        marks.push(text);
        if engine.is_none() {
            engine = name.map(str::to_owned);
        }
    };
    // The variable is set by podman, LXC, systemd-nspawn; only root may read PID 1's environment.
    if let Ok(environment) = root.read("/proc/1/environ") {
        if environment.split('\0').any(|variable| variable.starts_with("KUBERNETES_SERVICE_HOST=")) {
            mark(Some("kubernetes"), "PID 1 has KUBERNETES_SERVICE_HOST".to_owned());
        }
        if let Some(value) = environment.split('\0').find_map(|variable| variable.strip_prefix("container=")) {
            // hack/dind exports container=docker, which says nothing about the engine around it.
            let name = (!value.is_empty() && value != "docker").then_some(value);
            mark(name, format!("PID 1 has container={value}"));
        }
    }
    for (path, name) in [("/run/.containerenv", "podman"), ("/.dockerenv", "docker"), ("/.dockerinit", "docker")] {
        if root.exists(path) {
            mark(Some(name), format!("{path} exists"));
        }
    }
    // `docker`, `kubepods`, `lxc` … as a component of PID 1's cgroup, where the namespace does not hide it.
    if let Ok(cgroup) = root.read("/proc/1/cgroup") {
        for (component, name) in
            [("docker", "docker"), ("kubepods", "kubernetes"), ("libpod", "podman"), ("lxc.payload", "lxc")]
        {
            let line = cgroup.lines().find(|line| {
                line.rsplit(':').next().is_some_and(|path| path.split('/').any(|part| part.starts_with(component)))
            });
            if let Some(line) = line {
                mark(Some(name), format!("/proc/1/cgroup says {line}"));
            }
        }
    }
    // A container's root is a mount of the engine's own; a machine's root comes from its disk.
    if let Ok(mountinfo) = root.read("/proc/1/mountinfo")
        && mountinfo.lines().any(|line| {
            let mut fields = line.split(' ').skip(4);
            fields.next() == Some("/") && line.contains(" - overlay ")
        })
    {
        mark(None, "PID 1's root is an overlay".to_owned());
    }
    let in_container = !marks.is_empty();
    Ok(Outer { in_container, engine, marks })
}
