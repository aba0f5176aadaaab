//! What looks like an error, in any program's log: levels, the words that programs open or close an error with, and the
//! errors of the system at a message's end. This decides only for lines that no signature explains.

use std::sync::OnceLock;

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

use super::errno;
use super::reader::Level;
use super::signature::Unexplained;

/// What finds such lines in the raw bytes: kind, pattern over the text (empty: the level or [`kind`] decides), words.
///
/// The daemon's last words and the client's answers: moby cmd/dockerd, daemon/command/docker.go, client/request.go;
/// docker/cli cmd/docker/docker.go; RootlessKit cmd/rootlesskit/main.go; logrus' and klog's levels.
pub(super) const RULES: &[(Unexplained, &str, &[&str])] = &[
    (
        Unexplained::Error,
        "",
        &[
            "level=error",
            "level=\"error",
            "level\":\"error",
            "level\\\":\\\"error",
            "level\": \"error",
            "level=ERROR",
            "ERRO[00",
            "ERRO[20",
            "##[error]",
            "::error",
            "[ERROR]",
            "[error]",
            " ERROR ",
            "\tERROR\t",
            "ERROR: ",
            "severity\":\"ERROR",
        ],
    ),
    (
        Unexplained::Death,
        "",
        &[
            "level=fatal",
            "level=\"fatal",
            "level\":\"fatal",
            "level\\\":\\\"fatal",
            "FATA[00",
            "FATA[20",
            "level=panic",
            "level=FATAL",
            "[FATAL]",
            "[fatal]",
            " FATAL ",
        ],
    ),
    (Unexplained::Death, "ailed to start daemon", &["ailed to start daemon"]),
    (Unexplained::Death, "rror starting daemon", &["rror starting daemon"]),
    (Unexplained::Death, r"\[rootlesskit:(?:parent|child *)\] error: ", &["[rootlesskit:"]),
    (Unexplained::Answer, "rror response from daemon", &["rror response from daemon"]),
    // What ends a script wherever it stands (POSIX, consequences of shell errors): bash, dash, BusyBox.
    (
        Unexplained::Answer,
        r": (?:line )?\d+: (?:.*: )?(?:unbound variable|parameter (?:null or )?not set|[Bb]ad substitution|[Ss]yntax error)",
        &["unbound variable", "parameter not set", "parameter null or not set", "ad substitution", "yntax error"],
    ),
    (
        Unexplained::Looks,
        "",
        &[
            "Error: ",
            "error: ",
            "ERROR: ",
            "Error (",
            "rror res",
            "rror whi",
            "rror cre",
            "rror dur",
            "Errors:",
            "Exception",
            "exception",
            " err=\"",
            "panic: ",
            "PANIC: ",
            "fatal: ",
            "Fatal: ",
            "FATAL: ",
            "fatal error",
            "Fatal error",
            "CRITICAL",
            "ailed to ",
            "ailed: ",
            " failed",
            "Failed ",
            "FAILED",
            "FailedS",
            "FailedM",
            "FailedC",
            "phase Failed",
            "failure",
            "Failure",
            "annot be",
            "cannot ",
            "Cannot ",
            "could not",
            "Could not",
            "couldn't",
            "Couldn't",
            " can't ",
            "nable to ",
            "not permitted",
            " denied",
            "Denied",
            "refused",
            "Refused",
            "timed out",
            "Timed out",
            "timeout",
            "Timeout",
            "not found",
            "not supported",
            "nsupported",
            "not available",
            "unavailable",
            "not exist",
            "no such ",
            "No such ",
            "nvalid argument",
            "nvalid ",
            "nknown ",
            "nexpected ",
            "missing ",
            "Missing ",
            "too many ",
            "too old",
            "mismatch",
            "not running",
            "unreachable",
            "nreachable",
            "exhausted",
            "expired",
            "exceeded",
            "crashed",
            "Aborted",
            "aborted",
            "Aborting",
            "aborting",
            "killed",
            "Segmentation",
            "segfault",
            "core dumped",
            "nput/output",
            "o such device",
            "ot a directory",
            "s a directory",
            "esource temporarily",
            "annot allocate",
            "ross-device",
            "oo many levels",
            "ot implemented",
            "onnection reset",
            "ddress already",
            "read-only file",
            "Read-only file",
            "device or resource",
            "no space left",
            "No space left",
            "exit code",
            "exit status",
            "exited with",
            "terminated",
            "returned a non-zero",
            "not responding",
            "rejected",
            "forbidden",
            "Forbidden",
            "corrupt",
            "deadlock",
            "unhealthy",
            "already in use",
            "conflict",
            "not compatible",
            "incompatible",
            "required",
            "requires ",
            "must be ",
            " FAIL  ",
            "Killed\n",
            "Killed ",
            "BackOff",
            "CrashLoop",
            "OOMKilled",
            "permission",
            "apparmor=",
            "is not a ",
            "Errors du",
            "Errors wh",
            " EOF",
            "llegal ",
            "Bad system call",
            "Bus error",
            "stack smashing",
            "SIGSEGV",
            "SIGILL",
            "SIGABRT",
            "SIGBUS",
            "SIGSYS",
            "request canceled",
            "onnection closed",
            "misbehaving",
            "nauthorized",
            "has no installation candidate",
            "xiting due to",
            "exited (",
            "ot enough ",
            "nsufficient",
            "[ERR]",
            "[FAIL]",
            "[CRIT]",
            "ErrImagePull",
            "did not ",
            "didn't ",
            "never came",
            "never became",
            "never started",
            "is not ",
            "iving up",
            "disagrees about",
            "nrecognized",
            "no healthy",
            "no valid",
            "no supported",
            "no available",
            "no quorum",
            "ust run ",
            "needs ",
            "to an HTTPS server",
            "not allowed",
            "prevents ",
            "ut of memory",
            "oom_kill",
            "oom-kill",
            "prohibited",
            "\u{2717} ",
            "\u{274c} ",
        ],
    ),
];

