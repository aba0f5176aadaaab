//! The binary: panic hook, parse, dispatch, exit status.

use std::io::Write as _;
use std::panic::PanicHookInfo;
use std::process::ExitCode;

use dindcheck::process::level::{self, Level};
use dindcheck::process::memory::OrExit;
use dindcheck::supervisor::{self, split};
use dindcheck::{command, exit, foreign, process};

#[global_allocator]
static ALLOCATOR: OrExit = OrExit;

fn main() -> ExitCode {
    // An aborting PID 1 ends as a segmentation fault: the kernel drops its SIGABRT. So a panic ends by exit instead.
    std::panic::set_hook(Box::new(|info| {
        let _ = std::io::stderr().write_all(bug(info).as_bytes());
        std::process::exit(i32::from(exit::INTERNAL));
    }));
    // No one else takes PID 1's signals: one that comes before we are ready for it would be lost, not just delayed.
    if std::process::id() == 1 {
        supervisor::hold_back_signals();
    }
    if let Some(handover) = split::handed_over() {
        return match supervisor::run(&handover) {
            Ok(status) => ExitCode::from(status),
            Err(error) => {
                level::write(Level::Error, &format!("cannot supervise: {error}"));
                ExitCode::from(exit::INTERNAL)
            }
        };
    }
    // Compose files and CI variables leave empty what no one has set: `DINDCHECK_SKIP: ${SKIP:-}`.
    process::remove_empty_variables("DINDCHECK_");
    let cli = match command::arguments::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            show(&error);
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    match command::dispatch(&cli) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            let status = command::status_of(&error);
            if status != exit::OK {
                level::write(Level::Error, &format!("{error:#}"));
            }
            ExitCode::from(status)
        }
    }
}

/// Shows a help page or what is wrong with a command line: both tell values of the environment.
fn show(error: &clap::Error) {
    let text = error.render().to_string();
    let filtered = foreign::text(&text);
    let _ = match (filtered == text, error.use_stderr()) {
        // With its colours.
        (true, _) => error.print(),
        (false, true) => std::io::stderr().write_all(filtered.as_bytes()),
        (false, false) => std::io::stdout().write_all(filtered.as_bytes()),
    };
}

/// One line, with neither the note about RUST_BACKTRACE nor a backtrace, so that a log collector keeps it together.
fn bug(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("no message").replace('\n', "; ");
    let message = foreign::line(&message);
    let location = info.location().map(|location| format!(" ({location})")).unwrap_or_default();
    format!("{}dindcheck: a bug in dindcheck: {message}{location}\n", Level::Error.mark())
}
