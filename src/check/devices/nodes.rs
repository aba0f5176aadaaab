//! devices.nodes: device nodes.

use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::devices::Nvidia;
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "devices.nodes",
    docs: Docs {
        title: "device nodes",
        motivation: "A privileged inner container gets the devices that this one has. Without /dev/fuse there is no \
                     fuse-overlayfs in it, without /dev/net/tun no VPN, without /dev/loop-control no image is \
                     mounted, and without /dev/kmsg no kubelet starts.",
        looks_at: "/dev/fuse, /dev/net/tun, /dev/loop-control, /dev/mapper/control and /dev/kmsg are opened, where the kernel has their \
                   drivers loaded; where there are nodes of NVIDIA's GPUs, /proc/driver/nvidia and specifications of CDI are looked for.",
        remedy: "--privileged, or --device for each of them; dindcheck --fix makes nodes that are missing.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "makes the nodes that are missing", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let devices = facts.devices.as_ref()?;
    let hidden = devices.nvidia.as_ref().filter(|gpu| !gpu.driver && gpu.specifications.is_empty());
    let broken: Vec<_> =
        devices.all.iter().filter_map(|device| Some((device.path.as_str(), device.error.clone()?))).collect();
    if let Some(gpu) = hidden.filter(|_| broken.is_empty()) {
        return Ok(without_driver(gpu));
    }
    if broken.is_empty() {
        let paths: Vec<&str> = devices.all.iter().map(|device| device.path.as_str()).collect();
        return Ok(Verdict::pass(paths.join(", ")));
    }
    let paths: Vec<&str> = broken.iter().map(|(path, _)| *path).collect();
    Ok(Verdict::fail(Severity::Info, format!("cannot be opened: {}", paths.join(", ")))
        .evidence(broken.into_iter().map(|(path, error)| Evidence {
            location: path.to_owned(),
            value: error,
            wanted: Some("it can be opened".to_owned()),
        }))
        .because("Inner containers that need them do without, privileged ones too.")
        .remedy("start the outer container with --privileged, or with --device for each of them")
        .source("moby daemon/oci_linux.go: WithDevices; kernel Documentation/admin-guide/devices.txt"))
}

/// The nodes of the GPUs alone are of no use to containers: the toolkit asks the driver's directory, or CDI, what belongs to them.
fn without_driver(gpu: &Nvidia) -> Verdict {
    Verdict::fail(Severity::Info, "inner containers get no GPU: neither /proc/driver/nvidia nor a specification of CDI")
        .saw_wanted("/proc/driver/nvidia", "not there", format!("shown beside {}", gpu.nodes.join(", ")))
        .saw_wanted("/etc/cdi, /var/run/cdi", "empty", "a specification")
        .because(
            "NVIDIA's toolkit finds the GPU by the directory of the driver; the daemon finds it by specifications of CDI. \
             With --gpus, or --device nvidia.com/gpu=all, a container fails at its start.",
        )
        .remedy("start the outer container with --gpus all -e NVIDIA_DRIVER_CAPABILITIES=all and without a mask on /proc/driver")
        .remedy("or run nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml inside")
        .source("libnvidia-container src/driver.c, src/nvc_info.c; moby daemon/cdi.go")
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let devices = facts.devices.as_ref().ok()?;
    let privileges = facts.privileges.as_ref().ok()?;
    // In a container without privileges the devices that are not listed are refused, node or no node; in a user
    // namespace no node is made at all (fs/namei.c, vfs_mknod: capable, not ns_capable).
    if !privileges.initial_user_namespace || !privileges.effective.contains("CAP_SYS_ADMIN") {
        return None;
    }
    let missing: Vec<_> = devices.all.iter().filter(|device| !device.is_there && !device.refused).collect();
    (!missing.is_empty()).then(|| fix::devices::make_nodes(CHECK.id, &missing))
}