/// Whether a text that no signature explains looks like an error, and of which kind.
pub(super) fn kind(level: Option<Level>, text: &[u8]) -> Option<Unexplained> {
    if is_end(text) {
        return Some(Unexplained::End);
    }
    let error = match level {
        Some(level) => level >= Level::Error,
        None => {
            let patterns = patterns();
            patterns.looks.is_match(text) && (!patterns.harmless.is_match(text) || patterns.event.is_match(text))
        }
    };
    error.then_some(Unexplained::Looks)
}

/// Whether a raw line tells a level below that of errors, in logrus' forms; those of others are seen when it is read.
pub(super) fn is_quiet(line: &[u8]) -> bool {
    let at = memmem::find(line, b"level=").map(|at| at + b"level=".len());
    let at = at.or_else(|| memmem::find(line, b"\"level\":").map(|at| at + b"\"level\":".len()));
    let word = at.map(|at| &line[at..]).unwrap_or_default();
    let word = word.iter().copied().find(|byte| byte.is_ascii_alphabetic());
    matches!(word, Some(b'i' | b'd' | b'w' | b't'))
}

/// Whether a text only says that something before it failed.
pub(super) fn is_end(text: &[u8]) -> bool {
    patterns().end.is_match(text)
}

struct Patterns {
    looks: Regex,
    harmless: Regex,
    event: Regex,
    end: Regex,
}

fn patterns() -> &'static Patterns {
    static PATTERNS: OnceLock<Patterns> = OnceLock::new();
    PATTERNS.get_or_init(|| {
        let errors: Vec<&str> = errno::texts().collect();
        let looks = format!(r"{LOOKS}|(?:: |^|'')[^ ]?(?:{})[.\x22')\]]*(?: *\(.*\))?$", errors.join("|"));
        Patterns { looks: compile(&looks), harmless: compile(NOT), event: compile(EVENT), end: compile(END) }
    })
}

