//! `dindcheck help`, `recipe`, `completions` and `man`: made from the pages and the command line's own types.

use std::io::{self, Write as _};

use clap::CommandFactory as _;

use super::{Misuse, near};
use crate::cli::Cli;
use crate::exit;
use crate::pages::{PAGES, RECIPES, Recipe, page};

/// Shows a page, or the options of a command; without a topic, all options and what there is to read.
///
/// # Errors
/// [`Misuse`]: there is no such topic. What the write gave.
pub(super) fn help(topic: Option<&str>) -> anyhow::Result<u8> {
    let mut cli = Cli::command();
    cli.build();
    let names = PAGES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let text = match topic {
        None => format!("{}\nPages, shown by `dindcheck help TOPIC`: {names}\n", cli.render_long_help()),
        Some(topic) => match page(topic) {
            Some(page) => page,
            None => match cli.find_subcommand_mut(topic) {
                Some(command) => command.render_long_help().to_string(),
                None => return Err(Misuse(format!("there is no page and no command `{topic}`; pages: {names}")).into()),
            },
        },
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(exit::OK)
}

/// Prints a recipe as it is; without a name, all names and what they are for.
///
/// # Errors
/// [`Misuse`]: there is no such recipe. What the write gave.
pub(super) fn recipe(name: Option<&str>) -> anyhow::Result<u8> {
    let mut out = io::stdout().lock();
    match name {
        None => {
            let width = RECIPES.iter().map(|recipe| recipe.name.len()).max().unwrap_or_default();
            for recipe in RECIPES {
                writeln!(out, "{:width$}  {}", recipe.name, recipe.title())?;
            }
        }
        Some(name) => match Recipe::find(name) {
            Some(recipe) => out.write_all(recipe.text.as_bytes())?,
            None => {
                let near = near(RECIPES.iter().map(|recipe| recipe.name), name);
                return Err(Misuse(format!("unknown recipe `{name}`{near}; `dindcheck recipe` lists all")).into());
            }
        },
    }
    Ok(exit::OK)
}

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
