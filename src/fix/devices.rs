//! Mends of device nodes.

use std::collections::BTreeSet;
use std::path::Path;

use super::Fix;
use super::step::Step;
use crate::facts::devices::Device;

/// Makes the nodes of drivers that the kernel has.
pub fn make_nodes(check: &'static str, devices: &[&Device]) -> Fix {
    let mut steps = Vec::new();
    let mut directories = BTreeSet::new();
    for device in devices {
        if let Some(parent) = Path::new(&device.path).parent().map(|parent| parent.display().to_string())
            && !device.has_directory
            && directories.insert(parent.clone())
        {
            steps.push(Step::MakeDirectory { path: parent });
        }
        steps.push(Step::MakeNode { path: device.path.clone(), major: device.major, minor: device.minor });
    }
    Fix::in_container(check, "make the device nodes that are missing", steps)
}
