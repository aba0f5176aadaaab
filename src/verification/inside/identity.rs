//! Who a process in the container is, and what it may do.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{done, saw, want};
use crate::facts::mounts;
use crate::finding::Evidence;
use crate::process;

/// Where it stands what clone3(2) says.
pub(in crate::verification) const CLONE3: &str = "clone3 without arguments";

/// How long the daemon may take to set the size of a terminal that is there already. A process that is gone by then would
/// be an error of the daemon's ("cannot resize a stopped container"), so this is patient with a busy machine.
const SIZE_WITHIN: Duration = Duration::from_secs(30);

/// The terminal.
pub(super) fn terminal() -> Vec<Evidence> {
    // The size is set after the start, so it may come later.
    let size = || terminal_size::terminal_size().map(|(width, height)| format!("{}x{}", width.0, height.0));
    let deadline = Instant::now() + SIZE_WITHIN;
    let mut seen = size();
    while seen.as_deref() != Some("101x41") && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
        seen = size();
    }
    let is_terminal = |yes: bool| if yes { "a terminal" } else { "no terminal" };
    vec![
        want("standard input", is_terminal(io::stdin().is_terminal()), "a terminal"),
        want("standard output", is_terminal(io::stdout().is_terminal()), "a terminal"),
        want("its size", seen.unwrap_or_else(|| "unknown".to_owned()), "101x41"),
    ]
}

/// The user that was asked for.
pub(super) fn user() -> Vec<Evidence> {
    let refused = fs::write("/written-by-a-user", "");
    vec![
        want("user", nix::unistd::geteuid(), "1234"),
        want("group", nix::unistd::getegid(), "2345"),
        want("effective capabilities", status("CapEff"), "0000000000000000"),
        want("write to /", done(refused), "Permission denied (os error 13)"),
    ]
}

/// What the container's processes may do.
pub(super) fn security() -> Vec<Evidence> {
    let label = fs::read_to_string("/proc/self/attr/current").unwrap_or_default();
    vec![
        saw("Seccomp", status("Seccomp")),
        saw("NoNewPrivs", status("NoNewPrivs")),
        saw("CapEff", status("CapEff")),
        saw("uid_map", fs::read_to_string("/proc/self/uid_map").unwrap_or_default().trim()),
        saw("security label", label.trim_end_matches(['\n', '\0'])),
    ]
}

/// Whether programs may start threads and others as today's C libraries do it.
pub(super) fn threads() -> Vec<Evidence> {
    vec![saw(CLONE3, process::clone3_of_nothing())]
}

/// What a privileged container may do: mount, for one.
pub(super) fn privileged() -> Vec<Evidence> {
    let mounted = mount(Some("dindcheck"), "/image", Some("tmpfs"), MsFlags::empty(), None::<&str>);
    let unmounted = umount2("/image", MntFlags::MNT_DETACH);
    vec![
        want("mount a tmpfs", done(mounted.map_err(io::Error::from)), "done"),
        want("unmount it", done(unmounted.map_err(io::Error::from)), "done"),
        saw("CapEff", status("CapEff")),
        saw("Seccomp", status("Seccomp")),
        want("/sys is", if sys_is_writable() { "writable" } else { "read-only" }, "writable"),
    ]
}

fn sys_is_writable() -> bool {
    let mounts = mounts::parse(&fs::read_to_string(mounts::MOUNTINFO).unwrap_or_default());
    mounts.at("/sys").is_some_and(|mount| mount.options.contains_key("rw"))
}

/// A field of /proc/self/status.
fn status(name: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    value.unwrap_or("not said").to_owned()
}
