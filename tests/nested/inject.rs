//! System calls of a mend that fail, or never return.

mod kernel;
mod mends;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dindcheck::fix::Fix;
use dindcheck::fix::apply::{self, Applied, Result as FixResult, Undone};
use dindcheck::fix::journal::{DEFAULT_PATH, Entry, Journal};
use dindcheck::fix::linux::Linux;
use dindcheck::fix::step::Step;
use dindcheck::fix::system::{Found, StepError, System};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::wait;

use crate::lab::run;
use crate::storage::Mkfs;
use kernel::{Call, Fate, IN_STEP, Point, calls, with_fault};
use mends::{HIERARCHY, Mend, PLACE, all_kinds, kinds, mends};

/// Every call of the whole program that changes something is the last one before SIGKILL, or fails once, by turns with
/// each error that is documented for it. `DINDCHECK_INJECT=1` takes each call instead of each tenth: many minutes.
#[test]
fn a_mend_is_done_or_taken_back_whatever_fails_in_it() {
    let stride = std::env::var("DINDCHECK_INJECT").unwrap_or_else(|_| "10".to_owned());
    let script = format!("set -- {stride}\n{}", include_str!("inject.sh"));
    let run = run("28.5.2", &["--no-cgroup-mounts", "--tools"], &["bash", "-c", &script]).expect_status(0);
    let told = run.stdout.lines().last().expect("a count");
    let count = told.strip_prefix("injected: ").and_then(|rest| rest.split(',').next()?.parse::<u32>().ok());
    assert!(count.is_some_and(|count| count >= 40), "{run}");
}

/// Writes a line of what was counted, which the tests' harness does not keep back.
macro_rules! say {
    ($($words:tt)*) => { writeln!(std::io::stdout(), $($words)*).expect("standard output") };
}

/// Set in the container in which the next test goes on; in a process that is to be killed, with where.
const INSIDE: &str = "DINDCHECK_INJECT_INSIDE";

/// Every call of a step of each kind, of the journal and of undoing them fails once with each error that is documented for
/// it, and is the last one before SIGKILL: the mend is done or as before, and undone as a whole.
#[test]
fn every_step_is_whole_whatever_the_kernel_gives() {
    match std::env::var(INSIDE) {
        Err(_) => {
            let own = std::env::current_exe().expect("a path");
            let mkfs = Mkfs::pack();
            let options = [
                "--dindcheck",
                own.to_str().expect("a path"),
                "--docker-arg",
                &mkfs.volume(),
                "--docker-arg",
                Mkfs::PATH,
                "--docker-arg",
                &format!("-e{INSIDE}={}", std::env::var("DINDCHECK_INJECT_ONLY").unwrap_or_default()),
            ];
            let command = ["dindcheck", "inject::every_step_is_whole", "--nocapture", "--test-threads=1"];
            let run = run("28.5.2", &options, &command).expect_status(0);
            say!("{}", run.stdout.lines().find(|line| line.contains("injected: ")).expect("a count"));
        }
        Ok(victim) if victim.contains(',') => die(&victim),
        Ok(only) => inject(&only),
    }
}

/// The fix that a mend's steps are.
fn fix(mend: &Mend) -> Fix {
    Fix::in_container("x.y", mend.name, mend.steps.clone())
}

fn apply_all(mend: &Mend) -> Applied {
    apply::apply(fix(mend), false, &mut Watched, &Journal::at(DEFAULT_PATH))
}

fn undo_all() -> std::io::Result<Undone> {
    apply::undo(&mut Watched, &Journal::at(DEFAULT_PATH))
}

/// This machine, and whether it is being acted on.
struct Watched;

impl Watched {
    fn step<T>(act: impl FnOnce() -> T) -> T {
        IN_STEP.store(true, Ordering::SeqCst);
        let given = act();
        IN_STEP.store(false, Ordering::SeqCst);
        given
    }
}

impl System for Watched {
    fn perform(&mut self, step: &Step) -> Result<(), StepError> {
        Self::step(|| Linux.perform(step))
    }

    fn sweep(&mut self) {
        Self::step(|| Linux.sweep());
    }

    fn found(&mut self, step: &Step) -> Result<Found, StepError> {
        Self::step(|| Linux.found(step))
    }

    fn holds_data(&mut self, image: &str) -> bool {
        Self::step(|| Linux.holds_data(image))
    }
}

