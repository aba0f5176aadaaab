//! The binary: parse, dispatch, exit status.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dindcheck::command::diagnose::{self, DiagnoseArgs, DiagnoseFormat};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Explain a daemon log: first error, cause, remedy
    Diagnose {
        #[command(flatten)]
        args: DiagnoseArgs,
        #[arg(long, value_enum, default_value_t)]
        format: DiagnoseFormat,
    },
}

fn main() -> ExitCode {
    let Command::Diagnose { args, format } = Cli::parse().command;
    let mut out = std::io::stdout().lock();
    match diagnose::run(&args, None, format, &mut out) {
        Ok(status) => status.into(),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "dindcheck: {error}");
            error.status().into()
        }
    }
}
