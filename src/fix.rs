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
