//! What reads foreign data, over mutated seeds: nothing of it may panic, hang or contradict itself.
//!
//! `cargo test` replays `found/` and runs a hundred inputs a target from a fixed number; `scripts/fuzz` runs minutes
//! from a new one. Inputs that give an outcome not seen before become seeds of the same run. What brings a target down is
//! made small and put into `found/`. Parsers that are private have property tests beside them, which `scripts/fuzz`
//! runs with more cases.

#[path = "../common/machine.rs"]
mod machine;
mod mutate;
mod targets;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mutate::Random;
use targets::Target;

/// How many inputs each target gets without `DINDCHECK_FUZZ_SECONDS`.
const INPUTS: u64 = 100;
/// How much longer than its processor time a target may take: some wait, and the machine may be busy.
const MAX_WAIT: u32 = 20;
/// An input that takes longer hangs; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many inputs with new outcomes are kept.
const MAX_KEPT: usize = 5000;
/// No input is longer, in bytes.
const MAX_LENGTH: usize = 64 << 10;
/// How many tries a smaller input is looked for.
const MAX_CUTS: usize = 2000;

fn found(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/found").join(target)
}

/// Ends the process when one input takes too long; the input is in `found/` then.
struct Watch {
    /// The milliseconds since `began` at which the input was given, from 1; 0: none is at work.
    since: Arc<AtomicU64>,
    began: Instant,
}

impl Watch {
    fn new(target: &'static str) -> Self {
        let (since, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let seen = since.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let since = Duration::from_millis(seen.load(Ordering::Relaxed));
                if !since.is_zero() && began.elapsed().saturating_sub(since) > PATIENCE {
                    say(&format!("{target}: an input takes longer than {PATIENCE:?}: {}", at_work(target).display()));
                    std::process::abort();
                }
            }
        });
        Self { since, began }
    }

    fn set(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.store(now.max(1), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.since.store(0, Ordering::Relaxed);
    }
}

/// The processor time that this thread may use: a busy machine makes a run longer, and not its result smaller.
struct Budget {
    processor: Duration,
    since: Duration,
    until: Instant,
}

impl Budget {
    fn new(processor: Duration) -> Self {
        Self { processor, since: processor_time(), until: Instant::now() + processor * MAX_WAIT }
    }

    fn used(&self) -> Duration {
        processor_time().saturating_sub(self.since)
    }

    fn is_spent(&self) -> bool {
        self.used() >= self.processor || Instant::now() >= self.until
    }
}

/// What this thread has used so far (kernel Documentation/scheduler/sched-stats.rst: the first field, in nanoseconds).
fn processor_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("readable");
    Duration::from_nanos(text.split(' ').next().and_then(|first| first.parse().ok()).expect("a number"))
}

/// The input that a run is at, for a process that is ended from outside.
fn at_work(target: &str) -> PathBuf {
    std::env::temp_dir().join(format!("dindcheck-fuzz-{}-{target}", std::process::id()))
}

fn say(text: &str) {
    // Not captured by the test's harness: a run of minutes shows how far it is.
    let _ = writeln!(std::io::stderr(), "fuzz: {text}");
}

/// Gives what came of an input, with what differs from run to run taken out; `None` if it panicked.
fn outcome(target: &Target, room: &Path, input: &[u8]) -> Option<u64> {
    let shape = catch_unwind(AssertUnwindSafe(|| (target.run)(room, input))).ok()?;
    let mut hasher = DefaultHasher::new();
    let plain = |c: &char| !c.is_ascii_digit() && *c != '\'' && *c != '"' && *c != '`';
    shape.chars().take(4096).filter(plain).for_each(|c| c.hash(&mut hasher));
    Some(hasher.finish())
}

/// The smallest part of an input that still brings the target down.
fn cut(target: &Target, room: &Path, mut input: Vec<u8>) -> Vec<u8> {
    let mut tries = 0;
    let mut size = input.len() / 2;
    while size > 0 && tries < MAX_CUTS {
        let mut at = 0;
        while at < input.len() && tries < MAX_CUTS {
            let end = (at + size).min(input.len());
            let less = [&input[..at], &input[end..]].concat();
            tries += 1;
            if outcome(target, room, &less).is_none() { input = less } else { at = end }
        }
        size /= 2;
    }
    input
}

