//! `dindcheck man --html DIR`: pages, commands, ids and recipes as linked HTML, in the style of the report's page.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};

use super::{Misuse, explain};
use crate::cli::Cli;
use crate::embedded;
use crate::exit;
use crate::foreign;
use crate::pages::{self, PAGES, RECIPES, Recipe};
use crate::report::html::{escaped, head};

/// A file of the manual: its name and text.
type File = (String, String);

/// Writes the manual into a directory, which is made if it is not there.
///
/// # Errors
/// [`Misuse`]: there is something in the directory, or it cannot be written.
pub(super) fn write(directory: &Path) -> anyhow::Result<u8> {
    let shown = directory.display();
    let cannot = |error: io::Error| Misuse(format!("cannot write the manual to {shown}: {error}"));
    match fs::read_dir(directory) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                let error = format!("{shown} is not empty: name a new directory, or remove what is in it");
                return Err(Misuse(error).into());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(cannot(error).into()),
    }
    fs::create_dir_all(directory.join("recipes")).map_err(cannot)?;
    let files = files();
    for (name, text) in &files {
        fs::write(directory.join(name), text).map_err(cannot)?;
    }
    writeln!(
        io::stdout().lock(),
        "{} files: {}",
        files.len(),
        foreign::line(&directory.join("index.html").to_string_lossy())
    )?;
    Ok(exit::OK)
}

/// All of it.
fn files() -> Vec<File> {
    let mut cli = Cli::command();
    cli.build();
    let commands: Vec<&Command> = cli.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    let ids = explain::ids();
    let mut families: Vec<&str> = Vec::new();
    for (family, _) in &ids {
        if !families.contains(&family.as_str()) {
            families.push(family);
        }
    }
    let targets = Targets { ids: &ids, commands: commands.iter().map(|command| command.get_name()).collect() };
    let mut files = vec![("index.html".to_owned(), index(&cli, &commands, &families))];
    for (topic, html) in embedded::files(embedded::MANUAL) {
        let title =
            PAGES.iter().find(|(name, _)| *name == topic).map(|(_, page)| pages::title(page)).unwrap_or_default();
        files.push((format!("{topic}.html"), framed(title, &linked(&html, &targets))));
    }
    files.push(("command-dindcheck.html".to_owned(), command_page(&cli)));
    for command in commands {
        files.push((format!("command-{}.html", command.get_name()), command_page(command)));
    }
    for family in families {
        let ids: Vec<&str> = ids.iter().filter(|(own, _)| own == family).map(|(_, id)| id.as_str()).collect();
        files.push((format!("explain-{family}.html"), explain_page(family, &ids, &targets)));
    }
    files.extend(RECIPES.iter().map(|recipe| (format!("recipes/{}", recipe.file), recipe.text.to_owned())));
    files
}

/// A whole page with the way back.
fn framed(title: &str, body: &str) -> String {
    format!(
        "{}<body>\n<header><nav aria-label=\"Manual\"><a href=\"index.html\">dindcheck {}</a></nav></header>\n\
         <main class=\"manual\">\n{body}</main>\n</body>\n</html>\n",
        head(&escaped(title)),
        env!("CARGO_PKG_VERSION")
    )
}

fn index(cli: &Command, commands: &[&Command], families: &[&str]) -> String {
    let mut body = format!("<h1>dindcheck</h1>\n<p>{}</p>\n<h2>Pages</h2>\n<ul>\n", about(cli));
    let item = |href: &str, name: &str, text: &str| {
        format!("<li><a href=\"{href}\">{}</a>{}{text}</li>\n", escaped(name), if text.is_empty() { "" } else { ": " })
    };
    for (topic, text) in PAGES {
        body += &item(&format!("{topic}.html"), pages::title(text), "");
    }
    body += "</ul>\n<h2>Commands</h2>\n<ul>\n";
    body += &item("command-dindcheck.html", "dindcheck", "the main job");
    for command in commands {
        let name = command.get_name();
        body += &item(&format!("command-{name}.html"), &format!("dindcheck {name}"), &about(command));
    }
    body += "</ul>\n<h2>Ids of reports, by family</h2>\n<ul>\n";
    for family in families {
        body += &item(&format!("explain-{family}.html"), family, "");
    }
    body += "</ul>\n<h2>Recipes</h2>\n<ul>\n";
    for recipe in RECIPES {
        body += &item(&format!("recipes/{}", recipe.file), recipe.name, &escaped(recipe.title()));
    }
    body += "</ul>\n";
    framed("dindcheck", &body)
}

/// What a command does, in a line.
fn about(command: &Command) -> String {
    command.get_about().map(|about| escaped(&about.to_string())).unwrap_or_default()
}

/// Text with empty lines between its paragraphs.
fn paragraphs(text: &str) -> String {
    text.split("\n\n").map(|part| format!("<p>{}</p>\n", escaped(part))).collect()
}

fn command_page(command: &Command) -> String {
    let mut command = command.clone();
    let title = match command.get_name() {
        "dindcheck" => "dindcheck: the main job".to_owned(),
        name => format!("dindcheck {name}"),
    };
    let body = format!("<h1>{}</h1>\n{}", escaped(&title), command_body(&mut command));
    framed(&title, &body)
}

