//! The command line's types, and nothing else.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::check;
use crate::facts::outer::Said;
use crate::gate;
use crate::gate::report::FailOn;
use crate::gate::run::Entrypoint;
use crate::pages;
use crate::profile::outers;
use crate::report::Program;
use crate::report::seal::Seal;
use crate::version::EngineVersion;

/// Makes a nested container engine work, and says why when it cannot.
///
/// Without a command it does the main job, as the entrypoint of a privileged container: it checks what the container
/// was given against what the Docker version inside needs, mends what can be mended (--fix), starts the daemon, proves
/// it with a real test container, and stays as PID 1.
#[derive(Debug, Parser)]
#[command(version = Program::LINE, args_conflicts_with_subcommands = true, disable_help_subcommand = true, override_usage = USAGE, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do, if it is not the main job.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The main job.
    #[command(flatten)]
    pub run: RunArgs,
}

const USAGE: &str = "\
dindcheck [OPTIONS] [DAEMON FLAGS... | dockerd ARGS... | COMMAND...]
       dindcheck --job [OPTIONS] [--] COMMAND...
       dindcheck COMMAND-OF-OURS ...";

const AFTER_HELP: &str = "\
Our options come first. The first word that is a flag of the daemon's, or neither an option nor a command of ours, ends
them: what begins with a flag or with `dockerd` is for the daemon, anything else is run instead of it with DOCKER_HOST
set. `--` ends them explicitly: `dindcheck --fix -- --storage-driver=vfs` is `dindcheck --fix --storage-driver=vfs`.

The variables of the official docker:dind image count here too. DOCKER_TLS_CERTDIR: certificates are made there, and the
API is on tcp port 2376 too; set and empty: on port 2375, open to everybody. DOCKER_TLS_SAN: more names for the server's
certificate, as DNS:NAME,IP:ADDRESS. DOCKER_HOST: a unix:// address is the daemon's socket. DOCKER_IPTABLES_LEGACY: set,
the legacy iptables; set and empty, the one for nftables. DOCKER_DRIVER: the storage driver. DINDCHECK_DAEMON_ARGS: more
flags for the daemon, split as a shell splits words.

The port opens, and the socket gets its name, when the daemon is proved: a client that dials before waits, and needs no
loop of its own.

Exit status: 0 all that is required holds; 1 a blocking finding is left; 2 the command line, a profile or an input
file is wrong; 3 a fix failed and was undone; 4 the daemon did not start, or did not answer in time;
5 the daemon runs, and the test container failed; 6 dindcheck itself failed. Once verification has passed, the main
job ends with the daemon's own status (--job: the command's), or 128+N for signal N; so it does when it is asked to end
before. 126, 127: a command that is run instead cannot be run, or is not there.";

/// Everything but the main job.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look and judge; changes nothing, leaves no trace
    Check(CheckArgs),
    /// Check, mend, check again
    Fix(FixArgs),
    /// Undo what fix did in this container, newest first
    Undo(OutputArgs),
    /// Report whether the daemon is proved and answers: for HEALTHCHECK and probes; on a client's side, that of DOCKER_HOST
    Health(HealthArgs),
    /// Prove a running inner daemon with a test container
    Verify(VerifyArgs),
    /// Explain a daemon's log: the first error, its cause, what to do
    Diagnose(DiagnoseCommand),
    /// From the host: tell whether an image with an engine in it is fit to ship
    Gate(GateArgs),
    /// Explain an id of a report: reason, input, remedy; without one, list all
    Explain(ExplainArgs),
    /// What each Docker version needs and gives: list, show, diff, lint
    Profiles(ProfilesArgs),
    /// Print the facts as JSON: a support bundle that --facts judges anywhere
    Facts(FactsArgs),
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write the whole manual as HTML
    Man {
        /// Write pages, commands, ids and recipes as linked HTML into this directory, which is new or empty
        #[arg(long, value_name = "DIR")]
        html: Option<PathBuf>,
    },
    /// Show a page of the manual (use, entrypoint, kubernetes, gate, …), or the options of a command
    Help {
        /// The page, or the command; without one, all of them
        #[arg(value_parser = Words { offered: topics, only: None }, hide_possible_values = true)]
        topic: Option<String>,
    },
    /// Print a file to start from: Dockerfiles, compose, Kubernetes, GitLab, GitHub; without a name, list them
    Recipe {
        /// The recipe, such as compose
        #[arg(value_parser = Words { offered: recipes, only: None }, hide_possible_values = true)]
        name: Option<String>,
    },
    /// What runs in the test container
    #[command(hide = true)]
    Inside {
        /// What to do there
        words: Vec<String>,
    },
    /// One of the processes of the main job
    #[command(hide = true)]
    Part {
        /// Which
        #[command(subcommand)]
        part: Part,
    },
    /// One probe, in the namespaces that it was started in: the child of `check`
    #[command(hide = true)]
    Probe {
        /// Which
        what: String,
    },
}