fn run(name: &'static str) {
    let target = targets::find(name);
    let room = tempfile::tempdir().expect("a directory");
    let watch = Watch::new(name);
    let mut seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{name}: no seeds");
    let kept = fs::read_dir(found(name)).into_iter().flatten().filter_map(|entry| fs::read(entry.ok()?.path()).ok());
    seeds.extend(kept);
    let seconds = std::env::var("DINDCHECK_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let number = match std::env::var("DINDCHECK_FUZZ_NUMBER").ok().and_then(|text| text.parse().ok()) {
        Some(number) => number,
        None if seconds.is_some() => std::time::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos().into(),
        None => 1,
    };
    let mut random = Random::new(number);
    let budget = seconds.map(|seconds| Budget::new(Duration::from_secs(seconds)));
    let given = seeds.len();
    let mut seen: HashSet<u64> = HashSet::new();
    let mut inputs = 0;
    loop {
        let replayed = usize::try_from(inputs).ok().and_then(|index| seeds[..given].get(index)).cloned();
        let is_over = budget.as_ref().map_or(inputs >= INPUTS, Budget::is_spent);
        if is_over && replayed.is_none() {
            break;
        }
        let mut input = replayed.unwrap_or_else(|| mutate::mutated(&mut random, &seeds, target.words));
        input.truncate(MAX_LENGTH);
        if let Some(repair) = target.repair {
            repair(&mut input);
        }
        if budget.is_some() {
            let _ = fs::write(at_work(name), &input);
        }
        watch.set();
        let outcome = outcome(target, room.path(), &input);
        watch.clear();
        inputs += 1;
        match outcome {
            Some(shape) if seen.insert(shape) && seeds.len() < MAX_KEPT => seeds.push(input),
            Some(_) => {}
            None => {
                let small = cut(target, room.path(), input);
                let mut hasher = DefaultHasher::new();
                small.hash(&mut hasher);
                let file = found(name).join(format!("{:016x}", hasher.finish()));
                fs::create_dir_all(found(name)).and_then(|()| fs::write(&file, &small)).expect("written");
                panic!("{name}: {} brings it down ({inputs} inputs from {number})", file.display());
            }
        }
    }
    let _ = fs::remove_file(at_work(name));
    if let Some(budget) = budget {
        let used = budget.used().as_secs();
        say(&format!("{name}\t{inputs} inputs\t{} outcomes\t{used} s of processor\tfrom {number}", seen.len()));
    }
}

/// Whether what the mutations are made of is known to find something: a target with a fault.
#[test]
fn a_fault_is_found_and_made_small() {
    let target = Target {
        name: "faulty",
        seeds: || vec![b"a list: one, two".to_vec()],
        words: &["[["],
        repair: None,
        run: |_, input| {
            assert!(!input.windows(3).any(|three| three == b"[[["), "the fault");
            String::new()
        },
    };
    let mut random = Random::new(1);
    let seeds = (target.seeds)();
    let input = (0..200_000)
        .map(|_| mutate::mutated(&mut random, &seeds, target.words))
        .find(|input| outcome(&target, Path::new("/"), input).is_none());
    let small = cut(&target, Path::new("/"), input.expect("it is found"));
    assert_eq!(small, b"[[[");
}

#[test]
fn each_target_has_its_test() {
    let text = include_str!("main.rs");
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for target in targets::TARGETS {
        count.insert(target.name, text.matches(&format!("    {},\n", target.name)).count());
    }
    assert!(count.values().all(|count| *count == 1), "{count:?}");
}

macro_rules! each {
    ($($name:ident,)*) => { $(
        #[test]
        fn $name() {
            run(stringify!($name));
        }
    )* };
}

each! {
    log,
    signatures,
    mountinfo,
    memberships,
    stat,
    machine,
    facts,
    version,
    packages,
    profile,
    outer,
    matrix,
    journal,
    report,
    archive,
    layer,
    http,
    ping,
    flags,
    words,
    host,
    names,
    certificates,
    text,
}