/// In a process of its own: does it, and is killed on the way.
fn die(victim: &str) {
    let words: Vec<&str> = victim.split(',').collect();
    let [name, way, call, count] = words.as_slice() else { panic!("{victim}") };
    let mends = mends();
    let mend = mends.iter().find(|mend| mend.name == *name).expect("a mend");
    let (call, count) = (call.parse().expect("a number"), count.parse().expect("a number"));
    let fault = Some((Point { call, count, in_child: false }, Fate::Kills));
    match *way {
        "apply" => with_fault(&calls(), fault, || drop(apply_all(mend))),
        _ => with_fault(&calls(), fault, || drop(undo_all())),
    };
}

/// What a mend changes, as text.
fn state(mend: &Mend) -> String {
    let mut text = String::new();
    let numbers = |tag: &str| tag.split(':').next().unwrap_or_default().to_owned();
    for line in fs::read_to_string("/proc/self/mountinfo").expect("mounts").lines() {
        // proc(5): id, parent, device, root, mount point, options, tags, a dash, type, source, options.
        let (mount, of) = line.split_once(" - ").expect("a dash");
        let fields: Vec<&str> = mount.split(' ').collect();
        if fields[4].starts_with("/inject/") || fields[4].starts_with("/run/dindcheck") {
            let tags: Vec<String> = fields[6..].iter().map(|tag| numbers(tag)).collect();
            let kind = of.split(' ').next().unwrap_or_default();
            writeln!(text, "mount {} {} {} {tags:?} {kind}", numbers(fields[3]), fields[4], fields[5]).expect("memory");
        }
    }
    list(Path::new(PLACE), &mut text);
    if Path::new("/run/dindcheck").exists() {
        list(Path::new("/run/dindcheck"), &mut text);
    }
    for path in mend.watched {
        writeln!(text, "{path}: {:?}", fs::read_to_string(path).ok()).expect("memory");
    }
    text
}