/// A process of the main job.
#[derive(Debug, Subcommand)]
pub enum Part {
    /// Talks to the daemon and proves it, for the look process
    Prove {
        /// More profiles
        profile_dir: Option<PathBuf>,
    },
    /// Stops the inner containers, for the supervisor
    End {
        /// In this time, in milliseconds
        within_ms: u64,
        /// The mark of the daemon's processes
        nest: String,
    },
    /// Waits until clients and containers are done, for the supervisor
    Drain {
        /// For this time, in milliseconds
        within_ms: u64,
        /// The mark of the daemon's processes
        nest: String,
    },
    /// Writes the copy of the daemon's configuration again, for the supervisor
    Refresh {
        /// The user's file
        source: String,
        /// The copy
        copy: String,
        /// Keys that the copy does not have
        without: Vec<String>,
    },
    /// Clears what the daemon has left behind, for the supervisor
    Clear {
        /// In this time, in milliseconds
        within_ms: u64,
        /// The mark of the daemon's processes
        nest: String,
    },
}

/// The main job.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What to judge, and how to report.
    #[command(flatten)]
    pub look: LookArgs,
    /// Mend what can be mended before the daemon is started
    #[arg(long, env = "DINDCHECK_FIX", value_parser = yes_or_no)]
    pub fix: bool,
    /// How mending is done.
    #[command(flatten)]
    pub mend: MendArgs,
    /// Stop the daemon after verification, and end with its result
    #[arg(long, env = "DINDCHECK_EXIT", value_parser = yes_or_no)]
    pub exit: bool,
    /// When something fails, keep the container for `docker exec` until it is stopped
    #[arg(long, env = "DINDCHECK_HOLD_ON_FAILURE", value_parser = yes_or_no)]
    pub hold_on_failure: bool,
    /// How much test containers prove before the daemon counts as ready; default: quick, and full with --exit or --drill
    #[arg(long, env = "DINDCHECK_VERIFY", value_enum, value_name = "quick|full|none", hide_possible_values = true)]
    pub verify: Option<Proof>,
    /// Start the daemon, and run no test container: --verify none
    #[arg(long, env = "DINDCHECK_NO_VERIFY", value_parser = yes_or_no)]
    pub no_verify: bool,
    /// What verification proves.
    #[command(flatten)]
    pub proof: ProofArgs,
    /// After that, kill the daemon, containerd and all of it with a container running, and prove that it comes back
    #[arg(long, env = "DINDCHECK_DRILL", value_parser = yes_or_no, conflicts_with = "no_verify")]
    pub drill: bool,
    /// How long the daemon's API may take to answer, such as 90s or 2m
    #[arg(long, env = "DINDCHECK_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
    /// Refuse nothing: report what is found, start the daemon and let its clients in whatever that is, and run a --job
    /// in any case, with what failed in DINDCHECK_FAILED
    #[arg(long, env = "DINDCHECK_REPORT_ONLY", value_parser = yes_or_no, conflicts_with = "exit")]
    pub report_only: bool,
    /// Run a command beside the proved daemon; when it ends, the daemon is stopped, and its status is ours
    #[arg(long, env = "DINDCHECK_JOB", value_parser = yes_or_no, conflicts_with = "exit")]
    pub job: bool,
    /// Not as root: start the daemon as root, by sudo, and run a --job as the user; without this option too where the image
    /// has no RootlessKit and sudo asks for no password
    #[arg(long, env = "DINDCHECK_SUDO", value_parser = yes_or_no)]
    pub sudo: bool,
    /// Return when the daemon is proved, which goes on in the background: for scripts; `kill` of the process that is
    /// reported stops it in order
    #[arg(long, env = "DINDCHECK_DETACH", value_parser = yes_or_no, conflicts_with_all = ["job", "exit", "hold_on_failure", "ready_fd"])]
    pub detach: bool,
    /// Where what is reported in the background, and the daemon's log, are appended; default: /var/log/dindcheck.log, as a
    /// user ~/.local/share/dindcheck.log
    #[arg(long, env = "DINDCHECK_LOG", value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// This is the process in the background
    #[arg(long, hide = true)]
    pub detached: bool,
    /// How long stopping may take in all: what the outer engine gives before it kills (`docker stop`: 10s)
    #[arg(long, env = "DINDCHECK_STOP_GRACE", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub stop_grace: Duration,
    /// When asked to stop, let clients and containers that are at work end first, for this long at most, such as 30s, and
    /// no new ones in; a --job has this time to end
    #[arg(long, env = "DINDCHECK_DRAIN", value_name = "TIME", value_parser = duration)]
    pub drain: Option<Duration>,
    /// Load images before the daemon counts as ready: files of `docker save`, or directories of them
    #[arg(long, env = "DINDCHECK_PRELOAD", value_name = "PATH", value_delimiter = ',')]
    pub preload: Vec<PathBuf>,
    /// Write a newline to this descriptor when the daemon is proved
    #[arg(long, env = "DINDCHECK_READY_FD", value_name = "N")]
    pub ready_fd: Option<i32>,
    /// A word for the daemon, where the words at the end are a job's; may be repeated
    #[arg(long = "daemon-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub daemon_args: Vec<String>,
    /// The daemon's arguments, if the first one is a flag or `dockerd`; another command is run instead of the daemon
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