fn command_body(command: &mut Command) -> String {
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.render_usage().to_string();
    let mut body = paragraphs(&about);
    let _ = writeln!(body, "<pre tabindex=\"0\">{}</pre>", escaped(&usage));
    let shown: Vec<String> = command.get_arguments().filter(|arg| !arg.is_hide_set()).map(argument).collect();
    if !shown.is_empty() {
        let _ = write!(body, "<dl>\n{}</dl>\n", shown.concat());
    }
    body += &command.get_after_help().map(|text| paragraphs(&text.to_string())).unwrap_or_default();
    // The main job's own page has no commands: each has a page.
    if command.get_name() != "dindcheck" {
        for own in command.get_subcommands_mut().filter(|own| !own.is_hide_set() && own.get_name() != "help") {
            let _ = write!(body, "<h2>{}</h2>\n{}", escaped(own.get_name()), command_body(own));
        }
    }
    body
}

fn argument(arg: &Arg) -> String {
    let short = arg.get_short().filter(|_| arg.get_long().is_some()).map(|short| format!("-{short}, "));
    let mut text = format!("<dt><code>{}{}</code></dt>\n<dd>", short.unwrap_or_default(), escaped(&arg.to_string()));
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    text += &escaped(&help);
    if let Some(variable) = arg.get_env() {
        let _ = write!(text, "<br/>Variable: <code>{}</code>", escaped(&variable.to_string_lossy()));
    }
    let defaults: Vec<String> = arg.get_default_values().iter().map(|value| value.to_string_lossy().into()).collect();
    if arg.get_action().takes_values() && !arg.is_hide_default_value_set() && !defaults.is_empty() {
        let _ = write!(text, "<br/>Default: <code>{}</code>", escaped(&defaults.join(",")));
    }
    let values = arg.get_possible_values();
    if arg.get_action().takes_values() && !arg.is_hide_possible_values_set() && !values.is_empty() {
        text += "<ul>";
        for value in values.iter().filter(|value| !value.is_hide_set()) {
            let help = value.get_help().map(|help| format!(": {}", escaped(&help.to_string()))).unwrap_or_default();
            let _ = write!(text, "<li><code>{}</code>{help}</li>", escaped(value.get_name()));
        }
        text += "</ul>";
    }
    text + "</dd>\n"
}

fn explain_page(family: &str, ids: &[&str], targets: &Targets<'_>) -> String {
    let mut body = format!("<h1>{}</h1>\n", escaped(family));
    for known in ids.iter().filter_map(|id| explain::explain(id)) {
        let id = escaped(&known.id);
        let _ = writeln!(body, "<h2 id=\"{id}\">{id}</h2>\n<p>{}</p>\n<dl>", escaped(&known.title));
        for (name, text) in known.fields() {
            let text = match targets.href(&text) {
                Some(href) => format!("<a href=\"{href}\">{}</a>", escaped(&text)),
                None => escaped(&text),
            };
            let _ = writeln!(body, "<dt>{name}</dt>\n<dd>{text}</dd>");
        }
        body += "</dl>\n";
    }
    framed(family, &body)
}

/// What words in a text may lead to.
struct Targets<'a> {
    /// Family and id of all that is explained.
    ids: &'a [(String, String)],
    commands: Vec<&'a str>,
}

impl Targets<'_> {
    /// The page of an id, or of what a line of the shell is about.
    fn href(&self, code: &str) -> Option<String> {
        if let Some((family, id)) = self.ids.iter().find(|(_, id)| id == code) {
            return Some(format!("explain-{family}.html#{}", escaped(id)));
        }
        let mut words = code.strip_prefix("dindcheck ")?.split(' ');
        let command = words.next().filter(|word| self.commands.contains(word))?;
        let of_word = words.next().and_then(|word| match command {
            "help" => PAGES.iter().find(|(topic, _)| *topic == word).map(|(topic, _)| format!("{topic}.html")),
            "recipe" => Recipe::find(word).map(|recipe| format!("recipes/{}", recipe.file)),
            "explain" => self.href(word),
            _ => None,
        });
        Some(of_word.unwrap_or_else(|| format!("command-{command}.html")))
    }
}

/// A page's HTML with a link at each word of code that has a page of its own.
fn linked(html: &str, targets: &Targets<'_>) -> String {
    const CODE: &str = "<code>";
    let mut out = String::with_capacity(html.len() + html.len() / 4);
    let mut rest = html;
    while let Some(start) = rest.find(CODE) {
        let (before, after) = rest.split_at(start);
        let (code, after) = after[CODE.len()..].split_once("</code>").unwrap_or((&after[CODE.len()..], ""));
        let block = before.ends_with('>') && before.rsplit('<').next().is_some_and(|tag| tag.starts_with("pre "));
        let text = format!("<code>{code}</code>");
        out += before;
        match targets.href(code).filter(|_| !block) {
            Some(href) => out += &format!("<a href=\"{href}\">{text}</a>"),
            None => out += &text,
        }
        rest = after;
    }
    out + rest
}
