//! Mends as values: what would be done, in which scope, step by step. Only [`apply`] carries them out.

pub mod apply;
pub mod cgroup;
pub mod configuration;
pub mod devices;
pub mod journal;
pub mod kernel;
pub mod leftovers;
pub mod limits;
pub mod linux;
pub mod mounts;
pub mod netfilter;
pub mod network;
pub(crate) mod replaced;
pub mod step;
pub mod storage;
pub mod system;

use std::collections::BTreeSet;

use serde::Serialize;

use step::Step;

/// Whom a fix touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// This container alone.
    Container,
    /// The host or its kernel; only with `--allow-host-changes`.
    Host,
}

/// One mend of one finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// The check that must pass afterwards.
    pub check: &'static str,
    /// What it does, as an order: `mount the v1 hierarchies`.
    pub title: String,
    /// Whom it touches.
    pub scope: Scope,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl Fix {
    /// A fix that touches this container alone.
    pub fn in_container(check: &'static str, title: impl Into<String>, steps: Vec<Step>) -> Self {
        Self { check, title: title.into(), scope: Scope::Container, steps }
    }
}

/// What is left of fixes that are carried out one after another without a look between them: no step on a mount that
/// an earlier fix has removed, and no fix without steps.
pub fn one_after_another<'f>(fixes: impl IntoIterator<Item = &'f Fix>) -> Vec<Fix> {
    let mut gone: BTreeSet<String> = BTreeSet::new();
    let mut left = Vec::new();
    for fix in fixes {
        let mut fix = fix.clone();
        let acts_on_gone = |step: &Step| match step {
            Step::SetPropagation { target, .. } | Step::Remount { target, .. } => gone.contains(target),
            step => step.replaces_mount().is_some_and(|target| gone.contains(target)),
        };
        fix.steps.retain(|step| !acts_on_gone(step));
        for step in &fix.steps {
            match step {
                Step::UnmountHierarchy { target, .. } | Step::Unmount { target } => {
                    gone.insert(target.clone());
                }
                step => {
                    step.replaces_mount().map(|target| gone.remove(target));
                }
            }
        }
        if !fix.steps.is_empty() {
            left.push(fix);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_planned_for_a_mount_that_is_gone() {
        let hierarchy = |target: &str| ("cgroup2".to_owned(), String::new(), "/".to_owned(), None, target.to_owned());
        let unmount = |target: &str| {
            let (fstype, options, root, flags, target) = hierarchy(target);
            Step::UnmountHierarchy { fstype, options, root, flags, target }
        };
        let mount = |target: &str| {
            let (fstype, options, root, flags, target) = hierarchy(target);
            Step::MountHierarchy { fstype, options, root, flags, target }
        };
        let share = |target: &str| Step::SetPropagation { target: target.to_owned(), shared: true };
        let fix = |check, steps| Fix::in_container(check, "x", steps);
        let hybrid = fix("cgroup.hybrid", vec![unmount("/v2")]);
        let own = fix("cgroup.namespace", vec![unmount("/v1"), mount("/v1"), unmount("/v2"), mount("/v2")]);
        let shared = fix("mounts.propagation", vec![share("/v1"), share("/v2")]);
        let only = fix("x", vec![share("/v2")]);
        let planned = one_after_another([&hybrid, &own, &shared, &only]);
        let steps: Vec<_> = planned.into_iter().map(|fix| fix.steps).collect();
        let wanted = [vec![unmount("/v2")], vec![unmount("/v1"), mount("/v1")], vec![share("/v1")]];
        assert_eq!(steps, wanted);
        assert_eq!(one_after_another([&own, &shared]), [own.clone(), shared.clone()]);
    }
}