impl RunArgs {
    /// The words for the daemon.
    pub fn for_daemon(&self) -> Vec<String> {
        let own = if self.job { &[][..] } else { &self.args };
        // The daemon's name comes first.
        let (name, flags) = own.split_at(crate::configuration::program_words(own).len());
        [name, &self.daemon_args, flags].concat()
    }
}

/// What to judge.
#[derive(Debug, Args)]
pub struct LookArgs {
    /// How to report.
    #[command(flatten)]
    pub output: OutputArgs,
    /// The version of the engine inside, instead of asking it
    #[arg(long, env = "DINDCHECK_INNER", value_name = "VERSION")]
    pub inner: Option<EngineVersion>,
    /// The engine that runs this container, instead of recognising it: docker, podman, kubernetes, lxc …
    #[arg(long, env = "DINDCHECK_OUTER", value_name = "ENGINE[:VERSION]", value_parser = outer)]
    pub outer: Option<Said>,
    /// Read more profiles from here, over the built-in ones
    #[arg(long, env = "DINDCHECK_PROFILE_DIR", value_name = "DIR")]
    pub profile_dir: Option<PathBuf>,
    /// Leave a check out; may be repeated
    #[arg(long, env = "DINDCHECK_SKIP", value_name = "ID", value_delimiter = ',', value_parser = Words { offered: check_ids, only: Some("check") }, hide_possible_values = true)]
    pub skip: Vec<String>,
    /// Run this check alone; may be repeated
    #[arg(long, env = "DINDCHECK_ONLY", value_name = "ID", value_delimiter = ',', value_parser = Words { offered: check_ids, only: Some("check") }, hide_possible_values = true)]
    pub only: Vec<String>,
    /// Treat warnings and unknowns as failures
    #[arg(long, env = "DINDCHECK_STRICT", value_parser = yes_or_no)]
    pub strict: bool,
}

