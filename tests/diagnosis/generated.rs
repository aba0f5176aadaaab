//! Messages made from the sources' format strings with random objects lead to what their errno, object and place say;
//! and what no signature knows is shown nevertheless. `tests/synthetic/messages.yaml` has them.

use std::collections::{BTreeMap, HashSet};

use dindcheck::diagnosis::{Library, Weight};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use crate::{diagnosed, first};

/// Messages of one source.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    source: String,
    /// How many different error strings its packages have, where they were counted.
    #[serde(default)]
    found: Option<usize>,
    frames: Vec<Frame>,
    /// By message: what it stands for, by its errnos and the place.
    messages: BTreeMap<String, BTreeMap<String, Wanted>>,
}

/// What a message may lead to.
#[derive(Deserialize)]
#[serde(untagged)]
enum Wanted {
    /// No cause; it is shown without one.
    Open,
    One(String),
    /// One of several that are as right.
    AnyOf(Vec<String>),
}

impl Wanted {
    fn causes(&self) -> Vec<&str> {
        match self {
            Self::Open => Vec::new(),
            Self::One(id) => vec![id],
            Self::AnyOf(ids) => ids.iter().map(String::as_str).collect(),
        }
    }
}

/// What stands around a message when it reaches a log.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Frame {
    Plain,
    Shell,
    Daemon,
    Network,
    Oci,
    Layer,
    Cri,
    Iptables,
    Client,
    Rootlesskit,
}

impl Frame {
    /// The forms that the message's callers give it, oldest last.
    const fn forms(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Shell => &["{m}"],
            Self::Daemon => &["failed to start daemon: {m}", "Error starting daemon: {m}"],
            Self::Network => &[
                "docker: Error response from daemon: failed to set up container networking: {m}.",
                "failed to start daemon: Error initializing network controller: {m}",
                "docker: Error response from daemon: failed to create endpoint web on network bridge: {m}.",
            ],
            Self::Oci => &[
                "docker: Error response from daemon: failed to create task for container: failed to create shim task: OCI \
                 runtime create failed: runc create failed: unable to start container process: error during container \
                 init: {m}: unknown.",
                "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: \
                 container_linux.go:380: starting container process caused: {m}: unknown.",
                "runc run failed: unable to start container process: {m}",
                "OCI runtime create failed: container_linux.go:346: starting container process caused \
                 \"process_linux.go:449: container init caused \\\"{m}\\\"\": unknown",
            ],
            Self::Layer => &[
                "docker: failed to extract layer sha256:0123456789abcdef to overlayfs as \"extract-1 sha256:0\": {m}",
                "Error response from daemon: {m}",
                "ERROR: failed to build: failed to solve: {m}",
            ],
            Self::Cri => &[
                "E0723 10:11:12.345678    1234 remote_runtime.go:222] \"RunPodSandbox from runtime service failed\" \
                 err=\"rpc error: code = Unknown desc = failed to create containerd task: {m}\"",
                "Failed to retrieve agent config: {m}",
            ],
            Self::Iptables => &[
                "failed to start daemon: Error initializing network controller: error obtaining controller instance: \
                 failed to register \"bridge\" driver: failed to create NAT chain DOCKER: iptables failed: iptables \
                 --wait -t nat -N DOCKER: {m} (exit status 3)",
            ],
            Self::Client => &["{m}", "docker: {m}.", "ERROR: {m}"],
            Self::Rootlesskit => &["[rootlesskit:parent] error: {m}", "[rootlesskit:child ] error: {m}"],
        }
    }

    /// Whether nothing follows: the daemon, or the script that starts it, ends.
    const fn ends(self) -> bool {
        matches!(self, Self::Daemon | Self::Network | Self::Iptables | Self::Shell | Self::Rootlesskit)
    }
}

/// How errors are written: Go's words, and glibc's begin with a large letter.
const ERRNOS: &[(&str, &str)] = &[
    ("EPERM", "operation not permitted"),
    ("ENOENT", "no such file or directory"),
    ("EIO", "input/output error"),
    ("ENOEXEC", "exec format error"),
    ("EAGAIN", "resource temporarily unavailable"),
    ("ENOMEM", "cannot allocate memory"),
    ("EACCES", "permission denied"),
    ("EBUSY", "device or resource busy"),
    ("EXDEV", "invalid cross-device link"),
    ("ENODEV", "no such device"),
    ("ENOTDIR", "not a directory"),
    ("EISDIR", "is a directory"),
    ("EINVAL", "invalid argument"),
    ("ENOSPC", "no space left on device"),
    ("EROFS", "read-only file system"),
    ("ENOSYS", "function not implemented"),
    ("EPROTONOSUPPORT", "protocol not supported"),
    ("EOPNOTSUPP", "operation not supported"),
    ("EADDRINUSE", "address already in use"),
    ("ECONNREFUSED", "connection refused"),
    ("EDQUOT", "disk quota exceeded"),
    ("ENOPKG", "package not installed"),
];

