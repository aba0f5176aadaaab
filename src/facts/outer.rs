//! What is around this container: engine, runtime, machine, by the marks of `profiles/outer`.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Fact, Root, mounts};
use crate::profile::outer::{Condition, Kind, Mark, Outer as Known, recognise};
use crate::version::EngineVersion;

/// What is around.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outer {
    /// Whether this looks like a container at all.
    pub in_container: bool,
    /// The engine that was asked to run it: an id of `profiles/outer`.
    pub engine: Option<String>,
    /// The engine's version, where the user says it: nothing inside tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<EngineVersion>,
    /// What runs it in place of runc, where that changes what is seen: an id of `profiles/outer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// The machine, where it is a special one: an id of `profiles/outer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// What was seen, each in a line.
    pub marks: Vec<String>,
}

impl Outer {
    /// The layers that have a name, outermost last.
    pub fn layers(&self) -> impl Iterator<Item = &str> {
        [&self.runtime, &self.engine, &self.machine].into_iter().flatten().map(String::as_str)
    }
}

/// Looks for the marks of the known ones.
pub fn read(root: &Root, known: &[Known]) -> Fact<Outer> {
    let text = |path: &str| match root.read(path) {
        Ok(text) => Some(text),
        Err(_) => root.exists(path).then(String::new),
    };
    let mut outer = Outer::default();
    for layer in recognise(known, &text) {
        outer.slot(layer.kind).get_or_insert_with(|| layer.id.clone());
        outer.marks.extend(layer.mark(&text).map(|mark| format!("{}: {}", layer.id, seen(mark))));
    }
    // Marks of some container, whoever made it.
    if let Some(value) = text("/proc/1/environ").as_deref().and_then(container_variable)
        && outer.engine.is_none()
    {
        outer.marks.push(format!("PID 1 has container={value}"));
    }
    if text("/proc/1/mountinfo").is_some_and(|mountinfo| is_overlay_root(&mountinfo)) {
        outer.marks.push("PID 1's root is an overlay".to_owned());
    }
    // A machine of a special kind is no container yet.
    outer.in_container = outer.marks.len() > usize::from(outer.machine.is_some());
    Ok(outer)
}

/// What the user says the outer engine is: `ENGINE` or `ENGINE:VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Which of `profiles/outer`.
    pub kind: Kind,
    /// Its id there.
    pub id: String,
    /// Its version.
    pub version: Option<EngineVersion>,
}

impl Said {
    /// Reads what was said; the id has to be one of the known ones.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str, known: &[Known]) -> Result<Self, String> {
        let (id, version) = match text.split_once(':') {
            Some((id, version)) => (id, Some(version.parse().map_err(|error| format!("{error}"))?)),
            None => (text, None),
        };
        match known.iter().find(|outer| outer.id == id) {
            Some(outer) => Ok(Self { kind: outer.kind, id: id.to_owned(), version }),
            None => {
                let ids: Vec<&str> = known.iter().map(|outer| outer.id.as_str()).collect();
                Err(format!("`{id}` is none of {}", ids.join(", ")))
            }
        }
    }
}

impl Outer {
    /// Takes the user's word for one layer.
    pub fn believe(&mut self, said: &Said) {
        *self.slot(said.kind) = Some(said.id.clone());
        self.in_container |= said.kind != Kind::Machine;
        self.version.clone_from(&said.version);
        self.marks.push(format!("{}: said with --outer", said.id));
    }

    fn slot(&mut self, kind: Kind) -> &mut Option<String> {
        match kind {
            Kind::Engine => &mut self.engine,
            Kind::Runtime => &mut self.runtime,
            Kind::Machine => &mut self.machine,
        }
    }
}

/// A mark in words.
fn seen(mark: &Mark) -> String {
    let mut words = String::new();
    for Condition { file, has, lacks } in &mark.all {
        let separator = if words.is_empty() { "" } else { ", " };
        let _ = match (has, lacks) {
            (Some(has), _) => write!(words, "{separator}{file} has `{}`", has.trim()),
            (None, Some(lacks)) => write!(words, "{separator}{file} has no `{}`", lacks.trim()),
            (None, None) => write!(words, "{separator}{file} exists"),
        };
    }
    words
}

/// What PID 1's `container=` says: podman, LXC and systemd-nspawn set it, and hack/dind does for systemd's sake.
fn container_variable(environment: &str) -> Option<&str> {
    environment.split('\0').find_map(|variable| variable.strip_prefix("container="))
}

/// A container's root is a mount of the engine's own; a machine's root comes from its disk.
fn is_overlay_root(mountinfo: &str) -> bool {
    mounts::parse(mountinfo).all.iter().any(|mount| mount.point == "/" && mount.fstype == "overlay")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_told_in_words() {
        let condition = |has: Option<&str>, lacks: Option<&str>| Condition {
            file: "/f".to_owned(),
            has: has.map(str::to_owned),
            lacks: lacks.map(str::to_owned),
        };
        let mark = |all| Mark { all, source: String::new() };
        assert_eq!(seen(&mark(vec![condition(None, None)])), "/f exists");
        assert_eq!(
            seen(&mark(vec![condition(Some("a"), None), condition(None, Some("b"))])),
            "/f has `a`, /f has no `b`"
        );
    }

    #[test]
    fn only_an_overlay_on_the_root_is_a_mark() {
        assert!(is_overlay_root("1 0 0:9 / / rw - overlay overlay rw"));
        assert!(!is_overlay_root("1 0 0:9 / /x rw - overlay overlay rw"));
        assert!(!is_overlay_root("1 0 0:9 / / rw - ext4 /dev/sda rw"));
        assert!(!is_overlay_root(""));
    }
}