/// How to report.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// The form of the report
    #[arg(long, env = "DINDCHECK_FORMAT", value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Write the report to a file
    #[arg(long, env = "DINDCHECK_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Colour in the table; NO_COLOR turns it off too
    #[arg(long, env = "DINDCHECK_COLOR", value_enum, default_value_t = ColorWhen::Auto)]
    pub color: ColorWhen,
    /// Show problems only, and no progress
    #[arg(short, long, env = "DINDCHECK_QUIET", value_parser = yes_or_no, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Show everything, each with its evidence, and the progress
    #[arg(short, long, env = "DINDCHECK_VERBOSE", value_parser = yes_or_no)]
    pub verbose: bool,
    /// The seal that the report gets, if it is asked for one
    #[arg(skip)]
    pub seal: Option<Seal>,
}

/// How mending is done.
#[derive(Debug, Args)]
pub struct MendArgs {
    /// Allow what touches the host or its kernel: mends, and a daemon in the host's network
    #[arg(long, env = "DINDCHECK_ALLOW_HOST_CHANGES", value_parser = yes_or_no)]
    pub allow_host_changes: bool,
    /// Work outside of a container too, where everything is the host's
    #[arg(long, env = "DINDCHECK_FORCE", value_parser = yes_or_no)]
    pub force: bool,
}

/// Look and judge.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// What to judge.
    #[command(flatten)]
    pub look: LookArgs,
    /// Judge the facts in this file (from `dindcheck facts`) instead of this machine
    #[arg(long, env = "DINDCHECK_FACTS", value_name = "FILE", conflicts_with = "root")]
    pub facts: Option<PathBuf>,
    /// Judge the captured machine in this tree (with proc/, sys/, etc/) instead of this one
    #[arg(long, env = "DINDCHECK_ROOT", value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// The daemon's arguments, which can move its directories
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// Check, mend, check again.
#[derive(Debug, Args)]
pub struct FixArgs {
    /// What to judge.
    #[command(flatten)]
    pub look: LookArgs,
    /// How mending is done.
    #[command(flatten)]
    pub mend: MendArgs,
    /// Print the plan as shell lines, and change nothing
    #[arg(long, env = "DINDCHECK_DRY_RUN", value_parser = yes_or_no)]
    pub dry_run: bool,
    /// The daemon's arguments, which can move its directories
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// Say whether the daemon can be used.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Wait until it can be used, this long at most, such as 60s or 2m: for jobs, before their first command
    #[arg(long, env = "DINDCHECK_WAIT", value_name = "TIME", value_parser = duration)]
    pub wait: Option<Duration>,
    /// Only the exit status
    #[arg(short, long)]
    pub quiet: bool,
}

/// What is proved, and with what.
#[derive(Debug, Clone, Default, Args)]
pub struct ProofArgs {
    /// Run this image too: the name of one to pull, or the file of a `docker save` or a root file system as tar
    #[arg(long, env = "DINDCHECK_TEST_IMAGE", value_name = "REF|TAR")]
    pub test_image: Option<String>,
    /// What to run in that image, split at spaces; default: the image's own command
    #[arg(long, env = "DINDCHECK_TEST_COMMAND", value_name = "COMMAND", requires = "test_image")]
    pub test_command: Option<String>,
}