/// Whether a loop device stays attached; the kernel detaches it some time after the mount is gone.
fn leaves_a_device() -> bool {
    let is_ours = |device: fs::DirEntry| {
        let file = fs::read_to_string(device.path().join("loop/backing_file")).unwrap_or_default();
        file.contains("/inject.image")
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::read_dir("/sys/block").expect("devices").flatten().any(is_ours) {
        if Instant::now() > deadline {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

/// What is in a directory, but for the journal and what cgroups consist of.
fn list(directory: &Path, text: &mut String) {
    let mut entries: Vec<_> =
        fs::read_dir(directory).expect("a directory").flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries.iter().filter(|path| *path != Path::new(DEFAULT_PATH)) {
        let metadata = fs::symlink_metadata(path).expect("it is there");
        let content = match metadata.is_file() && metadata.len() < 1 << 12 {
            true => fs::read_to_string(path).unwrap_or_default(),
            false => format!("{:?}", fs::read_link(path).ok()),
        };
        let mode = metadata.permissions().mode();
        writeln!(text, "{} {mode:o} {} {content}", path.display(), metadata.rdev()).expect("memory");
        if metadata.is_dir() && !path.join("cgroup.procs").exists() {
            list(path, text);
        }
    }
}

/// Runs a shell script to which `$OWN` is this process, which is what is moved between cgroups.
fn script(text: &str) {
    let done = Command::new("sh").args(["-ec", text]).env("OWN", std::process::id().to_string()).status();
    assert!(done.expect("sh").success(), "{text}");
}

/// Whether a call says of what is there that it is not: the one who is told so has nothing to go by.
fn is_untrue(call: &str, fate: Fate) -> bool {
    const LOOKS: [&str; 8] = ["lstat", "newfstatat", "open", "openat", "readlink", "readlinkat", "stat", "statx"];
    match fate {
        Fate::Fails(Errno::ENOENT | Errno::ENOTDIR) => LOOKS.contains(&call),
        Fate::Fails(Errno::ENODEV) => call == "ioctl",
        _ => false,
    }
}

/// What is looked at of one kind of mend, over and over.
struct Bench<'m> {
    mend: &'m Mend,
    calls: &'m [Call],
    before: String,
    after: String,
    injected: usize,
    killed: usize,
    /// What went wrong where, with the fates that led to it and one example.
    wrong: BTreeMap<String, (Vec<String>, String)>,
}

impl Bench<'_> {
    fn reset(&mut self) {
        let gone = "umount -lR /inject 2> /dev/null || true
            umount -l /run/dindcheck/whole 2> /dev/null || true
            rm -rf /run/dindcheck
            mount -t tmpfs inject /inject
            mount --make-private /inject
            for pid in 0 $OWN; do echo $pid > /inject-cgroup/cgroup.procs; done
            rmdir /inject-cgroup/group/init 2> /dev/null || true";
        script(gone);
        script(self.mend.before);
    }

    /// What an earlier fix has recorded.
    fn earlier() -> Entry {
        Entry { check: "earlier".to_owned(), step: Step::AddFlag { flag: "--earlier".to_owned() } }
    }

    fn record_earlier() {
        Journal::at(DEFAULT_PATH).record(&Self::earlier()).expect("a journal");
    }

    /// The same, where this process is killed instead. `false`: it was not, and nothing is to be seen.
    fn killed(&mut self, way: &str, point: Point) -> bool {
        let victim = format!("{},{way},{},{}", self.mend.name, point.call, point.count);
        let mut command = Command::new("/proc/self/exe");
        command.args(["inject::every_step_is_whole", "--test-threads=1"]).env(INSIDE, victim);
        let status = command.arg0("victim").stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it runs");
        // What it has started ends without it.
        while wait() != Err(Errno::ECHILD) {}
        let killed = status.signal() == Some(nix::libc::SIGKILL);
        self.killed += usize::from(killed);
        killed
    }

    fn complain(&mut self, at: (&str, Point, Fate), what: &str, example: &impl std::fmt::Debug, wanted: &str) {
        let (way, point, fate) = at;
        let now = state(self.mend);
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let (now, wanted) = (lines(&now), lines(wanted));
        let (much, missing) =
            (now.difference(&wanted).collect::<Vec<_>>(), wanted.difference(&now).collect::<Vec<_>>());
        if is_untrue(self.calls[point.call].name, fate) {
            self.reset();
            return;
        }
        let child = if point.in_child { " in a child" } else { "" };
        let call = self.calls[point.call].name;
        let key = format!("{}: {way}, {call} {}{child}: {what}", self.mend.name, point.count);
        let example = || (Vec::new(), format!("{example:?}; too much {much:?}, missing {missing:?}"));
        self.wrong.entry(key).or_insert_with(example).0.push(format!("{fate:?}"));
        self.reset();
    }

    /// Takes all back without a fault, which has to give what was.
    fn undo(&mut self, at: (&str, Point, Fate), before_that: &impl std::fmt::Debug) {
        let undone = undo_all();
        let whole = matches!(&undone, Ok(undone) if undone.failed.is_none() && undone.broken.is_empty());
        let before = self.before.clone();
        if !whole || state(self.mend) != before {
            self.complain(at, "undo does not give back what was", &(before_that, undone), &before);
        } else if Path::new(DEFAULT_PATH).exists() {
            self.complain(at, "undo leaves a journal", &before_that, &before);
        } else if self.mend.name == "storage" && leaves_a_device() {
            self.complain(at, "a loop device stays", &before_that, &before);
        }
    }

    fn apply_with(&mut self, point: Point, fate: Fate) {
        let at = ("apply", point, fate);
        Self::record_earlier();
        let read = || Journal::at(DEFAULT_PATH).entries().unwrap_or_default();
        if fate == Fate::Kills {
            if self.killed("apply", point) && read().first() != Some(&Self::earlier()) {
                return self.complain(at, "the journal is lost", &(), "");
            }
            return self.undo(at, &());
        }
        let (applied, seen) = with_fault(self.calls, Some((point, fate)), || apply_all(self.mend));
        self.injected += usize::from(seen.iter().any(|(seen, _)| *seen == point));
        let result = applied.map(|applied| (applied.result, applied.refused));
        let (now, entries) = (state(self.mend), read());
        let (before, after) = (self.before.clone(), self.after.clone());
        let refused = usize::from(self.mend.name == "modules");
        let wrong = match &result {
            // Rust's own, where it reads what became of a program that it starts.
            None if self.mend.programs && self.calls[point.call].name == "recvfrom" => return self.reset(),
            None => Some(("it panics", before)),
            _ if entries.first() != Some(&Self::earlier()) => Some(("the journal is lost", before)),
            Some((FixResult::Done, _)) if entries.len() != self.mend.steps.len() + 1 => {
                Some(("it has not recorded all", after))
            }
            Some((FixResult::Done, told)) if told.len() == refused && now != after => {
                Some(("it claims what is not", after))
            }
            Some((FixResult::TakenBack { .. }, _)) if entries.len() != 1 => {
                Some(("what is taken back is still recorded", before))
            }
            Some((FixResult::TakenBack { .. }, _)) if now != before => Some(("it is not taken back", before)),
            Some((FixResult::NotAllowed, _)) => Some(("it is not allowed", before)),
            // Where it is stuck, undoing it has to show that all is recorded.
            Some(_) => None,
        };
        match wrong {
            Some((what, wanted)) => self.complain(at, what, &result, &wanted),
            None => self.undo(at, &result),
        }
    }

    fn undo_with(&mut self, point: Point, fate: Fate) {
        let at = ("undo", point, fate);
        Self::record_earlier();
        let applied = apply_all(self.mend);
        assert_eq!(applied.result, FixResult::Done, "{}: {applied:?}", self.mend.name);
        if fate == Fate::Kills {
            self.killed("undo", point);
            return self.undo(at, &());
        }
        let (undone, seen) = with_fault(self.calls, Some((point, fate)), undo_all);
        self.injected += usize::from(seen.iter().any(|(seen, _)| *seen == point));
        let before = self.before.clone();
        match &undone {
            None if self.mend.programs && self.calls[point.call].name == "recvfrom" => self.reset(),
            None => self.complain(at, "it panics", &(), &before),
            // What cannot be read is not removed.
            Some(Ok(Undone { kept, .. })) if !kept.is_empty() => self.reset(),
            Some(Ok(Undone { failed: None, replaced, kept, .. }))
                if replaced.is_empty() && kept.is_empty() && state(self.mend) != before =>
            {
                self.complain(at, "it claims to be undone", &undone, &before);
            }
            Some(_) => self.undo(at, &undone),
        }
    }
}

/// In a container: all faults, or those of one mend.
fn inject(only: &str) {
    unshare(CloneFlags::CLONE_NEWCGROUP).expect("a cgroup namespace");
    nix::sys::prctl::set_child_subreaper(true).expect("orphans are ours");
    let mends = mends();
    assert_eq!(kinds(&mends), all_kinds());
    // Its files are on no disk that would be waited for.
    script(&format!(
        "mount -t tmpfs run /run && mkdir -p {PLACE} {HIERARCHY} && mount -t cgroup2 cgroup2 {HIERARCHY} && mkdir {HIERARCHY}/group"
    ));
    let rule = ["-t", "nat", "-C", "PREROUTING", "-j", "RETURN"];
    assert_eq!(
        Command::new("iptables").args(rule).status().expect("iptables").code(),
        Some(1),
        "there is no such rule"
    );
    let (mut injected, mut killed, mut wrong) = (0, 0, Vec::new());
    let calls = calls();
    for mend in mends.iter().filter(|mend| only.is_empty() || mend.name == only) {
        let start = Instant::now();
        let mut bench = Bench {
            mend,
            calls: &calls,
            before: String::new(),
            after: String::new(),
            injected: 0,
            killed: 0,
            wrong: BTreeMap::new(),
        };
        bench.reset();
        bench.before = state(mend);
        Bench::record_earlier();
        let (applied, of_apply) = with_fault(&calls, None, || apply_all(mend));
        assert!(
            applied.as_ref().is_some_and(|applied| applied.result == FixResult::Done),
            "{}: {applied:?}",
            mend.name
        );
        bench.after = state(mend);
        let (undone, of_undo) = with_fault(&calls, None, undo_all);
        let whole = undone.as_ref().is_some_and(|undone| undone.as_ref().is_ok_and(|undone| undone.failed.is_none()));
        assert!(whole, "{}: {undone:?}", mend.name);
        assert_eq!(state(mend), bench.before, "{}", mend.name);
        let of_apply = of_apply.into_iter().map(|(point, in_step)| (point, in_step, true));
        let of_undo = of_undo.into_iter().map(|(point, in_step)| (point, in_step, false));
        for (turn, (point, in_step, is_apply)) in of_apply.chain(of_undo).enumerate() {
            let call = &calls[point.call];
            let errors = match in_step || mend.journal {
                true => call.errors.as_slice(),
                false => std::slice::from_ref(&call.errors[turn % call.errors.len()]),
            };
            let fails = errors.iter().map(|errno| Fate::Fails(*errno));
            // A child that is not yet another program changes nothing.
            let kills = (call.changes && !point.in_child).then_some(Fate::Kills);
            for fate in fails.chain(kills) {
                if is_apply { bench.apply_with(point, fate) } else { bench.undo_with(point, fate) }
            }
        }
        say!(
            "{}: {} faults, {} kills, {} wrong, {:?}",
            mend.name,
            bench.injected,
            bench.killed,
            bench.wrong.len(),
            start.elapsed()
        );
        injected += bench.injected;
        killed += bench.killed;
        wrong.extend(bench.wrong);
    }
    say!("injected: {injected} failures and {killed} kills in {} mends, wrong: {}", mends.len(), wrong.len());
    for (place, (fates, example)) in &wrong {
        say!("{place}: {}; {example}", fates.join(" "));
    }
    assert!(wrong.is_empty());
}
