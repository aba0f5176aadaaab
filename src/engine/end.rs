//! The end, in order and in time: the inner containers, the daemon, what is left of both, and what they leave behind.
//! The supervisor sends the daemon its signals; what takes the API or the file system is done here, by helpers of it.
//!
//! The outer engine kills us when its patience ends (`docker stop` waits for 10 s, Kubernetes for 30 s). A daemon alone
//! gives its containers 15 s and its containerd 10 s more, is killed in the midst of it, and the next start finds stale
//! pid files. So each step ends at a fixed part of that time, and the last is over before it is.
//!
//! The daemon's `--shutdown-timeout` is left alone: it is a minimum, which a container's own stop timeout (10 s by
//! default, and 5 s more) exceeds whatever it is (moby daemon/daemon.go ShutdownTimeout). Only stopping them first, with
//! a time of ours, is sure to fit.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::api;
use super::nest::{self, Process};
use super::stop::{self, Left, Stopped};
use crate::fact::Root;
use crate::facts::mounts;
use crate::facts::places::Places;
use crate::fix::linux::Linux;
use crate::fix::step::Step;
use crate::fix::system::System as _;
use crate::process;
use crate::process::level::{self, Level};
use crate::supervisor::message::CONTAINERS_STOPPED;

/// Where a daemon and its containerd keep what lives no longer than they do.
const RUN_DIRECTORIES: [&str; 2] = ["/run/docker", "/var/run/docker"];
/// How long what the daemon leaves running may take to end by itself, at most.
const SETTLE: Duration = Duration::from_millis(500);
/// How long a killed process may take to be gone: one that the kernel does not let go is left to it.
const KILL: Duration = Duration::from_millis(400);
/// How often processes that are not our children are looked at. Nothing tells of their end.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The longest plan, in bytes.
const MAX_PLAN: u64 = 64 << 20;

/// What a daemon may leave behind, noted before it is started.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Plan {
    /// How long all of the end may take, in milliseconds.
    pub grace_ms: u64,
    /// Where its API may be: at a hidden path, then at the public one.
    pub api: Vec<String>,
    /// Directories under which the daemon mounts.
    pub directories: Vec<String>,
    /// The mounts there that are not the daemon's: they were there before it.
    pub mounted_before: BTreeSet<String>,
    /// Its pid files.
    pub pidfiles: Vec<String>,
    /// Its sockets.
    pub sockets: Vec<String>,
    /// The paths that its unix sockets were bound to.
    pub bound: Vec<String>,
    /// The TCP ports of its API.
    pub ports: Vec<u16>,
    /// Of a rootless daemon, a process in the network namespace that its clients are in.
    pub outside: Option<u32>,
}

impl Plan {
    /// Notes what is mounted before the daemon is started.
    pub fn note_mounts(&mut self, data_root: Option<&str>, exec_root: &str) {
        let places = Places::of(&Root::new("/"));
        let run = RUN_DIRECTORIES.map(|path| places.translate(path));
        self.directories = data_root.into_iter().chain([exec_root]).map(str::to_owned).chain(run).collect();
        self.mounted_before = mounted_below(&self.directories).into_iter().collect();
    }

    /// Reads it from where the supervisor hands it to a helper.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len().min(MAX_PLAN);
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        if bytes.is_empty() { Ok(Self::default()) } else { Ok(serde_json::from_slice(&bytes)?) }
    }

    fn part(&self, percent: u32) -> Duration {
        Duration::from_millis(self.grace_ms) * percent / 100
    }

    /// How long the inner containers get before they are killed: all of that part, or what is left of it to those that
    /// we stop ourselves where the daemon has to stop some.
    fn container_grace_s(&self) -> (i32, i32) {
        let seconds = |percent| i32::try_from(self.part(percent).as_secs().max(1)).unwrap_or(i32::MAX);
        (seconds(50), seconds(30))
    }
}