/// Prove a running daemon.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// What to judge, and how to report.
    #[command(flatten)]
    pub look: LookArgs,
    /// What is proved.
    #[command(flatten)]
    pub proof: ProofArgs,
    /// Prove that containers get this directory of ours, and nothing else; may be repeated. The daemon is that of
    /// DOCKER_HOST where none is served here
    #[arg(long = "path", env = "DINDCHECK_PATH", value_name = "DIR", value_delimiter = ',', conflicts_with_all = ["quick", "test_image"])]
    pub paths: Vec<PathBuf>,
    /// Only what the nest can get wrong: in less than a second, for a HEALTHCHECK
    #[arg(long, env = "DINDCHECK_QUICK", value_parser = yes_or_no)]
    pub quick: bool,
    /// How long the daemon's API may take to answer, such as 90s or 2m
    #[arg(long, env = "DINDCHECK_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub timeout: Duration,
    /// The daemon's arguments, which can move its socket
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// Judge an image.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["image", "archive"])))]
pub struct GateArgs {
    /// The image, in the outer engine (DOCKER_HOST, or /var/run/docker.sock)
    pub image: Option<String>,
    /// The file of an image instead: of `docker save`, or an OCI layout as tar; it is read, and not run
    #[arg(long, env = "DINDCHECK_ARCHIVE", value_name = "FILE")]
    pub archive: Option<PathBuf>,
    /// Only read what is in the image; run nothing
    #[arg(long = "static", env = "DINDCHECK_STATIC", value_parser = yes_or_no)]
    pub only_static: bool,
    /// What runs first in the container
    #[arg(long, env = "DINDCHECK_ENTRYPOINT", value_enum, default_value_t = Entrypoint::Dindcheck)]
    pub entrypoint: Entrypoint,
    /// How to run the image: `default`, `full`, or a YAML file with a list of cells
    #[arg(long, env = "DINDCHECK_MATRIX", value_name = "default|full|FILE", default_value = "default")]
    pub matrix: String,
    /// How many cells run at the same time
    #[arg(long, env = "DINDCHECK_JOBS", value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    pub jobs: u8,
    /// How long a cell may take, such as 90s or 5m
    #[arg(long, env = "DINDCHECK_CELL_TIMEOUT", value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub timeout: Duration,
    /// Keep the report and the log of each cell in this directory
    #[arg(long, env = "DINDCHECK_ARTIFACTS", value_name = "DIR")]
    pub artifacts: Option<PathBuf>,
    /// What to judge, and how to report.
    #[command(flatten)]
    pub look: LookArgs,
    /// Lowest severity that fails the gate
    #[arg(long, env = "DINDCHECK_FAIL_ON", value_enum, default_value_t = FailOn::Blocking)]
    pub fail_on: FailOn,
    /// Findings that are known, each with a reason and a day on which it stops being accepted: a YAML file
    #[arg(long, env = "DINDCHECK_BASELINE", value_name = "FILE")]
    pub baseline: Option<PathBuf>,
}

/// Which log, and how it is read.
#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    /// The log of a daemon, a client, a CI job or a system's journal; - reads standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub log: PathBuf,
    /// Follow the log; report each new first error at once
    #[arg(long)]
    pub follow: bool,
}

/// Explain a daemon's log.
#[derive(Debug, Args)]
pub struct DiagnoseCommand {
    /// Which log.
    #[command(flatten)]
    pub diagnose: DiagnoseArgs,
    /// The version of the engine that wrote the log; the log itself often tells it
    #[arg(long, env = "DINDCHECK_INNER", value_name = "VERSION")]
    pub inner: Option<EngineVersion>,
    /// What is around that engine: an id of `profiles/outer`; the log itself often gives it away
    #[arg(long, env = "DINDCHECK_OUTER", value_name = "ENGINE[:VERSION]", value_parser = outer)]
    pub outer: Option<Said>,
    /// Facts of the container that the log is from (`dindcheck facts` in it): its findings narrow what is open
    #[arg(long, env = "DINDCHECK_FACTS", value_name = "FILE")]
    pub facts: Option<PathBuf>,
    /// The form of the answer; default: DINDCHECK_FORMAT, where it is one of these
    #[arg(long, value_enum, default_value_t = PlainFormat::of_environment())]
    pub format: PlainFormat,
    /// Write the answer to a file instead of standard output
    #[arg(long, env = "DINDCHECK_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Say what something is.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Any id of a report: a check, a claim (verification.run), launch, a cause; without one, all ids by family
    #[arg(value_parser = Words { offered: all_ids, only: None }, hide_possible_values = true)]
    pub id: Option<String>,
    /// The form of the output; default: DINDCHECK_FORMAT, where it is one of these
    #[arg(long = "format", id = "plain_format", value_enum, default_value_t = PlainFormat::of_environment())]
    pub format: PlainFormat,
}

