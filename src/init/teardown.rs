//! The end, in order and in time: the inner containers, the daemon, what is left of both, and what they leave behind.
//!
//! The outer engine kills us when its patience ends (`docker stop` waits for 10 s, Kubernetes for 30 s). A daemon alone
//! gives its containers 15 s and its containerd 10 s more, is killed in the midst of it, and the next start finds stale
//! pid files. So each step here ends at a fixed part of that time, and the last is over before it is.
//!
//! The daemon's `--shutdown-timeout` is left alone: it is a minimum, which a container's own stop timeout (10 s unless
//! said otherwise, and 5 s more) exceeds whatever it is (moby daemon/daemon.go ShutdownTimeout). Only stopping them
//! first, with a time of ours, is sure to fit.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::processes::{self, Process};
use super::worker::{Sender, Worker};
use super::{Event, Init, Sources, asks_to_stop, to_stderr};
use crate::engine::api;
use crate::engine::launch::Daemon;
use crate::engine::stop::{self, Left, Stopped};
use crate::facts::Root;
use crate::facts::mounts;
use crate::facts::places::Places;
use crate::fix::step::Step;
use crate::system::{self, Linux, System as _};

/// Where a daemon and its containerd keep what lives no longer than they do.
const RUN_DIRECTORIES: [&str; 2] = ["/run/docker", "/var/run/docker"];
/// How long what the daemon leaves running may take to end by itself, at most.
const SETTLE: Duration = Duration::from_millis(500);
/// How long a killed process may take to be gone: one that the kernel does not let go is left to it.
const KILL: Duration = Duration::from_millis(400);

/// What a daemon may leave behind, noted before it is started.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// How long all of it may take.
    pub grace: Duration,
    /// Directories under which the daemon mounts.
    pub directories: Vec<String>,
    /// The mounts there that are not the daemon's: they were there before it.
    pub mounted_before: BTreeSet<String>,
    /// Its pid files.
    pub pidfiles: Vec<String>,
    /// Its sockets.
    pub sockets: Vec<String>,
}

impl Plan {
    /// Notes what is there before the daemon is.
    pub fn new(
        grace: Duration,
        data_root: Option<&str>,
        exec_root: &str,
        pidfiles: &[String],
        sockets: Vec<String>,
    ) -> Self {
        let places = Places::of(&Root::new("/"));
        let run = RUN_DIRECTORIES.map(|path| places.translate(path));
        let directories: Vec<String> = data_root.into_iter().chain([exec_root]).map(str::to_owned).chain(run).collect();
        let mounted_before = mounted_below(&directories).into_iter().collect();
        Self { grace, directories, mounted_before, pidfiles: pidfiles.to_vec(), sockets }
    }

    fn part(&self, percent: u32) -> Duration {
        self.grace * percent / 100
    }

    /// How long the inner containers get before they are killed: all of that part, or what is left of it to those that
    /// we stop ourselves where the daemon has to stop some.
    fn container_grace_s(&self) -> (i32, i32) {
        let seconds = |percent| i32::try_from(self.part(percent).as_secs().max(1)).unwrap_or(i32::MAX);
        (seconds(50), seconds(30))
    }
}

/// How it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// The daemon's exit status (128+N for signal N).
    pub status: u8,
    /// What had to be forced, one line each.
    pub forced: Vec<String>,
}

/// Ends it all. A daemon whose API has not answered yet has no containers to stop.
///
/// # Errors
/// What the kernel said about waiting.
pub fn end(init: &mut Init, daemon: &mut Daemon, plan: &Plan, sink: &mut dyn FnMut(&[u8])) -> io::Result<Ended> {
    let start = Instant::now();
    let mut forced = Vec::new();
    let (mut left, mut outlive_the_daemon) = (Vec::new(), false);
    if daemon.answered.is_some() && daemon.ended.is_none() {
        let stopped = stop_containers(init, daemon, plan, start + plan.part(65), sink)?;
        forced.extend(stopped.forced);
        (left, outlive_the_daemon) = (stopped.left, stopped.outlive_the_daemon);
    }
    if daemon.ended.is_none() {
        system::send_signal(daemon.pid, Signal::SIGTERM as i32);
        if !left.is_empty() {
            // It gives each of them a time of its own, 10 s and more.
            wait_for_end(init, daemon, start + plan.part(65), sink)?;
            if outlive_the_daemon {
                for container in &left {
                    system::send_signal(Pid::from_raw(container.pid), container.stop_signal);
                }
                wait_for_containers(init, &left, start + plan.part(65))?;
            }
            forced.extend(kill_containers(&left));
        }
        wait_for_end(init, daemon, start + plan.part(80), sink)?;
    }
    if daemon.ended.is_none() {
        forced.push("the daemon did not end in time and was killed".to_owned());
        system::send_signal(daemon.pid, Signal::SIGKILL as i32);
        wait_for_end(init, daemon, Instant::now() + KILL, sink)?;
    }
    forced.extend(clear(init, plan, (start + plan.part(85)).max(Instant::now() + SETTLE / 5))?);
    Ok(Ended { status: daemon.ended.unwrap_or(crate::exit::SIGNAL_BASE + 9), forced })
}