/// Stops the containers through the API, tells the supervisor that the daemon may be terminated, and sees to those that
/// have to end with it. `plan` is the file with the [`Plan`], `within` the time for all of it.
///
/// # Errors
/// The plan cannot be read, or the supervisor is gone.
pub fn stop_containers(plan: &File, within: Duration) -> io::Result<()> {
    let start = Instant::now();
    let plan = Plan::read(plan)?;
    let (grace, shared) = plan.container_grace_s();
    let timeout = Duration::from_secs(u64::from(grace.unsigned_abs()) + 1);
    // Whatever goes wrong here, the daemon is asked to end next, and it stops its containers too.
    let socket = plan.api.iter().find(|path| UnixStream::connect(path).is_ok());
    let stopped = match socket {
        Some(socket) => {
            let stop = tokio_timeout(within, stop::stop_all(socket, timeout, grace, shared));
            match api::block_on(stop)? {
                Some(result) => result.unwrap_or_default(),
                None => {
                    report("the inner containers could not be stopped in time");
                    Stopped::default()
                }
            }
        }
        None => Stopped::default(),
    };
    let Stopped { grace_s, killed, left, outlive_the_daemon } = stopped;
    for name in killed {
        let name = name.line();
        report(&format!("container {name} did not end within {grace_s} s and was killed"));
    }
    io::stdout().write_all(CONTAINERS_STOPPED)?;
    io::stdout().flush()?;
    if left.is_empty() {
        return Ok(());
    }
    // The daemon gives each of them a time of its own, 10 s and more; those that it leaves running are asked here. It needs
    // some of the time for its own end: 1.7 s were seen on a busy machine.
    let deadline = start + within.min(plan.part(55));
    let mut asked = !outlive_the_daemon;
    while running(&left).next().is_some() && Instant::now() < deadline {
        if !asked && !plan.api.iter().any(|path| UnixStream::connect(path).is_ok()) {
            asked = true;
            running(&left).for_each(|container| send(container.pid, container.stop_signal));
        }
        sleep(LOOK_AGAIN);
    }
    for container in running(&left) {
        send(container.pid, Signal::SIGKILL as i32);
        report(&format!("container {} did not end in time and was killed", container.name.line()));
    }
    Ok(())
}

async fn tokio_timeout<T>(within: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(within, future).await.ok()
}

/// Removes what a daemon that has ended left behind: processes, which may end by themselves first, then mounts, pid files
/// and sockets. Reports what was there. `nest` marks the daemon's processes; all of it is done `within` that time.
///
/// # Errors
/// The plan cannot be read.
pub fn clear(plan: &File, within: Duration, nest: &str) -> io::Result<()> {
    let until = Instant::now() + within;
    let plan = Plan::read(plan)?;
    let settled = (Instant::now() + SETTLE).min(until - KILL.min(within / 2));
    while !nest::processes(nest).is_empty() && Instant::now() < settled {
        sleep(LOOK_AGAIN);
    }
    let left = nest::processes(nest);
    if !left.is_empty() {
        report(&format!("killed what was left: {}", describe(&left)));
        kill(nest, Instant::now() + KILL);
    }
    let (unmounted, stuck) = unmount(&plan);
    if !unmounted.is_empty() {
        report(&format!("unmounted what was left: {}", unmounted.join(", ")));
    }
    stuck.iter().for_each(|error| report(error));
    for path in plan.pidfiles.iter().filter(|path| names_no_process(path)) {
        match fs::remove_file(path) {
            Ok(()) => report(&format!("removed {path}, which was left behind")),
            Err(error) => report(&format!("cannot remove {path}: {error}")),
        }
    }
    for path in plan.sockets.iter().filter(|path| nothing_listens(path)) {
        // The next daemon replaces its own; a client that waits for the file is not misled until then.
        let _ = fs::remove_file(path);
    }
    Ok(())
}

/// Kills every process of the nest. Killing one can bring another to light, whose parent it was.
pub fn kill(nest: &str, deadline: Instant) {
    loop {
        let left = nest::processes(nest);
        left.iter().for_each(|process| send(process.pid, Signal::SIGKILL as i32));
        if left.is_empty() || Instant::now() >= deadline {
            return;
        }
        sleep(LOOK_AGAIN);
    }
}

/// The supervisor passes it on.
pub(super) fn report(text: &str) {
    level::write(Level::Info, text);
}

fn send(pid: i32, signal: i32) {
    process::send_signal(Pid::from_raw(pid), signal);
}

/// Those whose first processes still run.
fn running(left: &[Left]) -> impl Iterator<Item = &Left> {
    left.iter().filter(|container| nest::runs(&container.pid.to_string()))
}

fn describe(processes: &[Process]) -> String {
    let all: Vec<String> =
        processes.iter().map(|process| format!("{} ({})", process.name.line(), process.pid)).collect();
    all.join(", ")
}