/// What to do with the profiles.
#[derive(Debug, Clone, Subcommand)]
pub enum ProfilesCommand {
    /// The release lines in which something changed
    List,
    /// The profile of a version: each value, the file it comes from, and its source; or that of an outer engine
    Show {
        /// The engine version, such as 20.10.24, or an outer engine, such as kubernetes
        #[arg(value_name = "VERSION")]
        of: Shown,
    },
    /// What changes between two versions
    Diff {
        /// The one
        from: EngineVersion,
        /// The other
        to: EngineVersion,
    },
    /// Check profile files, or the built-in ones and those of --profile-dir
    Lint {
        /// The files; one in a directory called `outer` is an outer engine's
        files: Vec<PathBuf>,
    },
}

/// Whose profile is shown.
#[derive(Debug, Clone)]
pub enum Shown {
    /// That of a Docker version.
    Version(EngineVersion),
    /// That of an outer engine, a runtime or a machine, by its id.
    Outer(String),
}

impl FromStr for Shown {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = outers().map_err(|error| error.to_string())?;
        if known.iter().any(|outer| outer.id == text) {
            return Ok(Self::Outer(text.to_owned()));
        }
        text.parse().map(Self::Version).map_err(|error| {
            let ids: Vec<&str> = known.iter().map(|outer| outer.id.as_str()).collect();
            format!("{error}; nor is it one of {}", ids.join(", "))
        })
    }
}

/// What each Docker version needs and gives.
#[derive(Debug, Args)]
pub struct ProfilesArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: ProfilesCommand,
    /// The form of the output; default: DINDCHECK_FORMAT, where it is one of these
    // A global option meets the main job's of that name: an id of its own keeps their types apart.
    #[arg(long = "format", id = "plain_format", value_enum, default_value_t = PlainFormat::of_environment(), global = true)]
    pub format: PlainFormat,
    /// Write to a file instead of standard output
    #[arg(long, env = "DINDCHECK_OUTPUT", value_name = "FILE", global = true)]
    pub output: Option<PathBuf>,
    /// Read more profiles from here, over the built-in ones
    #[arg(long, env = "DINDCHECK_PROFILE_DIR", value_name = "DIR", global = true)]
    pub profile_dir: Option<PathBuf>,
}

/// Print the facts.
#[derive(Debug, Args)]
pub struct FactsArgs {
    /// What to read.
    #[command(flatten)]
    pub look: LookArgs,
    /// The daemon's arguments, which can move its directories
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// How much is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Proof {
    /// What the nest can get wrong
    Quick,
    /// Everything
    Full,
    /// Nothing
    None,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For machines
    Json,
    /// For CI servers: JUnit XML
    Junit,
    /// For code scanning: SARIF 2.1.0
    Sarif,
    /// For GitHub Actions: annotations, and the step's summary
    Github,
    /// For the text-file collector of Prometheus' node exporter
    Prometheus,
    /// For people: one page that needs nothing else
    Html,
}

/// The form of an answer that is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlainFormat {
    /// For people
    Table,
    /// For machines
    Json,
}

impl PlainFormat {
    /// The variable's value; the table where it is a form that only reports have: the main job's, in the same container.
    fn of_environment() -> Self {
        let asked = std::env::var("DINDCHECK_FORMAT").unwrap_or_default();
        Self::from_str(&asked, false).unwrap_or(Self::Table)
    }
}

/// When to write colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

// What the gate is told has its names and words here; the gate itself knows no command line.

impl ValueEnum for Entrypoint {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Dindcheck, Self::Theirs]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Dindcheck => PossibleValue::new("dindcheck").help("dindcheck, instead of the image's entrypoint"),
            Self::Theirs => {
                PossibleValue::new("theirs").help("The image's entrypoint; dindcheck checks and proves it from beside")
            }
        })
    }
}

impl ValueEnum for FailOn {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Blocking, Self::Warning]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Blocking => {
                PossibleValue::new("blocking").help("Only what keeps the daemon or its containers from working")
            }
            Self::Warning => PossibleValue::new("warning").help("A warning, or what cannot be told, too"),
        })
    }
}