/// Lines that give a place away.
const PLACES: &[(&str, &str)] = &[
    ("gvisor", "level=info msg=\"starting containerd\" runtime=runsc"),
    ("qemu-user", "WARNING: The requested image's platform (linux/arm64) does not match the detected host platform"),
];

/// A small generator of random objects: Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    fn object(&mut self, kind: &str) -> String {
        match kind {
            "n" => self.below(4000).to_string(),
            "pid" => (2 + self.below(60_000)).to_string(),
            "port" => (1024 + self.below(60_000)).to_string(),
            "id" => (0..12).map(|_| self.of(&["0", "1", "4", "7", "9", "a", "b", "c", "d", "e", "f"])).collect(),
            "ip" => format!("10.{}.{}.{}", self.below(255), self.below(255), 1 + self.below(254)),
            "host" => self.of(&["builder", "dind-0", "ci.example", "runner7", "engine.local"]).to_owned(),
            "name" => self.of(&["web", "db_1", "cache-2", "proxy", "alpha", "unit"]).to_owned(),
            "sysctl" => self
                .of(&["net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "kernel.msgmax"])
                .to_owned(),
            "path" => {
                let depth = 1 + self.below(3);
                (0..depth)
                    .map(|_| format!("/{}", self.of(&["srv", "data", "w0", "x-y", "store.d", "a_b", "q"])))
                    .collect()
            }
            other => panic!("no object {{{other}}}"),
        }
    }

    /// Fills the slots of a message.
    fn fill(&mut self, form: &str, errno: Option<&str>) -> String {
        let mut out = String::new();
        let mut rest = form;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((kind, tail)) =
                after.split_once('}').filter(|(kind, _)| kind.chars().all(|c| c.is_ascii_lowercase()))
            else {
                out.push_str(before);
                out.push('{');
                rest = after;
                continue;
            };
            out.push_str(before);
            match (kind, errno) {
                ("errno", Some(errno)) => out.push_str(errno),
                _ => out.push_str(&self.object(kind)),
            }
            rest = tail;
        }
        out + rest
    }

    fn shape(&mut self, line: &str, frame: Frame) -> String {
        // What is no logger's line is not written by one.
        let bare = matches!(frame, Frame::Plain | Frame::Shell | Frame::Client | Frame::Cri | Frame::Rootlesskit);
        let logged = match self.below(if bare { 1 } else { 4 }) {
            1 => format!("time=\"2025-03-04T05:06:07.123456789Z\" level=error msg={}", json!(line)),
            2 => format!("ERRO[0007] {line}"),
            3 => json!({"level": "error", "msg": line, "time": "2025-03-04T05:06:07Z"}).to_string(),
            _ => line.to_owned(),
        };
        match self.below(5) {
            1 => format!("2025-03-04T05:06:07.123456789Z stderr F {logged}"),
            2 => format!("Mar 04 05:06:07 host dockerd[{}]: {logged}", 2 + self.below(9000)),
            3 => format!("dind-1  | {logged}"),
            4 => format!("\u{1b}[31m{logged}\u{1b}[0m"),
            _ => logged,
        }
    }
}

fn groups() -> Vec<Group> {
    serde_yaml::from_str(include_str!("../synthetic/messages.yaml")).unwrap()
}

/// Each message that has a cause, once for each errno: cause and text.
pub(crate) fn samples() -> Vec<(String, String)> {
    let mut random = Random(1);
    let mut samples = Vec::new();
    for (form, meanings) in groups().iter().flat_map(|group| &group.messages) {
        for (key, wanted) in meanings {
            let errno = key.split('@').next().unwrap();
            let words = ERRNOS.iter().find(|(name, _)| *name == errno).map(|(_, words)| *words);
            let text = random.fill(form, words);
            samples.extend(wanted.causes().into_iter().map(|cause| (cause.to_owned(), text.clone())));
        }
    }
    samples
}

/// A log and what has to be said of it.
struct Case {
    log: String,
    line: u64,
    wanted: Vec<String>,
}

