//! `dindcheck verify`: prove a running inner daemon with a test container.

use std::time::Instant;

use super::look::Look;
use super::progress::Progress;
use super::{Misuse, output};
use crate::cli::{ProofArgs, VerifyArgs};
use crate::engine::api::{self, Api};
use crate::engine::command::command_line;
use crate::facts::Root;
use crate::report::{Failure, Launch, Report};
use crate::verification::Options;
use crate::{exit, verification};

/// Connects, runs the test container, reports.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &VerifyArgs) -> anyhow::Result<u8> {
    let root = Root::new("/");
    let look = Look::new(&args.look, root.clone(), &args.args)?;
    let line = command_line(&root, &look.profile, look.daemon_args()).map_err(|error| Misuse(error.to_string()))?;
    let start = Instant::now();
    let connected = api::block_on(Api::connect(&line.socket, args.timeout))?;
    let mut report = Report::new(&look.facts, &look.profile, Vec::new(), Vec::new());
    let mut launch = Launch { command: line.words, socket: line.socket, ..Launch::default() };
    match connected {
        Err(error) => {
            launch.failure = Some(Failure::new(error.to_string()));
            report.exit_status = exit::LAUNCH_FAILED;
        }
        Ok(api) => {
            launch.ready_ms = u64::try_from(start.elapsed().as_millis()).ok();
            launch.engine = Some(api.engine.clone());
            launch.api = Some(api.version.clone());
            // A runtime of its own: the connection is made anew where it is used.
            let socket = launch.socket.clone();
            let tell = |text: &str| Progress::new(args.look.output.quiet).say(text);
            let options = Options { quick: args.quick, ..options(&args.proof) };
            let verification = api::block_on(async {
                let api = Api::connect(&socket, args.timeout).await?;
                Ok::<_, api::ApiError>(verification::verify(&api, &look.profile, &options, &tell).await)
            })??;
            report.exit_status = if verification.passed() { exit::OK } else { exit::VERIFICATION_FAILED };
            report.verification = Some(verification);
        }
    }
    report.launch = Some(launch);
    output::emit(&report, &args.look.output)?;
    Ok(report.exit_status)
}

/// What the command line says about verification.
pub(in crate::command) fn options(args: &ProofArgs) -> Options {
    let command = args.test_command.as_ref();
    Options {
        quick: false,
        image: args.test_image.clone(),
        command: command.map(|words| words.split_whitespace().map(str::to_owned).collect()),
    }
}