/// The value of a flag's variable. Text that is neither is refused: what was meant by it cannot be told, and some flags
/// change the system.
pub(crate) fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Ok(true),
        // An empty variable is removed before we come here (`process::remove_empty_variables`).
        "" | "n" | "no" | "f" | "false" | "off" | "0" => Ok(false),
        _ => Err("its variable is neither yes nor no (y, t, true, on, 1; n, f, false, off, 0)".to_owned()),
    }
}

fn check_ids() -> Vec<&'static str> {
    check::CHECKS.iter().map(|check| check.id).chain(gate::check::CHECKS.iter().map(|check| check.id)).collect()
}

fn all_ids() -> Vec<&'static str> {
    let others = check::cause::CAUSES.iter().map(|cause| cause.id).chain(["launch"]);
    check_ids().into_iter().chain(others).collect()
}

fn recipes() -> Vec<&'static str> {
    pages::RECIPES.iter().map(|recipe| recipe.name).collect()
}

fn topics() -> Vec<&'static str> {
    pages::PAGES.iter().map(|(topic, _)| *topic).collect()
}

/// A word that a shell completes.
#[derive(Debug, Clone, Copy)]
struct Words {
    /// What it completes.
    offered: fn() -> Vec<&'static str>,
    /// What these are, if no other word is accepted; `None` if others are for the command to judge.
    only: Option<&'static str>,
}

impl TypedValueParser for Words {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Self::Value, clap::Error> {
        let Self { offered, only } = *self;
        let parse = move |text: &str| match only {
            Some(what) if !offered().contains(&text) => {
                Err(format!("no such {what}; there are: {}", offered().join(", ")))
            }
            _ => Ok(text.to_owned()),
        };
        parse.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.offered)().into_iter().map(PossibleValue::new)))
    }
}

fn outer(text: &str) -> Result<Said, String> {
    Said::parse(text, &outers().map_err(|error| error.to_string())?)
}

fn duration(text: &str) -> Result<Duration, String> {
    let error = || "expected a number of seconds or minutes, such as 90s or 2m".to_owned();
    let (number, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u64 = number.parse().map_err(|_| error())?;
    number
        .checked_mul(factor)
        .filter(|seconds| (1..=86_400).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_variable_has_one_meaning() {
        fn meanings(command: &clap::Command, all: &mut BTreeMap<String, BTreeSet<String>>) {
            for arg in command.get_arguments() {
                if let (Some(env), Some(help)) = (arg.get_env(), arg.get_help()) {
                    all.entry(env.to_string_lossy().into_owned()).or_default().insert(help.to_string());
                }
            }
            command.get_subcommands().for_each(|command| meanings(command, all));
        }
        let mut all = BTreeMap::new();
        meanings(&Cli::command(), &mut all);
        assert!(all.len() > 30, "{all:#?}");
        // The same thing, in words that fit the command.
        for same in ["FACTS", "INNER", "OUTER", "OUTPUT"] {
            all.remove(&format!("DINDCHECK_{same}"));
        }
        all.retain(|_, helps| helps.len() > 1);
        assert!(all.is_empty(), "{all:#?}");
    }

    #[test]
    fn the_variable_of_every_flag_is_yes_or_no_and_nothing_else() {
        fn flags(command: &clap::Command) -> Vec<&clap::Arg> {
            let own = command.get_arguments().filter(|arg| matches!(arg.get_action(), clap::ArgAction::SetTrue));
            own.filter(|arg| arg.get_env().is_some()).chain(command.get_subcommands().flat_map(flags)).collect()
        }
        let command = Cli::command();
        let mut names: Vec<&str> = flags(&command).into_iter().filter_map(|arg| arg.get_env()?.to_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 17, "{names:?}");
        for (words, meaning) in [("y YES t true On 1", true), ("n no F false off 0", false)] {
            for word in words.split(' ') {
                assert_eq!(yes_or_no(word), Ok(meaning), "{word}");
            }
        }
        assert_eq!(yes_or_no(""), Ok(false));
        for odd in [" ", "-1", "2", "NaN", "1e308s", "../..", "yes please", "\u{130}"] {
            assert!(yes_or_no(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn durations_are_seconds_or_minutes() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("0").is_err());
        assert!(duration("1h").is_err());
        assert!(duration("99999999999999999999m").is_err());
    }
}