/// Removes what the daemon mounted and did not unmount, the deepest first.
fn unmount(plan: &Plan) -> (Vec<String>, Vec<String>) {
    let (mut done, mut stuck) = (Vec::new(), Vec::new());
    for target in mounted_below(&plan.directories).into_iter().rev() {
        if plan.mounted_before.contains(&target) {
            continue;
        }
        match Linux.perform(&Step::Unmount { target: target.clone() }) {
            Ok(()) => done.push(target),
            Err(error) => stuck.push(error.to_string()),
        }
    }
    (done, stuck)
}

/// The mount points strictly below the directories, in the order in which they were mounted. The kernel names them by
/// where they really are.
fn mounted_below(directories: &[String]) -> Vec<String> {
    let Ok(table) = Root::new("/").read(mounts::MOUNTINFO) else { return Vec::new() };
    let real = |directory: &String| {
        fs::canonicalize(directory).map_or_else(|_| directory.clone(), |path| path.display().to_string())
    };
    let directories: Vec<String> = directories.iter().map(real).collect();
    let below = |point: &str| {
        directories
            .iter()
            .any(|directory| point.strip_prefix(directory.as_str()).is_some_and(|rest| rest.starts_with('/')))
    };
    mounts::parse(&table).all.into_iter().map(|mount| mount.point).filter(|point| below(point)).collect()
}

/// Whether a file holds the number of a process that is gone. One of an engine that runs is not ours.
fn names_no_process(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|pid| !nest::runs(pid.trim()))
}

fn nothing_listens(path: &str) -> bool {
    UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::process::{Sleeper, soon};

    #[test]
    fn what_waits_to_be_reaped_is_gone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let mut child = Sleeper::start();
        std::fs::write(path, format!("{}\n", child.0.id())).unwrap();
        assert!(!names_no_process(path));
        child.0.kill().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !names_no_process(path) {
            assert!(Instant::now() < deadline, "a zombie is taken for a process that runs");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.0.wait().unwrap();
        assert!(names_no_process(path));
    }

    #[test]
    fn the_name_that_a_process_gives_itself_is_no_line_of_ours() {
        let named = |name: &str| describe(&[Process { pid: 7, name: name.into() }]);
        assert_eq!(named("dockerd"), "dockerd (7)");
        assert_eq!(named("\n\u{1}e::stop::\u{1b}["), "\\n\\u{1}e::stop::\\u{1b}[ (7)");
    }

    #[test]
    fn containers_get_a_part_of_the_grace_and_a_second_at_least() {
        let grace = |grace_ms: u64| Plan { grace_ms, ..Plan::default() }.container_grace_s();
        assert_eq!([0, 1000, 10_000, 20_900].map(grace), [(1, 1), (1, 1), (5, 3), (10, 6)]);
        assert_eq!(grace(u64::MAX / 200), (i32::MAX, i32::MAX));
    }

    #[test]
    fn a_plan_that_was_not_handed_over_is_an_empty_one() {
        let file = tempfile::tempfile().unwrap();
        assert!(Plan::read(&file).unwrap().api.is_empty());
        let plan = Plan { grace_ms: 7000, ..Plan::default() };
        std::io::Write::write_all(&mut &file, &serde_json::to_vec(&plan).unwrap()).unwrap();
        assert_eq!(Plan::read(&file).unwrap().grace_ms, 7000);
        std::io::Write::write_all(&mut &file, b"}").unwrap();
        assert!(Plan::read(&file).is_err());
    }

    #[test]
    fn a_socket_counts_as_left_only_where_nothing_listens() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock");
        let name = path.to_str().unwrap();
        assert!(!nothing_listens(name), "there is none");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(!nothing_listens(name));
        drop(listener);
        assert!(soon(|| nothing_listens(name)));
    }

    #[test]
    fn what_is_mounted_below_is_found_and_nothing_beside_it() {
        let table = mounts::parse(&fs::read_to_string(mounts::MOUNTINFO).unwrap());
        let parent = |point: &str| Path::new(point).parent().filter(|path| path.parent().is_some()).map(PathBuf::from);
        let (point, parent) = table.all.iter().find_map(|mount| Some((&mount.point, parent(&mount.point)?))).unwrap();
        let parent = parent.to_str().unwrap();
        assert!(mounted_below(&[parent.to_owned()]).contains(point));
        assert!(!mounted_below(std::slice::from_ref(point)).contains(point));
        let beside = parent[..parent.len() - 1].to_owned();
        assert!(!mounted_below(&[beside, "/nonexistent".to_owned()]).contains(point));
    }
}