/// Removes what a daemon that has ended left behind: processes, which get until `deadline` to end by themselves, then
/// mounts, pid files and sockets. Says what was there.
///
/// # Errors
/// What the kernel said about waiting.
pub fn clear(init: &mut Init, plan: &Plan, deadline: Instant) -> io::Result<Vec<String>> {
    let mut forced = Vec::new();
    wait_for_children(init, deadline.min(Instant::now() + SETTLE))?;
    let left = processes::below_us();
    if !left.is_empty() {
        forced.push(format!("killed what was left: {}", describe(&left)));
        kill(init, Instant::now() + KILL)?;
    }
    let (unmounted, stuck) = unmount(plan);
    if !unmounted.is_empty() {
        forced.push(format!("unmounted what was left: {}", unmounted.join(", ")));
    }
    forced.extend(stuck);
    for path in plan.pidfiles.iter().filter(|path| names_no_process(path)) {
        let removed = std::fs::remove_file(path);
        forced.push(match removed {
            Ok(()) => format!("removed {path}, which was left behind"),
            Err(error) => format!("cannot remove {path}: {error}"),
        });
    }
    for path in plan.sockets.iter().filter(|path| nobody_listens(path)) {
        // The next daemon replaces its own; a client that waits for the file is not misled until then.
        let _ = std::fs::remove_file(path);
    }
    Ok(forced)
}

/// What came of stopping the containers.
#[derive(Default)]
struct Containers {
    /// What had to be forced, one line each.
    forced: Vec<String>,
    /// Those that have to end with the daemon.
    left: Vec<Left>,
    /// Whether they do so only if they are asked to.
    outlive_the_daemon: bool,
}

/// Those whose first processes still run.
fn running(left: &[Left]) -> impl Iterator<Item = &Left> {
    let below = processes::below_us();
    left.iter().filter(move |container| below.iter().any(|process| process.pid.as_raw() == container.pid))
}

/// Waits for the end of containers that no daemon looks after any more. Their ends are told to their shims, not to us.
fn wait_for_containers(init: &mut Init, left: &[Left], deadline: Instant) -> io::Result<()> {
    const LOOK_AGAIN: Duration = Duration::from_millis(50);
    while running(left).next().is_some() && Instant::now() < deadline {
        let deadline = Some(deadline.min(Instant::now() + LOOK_AGAIN));
        init.wait(Sources { deadline, ..Sources::default() }, to_stderr)?;
    }
    Ok(())
}

/// Kills the containers that still run, and says which.
fn kill_containers(left: &[Left]) -> Vec<String> {
    running(left)
        .map(|container| {
            system::send_signal(Pid::from_raw(container.pid), Signal::SIGKILL as i32);
            format!("container {} did not end in time and was killed", container.name)
        })
        .collect()
}