/// Every message with every errno and place, each in a random frame and shape at a random place of a healthy log.
fn cases(random: &mut Random) -> Vec<Case> {
    let healthy: Vec<String> = crate::recorded::logs()
        .into_iter()
        .filter(|log| log.cause == "healthy")
        .map(|log| String::from_utf8_lossy(&log.bytes).into_owned())
        .collect();
    let mut cases = Vec::new();
    for group in groups() {
        for (form, meanings) in &group.messages {
            for (key, wanted) in meanings {
                let (errno, place) = key.split_once('@').map_or((key.as_str(), None), |(e, p)| (e, Some(p)));
                let words = ERRNOS.iter().find(|(name, _)| *name == errno).map(|(_, words)| (*words).to_owned());
                assert_eq!(words.is_some(), errno != "-", "{form}: {errno}");
                let frame = group.frames[random.below(group.frames.len())];
                // The C library's programs begin an error with a large letter, Go's do not.
                let large =
                    matches!(frame, Frame::Iptables | Frame::Shell) || frame == Frame::Plain && random.below(3) > 0;
                let words = words.map(|words| if large { capitalised(&words) } else { words });
                let framed = random.of(frame.forms()).replace("{m}", &random.fill(form, words.as_deref()));
                let message = random.shape(&framed, frame);
                // A healthy engine before it, or nothing: then the message is all there is.
                let mut lines: Vec<&str> = if random.below(3) == 0 {
                    Vec::new()
                } else {
                    healthy[random.below(healthy.len())].lines().collect()
                };
                let at = random.below(lines.len() + 1);
                if frame.ends() {
                    lines.truncate(at);
                }
                lines.insert(at, &message);
                let mut line = at as u64 + 1;
                if let Some(place) = place {
                    let (_, mark) = PLACES.iter().find(|(id, _)| *id == place).unwrap();
                    lines.insert(0, mark);
                    line += 1;
                }
                let wanted = wanted.causes().into_iter().map(str::to_owned).collect();
                cases.push(Case { log: lines.join("\n") + "\n", line, wanted });
            }
        }
    }
    cases
}

fn capitalised(words: &str) -> String {
    words[..1].to_uppercase() + &words[1..]
}

fn wrong(seed: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    for case in cases(&mut Random(seed | 1)) {
        let answer = diagnosed(case.log.as_bytes());
        let (cause, line) = first(&answer);
        let right = match cause {
            Some(cause) => case.wanted.iter().any(|wanted| wanted == cause),
            None => case.wanted.is_empty(),
        };
        if !right || line != Some(case.line) {
            let text = case.log.lines().nth(case.line as usize - 1).unwrap_or_default();
            wrong.push(format!("{cause:?} at {line:?}, not {:?} at {}: {text}", case.wanted, case.line));
        }
    }
    wrong
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn errno_object_and_place_decide(seed in any::<u64>()) {
        let wrong = wrong(seed);
        prop_assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// The errno of a message is its own, and not that of another one a few lines later. The seeds are those that showed it.
#[test]
fn the_errno_of_another_message_decides_nothing() {
    for seed in [12_936_691_024_865_255_962, 8_722_990_743_677_546_089] {
        let wrong = wrong(seed);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn messages_name_known_causes_and_are_counted() {
    let causes: HashSet<&str> = Library::embedded().unwrap().causes().iter().map(|cause| cause.id.as_str()).collect();
    for group in groups() {
        for wanted in group.messages.values().flat_map(BTreeMap::values).flat_map(Wanted::causes) {
            assert!(causes.contains(wanted), "{}: {wanted}", group.source);
        }
        assert!(group.found.is_none_or(|found| group.messages.len() <= found), "{}", group.source);
    }
}

/// Each line of a healthy log, and all of them together, are no error: not even one that is not explained. A warning
/// that the lines after it take back names, alone, what it hints at.
#[test]
fn no_harmless_line_is_an_error() {
    for log in crate::recorded::logs().iter().filter(|log| log.cause == "healthy") {
        assert_eq!(first(&diagnosed(&log.bytes)), (None, None), "{}", log.path.display());
        for line in log.bytes.split(|byte| *byte == b'\n') {
            let answer = diagnosed(line);
            let hint = answer.cause().is_some_and(|cause| cause.weight == Weight::Hint);
            assert!(answer.first_error.is_none() || hint, "{}: {answer:?}", log.path.display());
        }
    }
}
