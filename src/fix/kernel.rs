//! Mends of the kernel: its modules, which are the host's.

use super::step::Step;
use super::{Fix, Scope};
use crate::fact::Fact;
use crate::facts::kernel::Kernel;

/// Loads those of the modules that the kernel can load and has not; in the order given, so that each step is one
/// module: what others rest on comes first. None where there is nothing to load, or no way to.
pub fn load(check: &'static str, kernel: &Fact<Kernel>, modules: &[String]) -> Option<Fix> {
    let kernel = kernel.as_ref().ok()?;
    let missing: Vec<&String> = modules.iter().filter(|name| kernel.would_load(name)).collect();
    if missing.is_empty() {
        return None;
    }
    let title = format!("load {} on the host", missing.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "));
    let steps = missing.into_iter().map(|name| Step::LoadModule { name: name.clone() }).collect();
    Some(Fix { check, title, scope: Scope::Host, steps })
}
