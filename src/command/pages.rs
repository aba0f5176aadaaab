//! `dindcheck completions SHELL` and `dindcheck man`: made from the command line's own types.

use std::io::{self, Write as _};

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::exit;

/// Prints what the shell needs to complete our words.
///
/// # Errors
/// What the write gave.
pub(super) fn completions(shell: clap_complete::Shell) -> anyhow::Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dindcheck", &mut text);
    io::stdout().lock().write_all(&text)?;
    Ok(exit::OK)
}

/// Prints the manual page, with a section for each command.
///
/// # Errors
/// What the write gave.
pub(super) fn man() -> anyhow::Result<u8> {
    let mut text = Vec::new();
    let mut cli = Cli::command();
    cli.build();
    let page = clap_mangen::Man::new(cli.clone());
    page.render(&mut text)?;
    for command in cli.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help") {
        let page = clap_mangen::Man::new(command.clone());
        writeln!(text, ".SH \"DINDCHECK {}\"", command.get_name().to_uppercase())?;
        let mut sections = Vec::new();
        page.render_description_section(&mut sections)?;
        page.render_options_section(&mut sections)?;
        // They are sections of a section here.
        text.extend(String::from_utf8_lossy(&sections).replace(".SH ", ".SS ").bytes());
    }
    io::stdout().lock().write_all(&text)?;
    Ok(exit::OK)
}