/// An error's opening and closing words. A label before a colon or in brackets; a verb of failure where a clause
/// begins; what only errors say, wherever it stands.
const LOOKS: &str = concat!(
    r"(?:^|[\s\[(|>*!])(?:[A-Za-z]*(?:ERROR|Error|error|FATAL|Fatal|fatal|PANIC|panic|Exception|CRITICAL))",
    r"(?: \([^)]*\)|\[\d+\])?(?:[\]):!]|$)",
    r"|^[EF]\d{4} \d\d:\d\d:\d\d|apparmor=.?DENIED|^Errors? (?:during|while|when|in|reading|creating|getting)\b",
    r"|is not a docker command",
    r"|\berr(?:or)?=\x22[^\x22]",
    r"|(?:^|[:.;!\])>] |- |\* )(?:[Ff]ailed|FAILED|[Ff]ailure|[Cc]ould not|[Cc]ouldn.t|[Cc]annot|CANNOT|[Cc]an.t|[Uu]nable|",
    r"[Ii]nvalid|[Uu]nknown|[Uu]nsupported|[Mm]issing|[Tt]imed? ?out|[Uu]nexpected|[Rr]efus|[Dd]enied|[Nn]o such|",
    r"[Aa]bort|[Kk]illed|Segmentation|[Ee]rror \w+ing|[Nn]ot found|[Pp]ermission denied)",
    r"|\b(?:failed|denied|refused|not permitted|timed out|timeout exceeded|not supported|unsupported|does(?: not|n.t) exist|",
    r"cannot|unable to|could not|couldn.t|can.t|too old|too many|mismatch|not running|unreachable|exhausted|expired|",
    r"deadline exceeded|crashed|aborted|killed|segfault|core dumped|corrupt(?:ed)?|unhealthy|already in use|",
    r"not compatible|incompatible|is required|are required|requires|must be|OOMKilled|CrashLoopBackOff|BackOff|",
    r"no such (?:file|host|device|container|image|process)|no space left|read-only file system|[Cc]ommand not found|",
    r": not found|not available|no longer|rejected|forbidden|returned a non-zero|not allowed|prohibited|",
    r"i/o timeout|request canceled|connection closed before|server misbehaving|has no installation candidate|",
    r"illegal instruction|Illegal instruction|Bad system call|Bus error|stack smashing detected|segmentation violation|",
    r"[Oo]ut of memory|oom[_-]kill\w*|[Nn]ot enough|[Ii]nsufficient|[Uu]nauthorized|[Uu]nrecognized|",
    r"(?:did not|didn.t) (?:come up|become|start|respond|finish|complete|answer)|never (?:came up|became|started)|",
    r"is not (?:up|ready|reachable|installed|writable|mounted|enabled|recognized|a TTY|allowed)|[Gg]iving up|disagrees about|",
    r"no (?:healthy|valid|supported|available|quorum)|[Mm]ust run|needs (?:to be|privileged|CAP_\w+)|prevents \w+ from|",
    r"phase Failed|HTTP request to an HTTPS server|ErrImagePull|ImagePullBackOff|SIG(?:SEGV|ILL|ABRT|BUS|SYS)|xiting due to [A-Z_]+|exited \(status [1-9]\d*)\b",
    r"|: (?:unexpected )?EOF[.\x22')]*$|\[(?:ERR|FAIL|CRIT)\]|\bTLS handshake timeout",
    // What kind, minikube and others put before a step that failed.
    r"|(?:^|\s)(?:\xE2\x9C\x97|\xE2\x9D\x8C) ",
);

/// What has such words and is none: warnings and notes, what a shell traces, headings of build steps, counts of none.
const NOT: &str = concat!(
    r"^[\s*>|#-]*(?:\[?(?i:warning|warn|note|info|debug|trace|hint|notice|deprecated)\]?\b)",
    r"|^(?:\+{1,4} |\$ |W: |I: |N: |D: |i |v )",
    r"|^(?:#\d+ )?(?:\[[^\]]*\d+/\d+\] |Step \d+/\d+ ?:|---> |RUN |COPY |checking (?:for|whether|if) )",
    r"|\b(?:0|[Nn]o|without|ignor\w+|[Zz]ero) (?:errors?|fail(?:ed|ures?)|warnings?)\b|(?:errors?|failed|failures?)[ =:]+0\b",
    r"|\b[Ww]arning: |(?i:\bdeprecat)",
    r"|^(?:Get:|Hit|Ign|Unpacking|Preparing|Selecting|Setting up|Fetched|Downloading|Collecting|Requirement already)(?:\b|\d)",
);

/// An event that Kubernetes calls a warning (`kubectl describe`, `kubectl get events`): it has no word for an error.
const EVENT: &str = r"^\s*(?:\S+\s+){0,2}Warning\s+(?:[A-Z][a-z]+(?:[A-Z]\w*)+|Failed|Unhealthy|Evicted)\s";