/// Asks the daemon to stop its containers.
fn stop_containers(
    init: &mut Init,
    daemon: &mut Daemon,
    plan: &Plan,
    deadline: Instant,
    sink: &mut dyn FnMut(&[u8]),
) -> io::Result<Containers> {
    let (socket, (grace, shared)) = (daemon.socket.clone(), plan.container_grace_s());
    let worker = Worker::start(move |sender: &Sender<Stopped>| {
        let timeout = Duration::from_secs(u64::from(grace.unsigned_abs()) + 1);
        // Whatever goes wrong here, the daemon is asked to end next, and it stops its containers too.
        let stopped = api::block_on(stop::stop_all(&socket, timeout, grace, shared)).ok().and_then(Result::ok);
        sender.send(stopped.unwrap_or_default());
    })?;
    loop {
        let sources =
            Sources { daemon: Some(daemon), message: Some(worker.as_fd()), deadline: Some(deadline), orphans: false };
        match init.wait(sources, &mut *sink)? {
            Event::Message => {
                let Stopped { grace_s, killed, left, outlive_the_daemon } = worker.take().unwrap_or_default();
                let killed = killed.into_iter();
                let forced =
                    killed.map(|name| format!("container {name} did not end within {grace_s} s and was killed"));
                return Ok(Containers { forced: forced.collect(), left, outlive_the_daemon });
            }
            Event::TimedOut => {
                let forced = vec!["the inner containers could not be stopped in time".to_owned()];
                return Ok(Containers { forced, ..Containers::default() });
            }
            Event::Ended(pid, _) if pid == daemon.pid => return Ok(Containers::default()),
            event => pass_on(event, daemon),
        }
    }
}

/// Waits for the daemon's end.
///
/// # Errors
/// What the kernel said about waiting.
pub fn wait_for_end(
    init: &mut Init,
    daemon: &mut Daemon,
    deadline: Instant,
    sink: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    while daemon.ended.is_none() {
        let sources = Sources { daemon: Some(daemon), deadline: Some(deadline), ..Sources::default() };
        match init.wait(sources, &mut *sink)? {
            Event::TimedOut => return Ok(()),
            event => pass_on(event, daemon),
        }
    }
    Ok(())
}

/// A second request to stop is the same request: passed on, the third would make the daemon drop everything
/// (moby, cmd/dockerd/trap). Other signals are the daemon's.
fn pass_on(event: Event, daemon: &Daemon) {
    if let Event::Signal(signal) = event
        && !asks_to_stop(signal)
    {
        system::send_signal(daemon.pid, signal);
    }
}

/// Waits until nothing runs below us any more.
fn wait_for_children(init: &mut Init, deadline: Instant) -> io::Result<()> {
    while !processes::below_us().is_empty() {
        let sources = Sources { deadline: Some(deadline), orphans: true, ..Sources::default() };
        if init.wait(sources, to_stderr)? == Event::TimedOut {
            break;
        }
    }
    Ok(())
}

/// Kills everything below us. Killing one can bring another to light, its child that now is ours.
///
/// # Errors
/// What the kernel said about waiting.
pub fn kill(init: &mut Init, deadline: Instant) -> io::Result<()> {
    loop {
        let left = processes::below_us();
        for process in &left {
            system::send_signal(process.pid, Signal::SIGKILL as i32);
        }
        let sources = Sources { deadline: Some(deadline), orphans: true, ..Sources::default() };
        if left.is_empty() || init.wait(sources, to_stderr)? == Event::TimedOut {
            return Ok(());
        }
    }
}

fn describe(processes: &[Process]) -> String {
    let all: Vec<String> = processes.iter().map(|process| format!("{} ({})", process.name, process.pid)).collect();
    all.join(", ")
}

/// Takes away what the daemon mounted and did not unmount, the deepest first.
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

/// The mount points strictly below the directories, in the order in which they were mounted.
fn mounted_below(directories: &[String]) -> Vec<String> {
    let Ok(table) = Root::new("/").read(mounts::MOUNTINFO) else { return Vec::new() };
    let below = |point: &str| {
        directories
            .iter()
            .any(|directory| point.strip_prefix(directory.as_str()).is_some_and(|rest| rest.starts_with('/')))
    };
    mounts::parse(&table).all.into_iter().map(|mount| mount.point).filter(|point| below(point)).collect()
}

/// Whether a file holds the number of a process that is gone. One of an engine that runs is not ours.
fn names_no_process(path: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|pid| !processes::runs(pid.trim()))
}

fn nobody_listens(path: &str) -> bool {
    UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_waits_to_be_reaped_is_gone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        std::fs::write(path, format!("{}\n", child.id())).unwrap();
        assert!(!names_no_process(path));
        child.kill().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !names_no_process(path) {
            assert!(Instant::now() < deadline, "a zombie is taken for a process that runs");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.wait().unwrap();
        assert!(names_no_process(path));
    }
}
