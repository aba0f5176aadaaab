//! `dindcheck verify`: prove a running inner daemon with a test container.

use std::path::PathBuf;
use std::time::Instant;

use super::look::choose;
use super::output::Sink;
use super::progress::Progress;
use super::{Misuse, health, output};
use crate::cli::{Proof, ProofArgs, RunArgs, VerifyArgs};
use crate::engine::api::{self, Api, Place};
use crate::fact::Root;
use crate::facts::places::Places;
use crate::facts::{cgroup, configuration, kernel, mounts, outer};
use crate::profile::{Profiles, outers};
use crate::report::{Failure, Host, Inner, Launch, Outer, Report};
use crate::verification::{Around, Depth, Options};
use crate::version::EngineVersion;
use crate::{exit, verification};

/// Connects, runs the test container, reports. Nothing is judged: a daemon that runs says its version itself, and what
/// it can do is what the test container shows.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &VerifyArgs) -> anyhow::Result<u8> {
    let root = Root::new("/");
    let profiles = Profiles::load(args.look.profile_dir.as_deref())?;
    let configuration = configuration::read(&root, &Places::of_served(&root), &args.args, &[], None);
    let configuration = configuration.map_err(|error| Misuse(error.to_string()))?;
    let without_rules = configuration.is_off("iptables");
    let start = Instant::now();
    // The other claims are about a daemon that is beside us.
    let remote = if args.paths.is_empty() { None } else { health::remote_place(start + args.timeout) };
    let place = remote.transpose().map_err(Misuse)?.unwrap_or_else(|| Place::Unix(configuration.socket()));
    let socket = place.to_string();
    let connected = api::block_on(Api::connect_to(place.clone(), args.timeout))?;
    let ready_ms = u64::try_from(start.elapsed().as_millis()).ok();

    let said = connected.as_ref().ok().and_then(|api| api.engine.parse::<EngineVersion>().ok());
    let (version, said_by) = match (&args.look.inner, said) {
        (Some(given), _) => (Some(given.clone()), Some("--inner".to_owned())),
        (None, Some(said)) => (Some(said), Some(format!("the daemon at {socket}"))),
        (None, None) => (None, None),
    };
    let profile = choose(&profiles, version.as_ref())?;
    let mut report = Report::without_findings(host(&root), surroundings(&root)?, Inner::of(&profile, said_by));
    report.strict = args.look.strict;

    let mut launch = Launch { socket, ..Launch::default() };
    match connected {
        Err(error) => {
            launch.failure = Some(Failure::new(error.to_string()));
            report.exit_status = exit::LAUNCH_FAILED;
        }
        Ok(api) => {
            launch.ready_ms = ready_ms;
            launch.engine = Some(api.engine);
            launch.api = Some(api.version);
            let tell = |text: &str| Progress::new(&args.look.output).say(text);
            let depth = match args.quick {
                _ if !args.paths.is_empty() => Depth::Named,
                true => Depth::Quick,
                false => Depth::Full,
            };
            let paths = if args.paths.is_empty() { of_job() } else { args.paths.clone() };
            let paths = paths.iter().map(|path| std::path::absolute(path).map(|path| path.display().to_string()));
            let paths = paths.collect::<Result<_, _>>()?;
            let options = Options { depth, without_rules, paths, ..options(&args.proof) };
            // A runtime of its own: the connection is made anew where it is used.
            let verification = api::block_on(async {
                let api = Api::connect_to(place, args.timeout).await?;
                Ok::<_, api::ApiError>(verification::verify(&api, &profile, &options, Around::look(), &tell).await)
            })??;
            report.exit_status = if verification.passed() { exit::OK } else { exit::VERIFICATION_FAILED };
            report.verification = Some(verification);
        }
    }
    report.launch = Some(launch);
    output::emit(&report, &args.look.output, Sink::Stdout)?;
    Ok(report.exit_status)
}

fn host(root: &Root) -> Host {
    let cgroup = mounts::read(root).and_then(|mounts| cgroup::read(root, &mounts));
    Host::of(&kernel::read(root), &cgroup)
}

fn surroundings(root: &Root) -> anyhow::Result<Outer> {
    Ok(Outer::of(&outer::read(root, &outers()?)))
}

/// The variables in which CI systems name the directory of a job (docs of GitLab CI and GitHub Actions).
const JOB_DIRECTORIES: [&str; 2] = ["CI_BUILDS_DIR", "GITHUB_WORKSPACE"];

/// The directories of a CI job, as far as they are there.
fn of_job() -> Vec<PathBuf> {
    let named = JOB_DIRECTORIES.into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    named.filter(|path| path.is_absolute() && path.is_dir()).collect()
}

/// What the command line says about verification.
fn options(args: &ProofArgs) -> Options {
    let command = args.test_command.as_ref();
    Options {
        depth: Depth::Full,
        without_rules: false,
        image: args.test_image.clone(),
        command: command.map(|words| words.split_whitespace().map(str::to_owned).collect()),
        paths: Vec::new(),
        ways: Vec::new(),
    }
}

/// What the main job proves; `None` if nothing. By default a daemon that is to serve is proved quickly, and one that is
/// started for the sake of the proof (`--exit`, `--drill`) in full.
pub(in crate::command) fn asked(args: &RunArgs) -> Option<Options> {
    let depth = match args.verify {
        _ if args.no_verify => return None,
        Some(Proof::None) => return None,
        Some(Proof::Quick) => Depth::Quick,
        Some(Proof::Full) => Depth::Full,
        None if args.exit || args.drill => Depth::Full,
        None => Depth::Quick,
    };
    Some(Options { depth, ..options(&args.proof) })
}