/// A job's, script's or build's last words.
const END: &str = concat!(
    r"^[\s:]*(?:ERROR: |Error: |error: |FATAL: )?(?:",
    r"Job failed: (?:exit (?:code|status) \d+|command terminated with exit code \d+)",
    r"|Process completed with exit code \d+\.?|Process exited with code \d+|The operation was canceled\.?",
    r"|exit (?:status|code):? ?\d+|(?:script|command) (?:returned|exited with|failed with) (?:exit )?(?:code|status)[: ]+\d+",
    r"|make(?:\[\d+\])?: \*\*\* .*|Command (?:failed|exited) with (?:exit )?(?:code|status) \d+.*",
    r"|Build step .{1,80} marked build as failure|Finished: FAILURE|Executing .{1,60} failed with exit code \d+",
    r"|[Tt]he command .{1,200} returned a non-zero code: \d+|Exited with code (?:exit status )?\d+",
    r"|.{1,80}: exited with (?:code|status) \d+\.?|Build failed|Task failed|Run failed|[Cc]leaning up.*",
    r"|(?:npm ERR!|error Command failed with exit code|ELIFECYCLE).*",
    r")\s*$",
);

fn compile(text: &str) -> Regex {
    let compiled = RegexBuilder::new(text).unicode(false).dot_matches_new_line(true).build();
    compiled.expect("a constant pattern, compiled by a test")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_any_tool_s_words() {
        for text in [
            "docker: something went wrong: permission denied.",
            "ERROR: failed to solve: process did not complete",
            "Error: could not find a working container runtime strategy",
            "runc run failed: container with given ID already exists",
            "OCI runtime create failed: container_linux.go:380: starting container process caused: x",
            "E0723 10:11:12.345678    1234 server.go:200] \"Kubelet stopped\" err=\"x\"",
            "panic: rootless Docker not found",
            "[ERROR] Missing system requirements",
            "java.lang.IllegalStateException: Could not find a valid Docker environment",
            "(!) Failed to start the engine",
            "mount: /tmp: Operation not permitted.",
            "sh: docker: not found",
            "  Warning  FailedMount  3s (x2 over 4s)  kubelet  MountVolume.SetUp failed for volume x",
            "5m  Warning  BackOff  pod/x  Back-off restarting failed container dind in pod x",
            "  Warning  FailedScheduling  9s  default-scheduler  0/4 nodes are available: 4 Insufficient memory.",
            "dial tcp 10.2.3.4:2376: i/o timeout",
            "Head \"https://registry.test/v2/\": EOF",
            "Get \"https://registry.test/v2/\": EOF",
            "Client sent an HTTP request to an HTTPS server.",
            "Illegal instruction",
            "E: Package 'docker-ce' has no installation candidate",
            "\u{2717} Preparing nodes",
            "[ERR] agent stopped: no quorum",
            "FAILED: the engine did not come up",
            "dockerd exited (status 2)",
            "the input device is not a TTY",
            "sudo: The \"no new privileges\" flag is set, which prevents sudo from running as root.",
            "This container must run with --privileged: it needs CAP_SYS_ADMIN",
        ] {
            assert_eq!(kind(None, text.as_bytes()), Some(Unexplained::Looks), "{text}");
        }
    }

    #[test]
    fn words_of_an_error_are_not_yet_one() {
        for text in [
            "Setting up libgpg-error0:amd64 (1.46-1) ...",
            "WARNING: this may fail: not found",
            "#12 [3/7] RUN ./configure || echo failed",
            "Tests run: 12, Failures: 0, Errors: 0",
            "12 passed, 0 failed",
            "checking for sys/epoll.h... not found",
            "+ echo 'cannot happen'",
            "error_handler.c compiled",
            "Get:7 http://mirror.example/debian bookworm/main amd64 libgpg-error0 amd64 1.46-1 [failed to be small]",
            "the cache is not used",
            "the unit needs no restart",
            "npm warn deprecated request@2.88.2: request has been deprecated, see https://a/issues/3142",
        ] {
            assert_eq!(kind(None, text.as_bytes()), None, "{text}");
        }
        assert_eq!(kind(Some(Level::Warning), b"failed to do this: permission denied"), None);
    }

    #[test]
    fn last_words_say_nothing() {
        for text in ["ERROR: Job failed: exit code 1", "Process completed with exit code 1.", "exit status 1"] {
            assert_eq!(kind(None, text.as_bytes()), Some(Unexplained::End), "{text}");
        }
        assert_eq!(kind(None, b"ERROR: Job failed (system failure): x"), Some(Unexplained::Looks));
    }
}
