//! The README is short, the pages' tables are what the checks say, and their examples use what there is.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use clap::{CommandFactory as _, Parser as _};
use dindcheck::check::CHECKS;
use dindcheck::cli::Cli;
use dindcheck::configuration::Environment;
use dindcheck::gate;
use dindcheck::verification::scenario::CLAIMS;
use serde_yaml::Value;

const BEGIN: &str = "<!-- generated from the checks themselves; tests/readme.rs says when it is out of date -->\n";
const END: &str = "<!-- end of the generated table -->";

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages");
/// What fits on a screen and a half, in bytes.
const README_MAX: usize = 8000;

/// The README and all pages, one after the other.
fn readme() -> String {
    let mut texts = vec![std::fs::read_to_string(README).expect("there is a README")];
    for entry in std::fs::read_dir(PAGES).expect("there are pages") {
        texts.push(std::fs::read_to_string(entry.expect("an entry").path()).expect("a page"));
    }
    texts.join("\n")
}

#[test]
fn the_readme_is_short_and_leads_to_every_page() {
    let readme = std::fs::read_to_string(README).expect("there is a README");
    assert!(readme.len() <= README_MAX, "{} bytes", readme.len());
    let files: BTreeSet<String> = std::fs::read_dir(PAGES)
        .expect("there are pages")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().trim_end_matches(".md").to_owned())
        .collect();
    let shown: BTreeSet<String> = dindcheck::command::pages::PAGES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, shown);
    for (name, page) in dindcheck::command::pages::PAGES {
        assert!(readme.contains(&format!("(src/pages/{name}.md)")), "{name}");
        assert!(page.starts_with("# "), "{name}");
        for topic in
            page.match_indices("dindcheck help ").filter_map(|(at, words)| page[at + words.len()..].split('`').next())
        {
            assert!(shown.contains(topic) || topic == "TOPIC", "{name}: {topic}");
        }
    }
    // Others start with these.
    let mut commands = readme.lines().filter(|line| line.starts_with("./scripts/"));
    assert_eq!(commands.next(), Some("./scripts/demo"));
    assert!(readme.contains("`./scripts/test`"));
}

const CLAIMS_BEGIN: &str =
    "<!-- generated from the claims themselves; tests/readme.rs says when it is out of date -->\n";
const CLAIMS_END: &str = "<!-- end of the claims -->";

/// Holds a table against its page; UPDATE_README writes it.
fn assert_table(page: &str, begin: &str, end: &str, table: &str) {
    let path = format!("{PAGES}/{page}.md");
    let readme = std::fs::read_to_string(&path).expect("there is a page");
    let (head, rest) = readme.split_once(begin).expect("the table's beginning");
    let (current, tail) = rest.split_once(end).expect("the table's end");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, format!("{head}{begin}{table}{end}{tail}")).expect("the page can be written");
        return;
    }
    assert_eq!(current, table, "UPDATE_README=1 cargo test --test readme -- --test-threads 1 writes the table again");
}

#[test]
fn the_table_of_claims_is_current() {
    let mut table = String::from("| claim | what holds when it passes | quick | a failure is |\n|---|---|---|---|\n");
    for claim in CLAIMS {
        let quick = if claim.quick { "yes" } else { "" };
        let failure = if claim.required { "exit status 5" } else { "a warning" };
        writeln!(table, "| `{}` | {} | {quick} | {failure} |", claim.id, claim.title).expect("writing to a string");
    }
    assert_table("entrypoint", CLAIMS_BEGIN, CLAIMS_END, &table);
}

#[test]
fn the_table_of_checks_is_current() {
    let mut table = String::from(
        "| check | what it looks at or tries | remedy | `--fix` (in this container alone) | engines |\n|---|---|---|---|---|\n",
    );
    let of_images = gate::check::CHECKS.iter().map(|check| (check.id, check.docs, None));
    for (id, docs, mend) in
        CHECKS.iter().map(|check| (check.id, check.docs, check.mend.map(|mend| mend.title))).chain(of_images)
    {
        let (mend, engines) = (mend.unwrap_or("-"), docs.engines());
        writeln!(table, "| `{id}` | {} | {} | {mend} | {engines} |", docs.looks_at, docs.remedy)
            .expect("writing to a string");
    }
    assert_table("checks", BEGIN, END, &table);
}

/// The examples between fences of a language.
fn examples<'a>(readme: &'a str, language: &str) -> Vec<&'a str> {
    let parts = readme.split("\n```").skip(1).step_by(2);
    let examples: Vec<&str> = parts.filter_map(|part| part.strip_prefix(language)?.strip_prefix('\n')).collect();
    assert!(!examples.is_empty(), "examples in {language}");
    examples
}

/// Our commands in an example: lists of words of which the first is `dindcheck`.
fn commands(value: &Value) -> Vec<Vec<String>> {
    match value {
        Value::Sequence(list) => {
            let words: Option<Vec<String>> = list.iter().map(|word| word.as_str().map(str::to_owned)).collect();
            // A health check of compose says first that what follows is a command.
            let words = words.map(|words| words.into_iter().skip_while(|word| word == "CMD").collect::<Vec<_>>());
            match words {
                Some(words) if words.first().is_some_and(|word| word == "dindcheck") => vec![words],
                _ => list.iter().flat_map(commands).collect(),
            }
        }
        Value::Mapping(map) => map.values().flat_map(commands).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn examples_are_understood() {
    let readme = readme();
    let mut found = Vec::new();
    for example in examples(&readme, "yaml") {
        let value: Value = serde_yaml::from_str(example).unwrap_or_else(|error| panic!("{error} in\n{example}"));
        found.extend(commands(&value));
    }
    for example in examples(&readme, "dockerfile") {
        let lists = example.lines().filter_map(|line| Some(&line[line.find('[')?..]));
        found.extend(lists.flat_map(|list| commands(&serde_yaml::from_str(list).expect(list))));
    }
    assert!(found.len() > 8, "{found:?}");
    for command in found {
        Cli::try_parse_from(&command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    }
}

#[test]
fn every_variable_that_is_named_is_one() {
    fn known(command: &clap::Command) -> BTreeSet<String> {
        let own = command.get_arguments().filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned()));
        own.chain(command.get_subcommands().flat_map(known)).collect()
    }
    let mut known = known(&Cli::command());
    // What the daemon's flags come by; and what a job is given, which nobody reads.
    let asked = RefCell::new(BTreeSet::new());
    Environment::of(|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    known.extend(asked.into_inner());
    known.insert("DINDCHECK_FAILED".to_owned());
    // Comments are for the tests that write there.
    let readme: String = readme().lines().filter(|line| !line.starts_with("<!--")).collect::<Vec<_>>().join("\n");
    let named = readme.match_indices("DINDCHECK_").map(|(start, _)| {
        let end = readme[start..].find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(readme.len() - start);
        &readme[start..start + end]
    });
    let named: BTreeSet<&str> = named.collect();
    assert!(!named.is_empty());
    let unknown: Vec<_> = named.iter().filter(|name| !known.contains(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn each_budget_is_the_number_of_its_constant() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages/security.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let (constant, file) = line.strip_suffix("` |")?.rsplit_once("` in `")?;
        Some((
            file.to_owned(),
            constant.rsplit_once("| `")?.1.split_once(" = ").map(|(a, b)| (a.to_owned(), b.to_owned()))?,
        ))
    });
    let named: BTreeSet<(String, (String, String))> = rows.collect();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut directories, mut found) = (vec![source.clone()], BTreeSet::new());
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let file = path.strip_prefix(&source).unwrap().display().to_string();
            let constants = text.lines().filter_map(|line| line.split_once("const MAX")).map(|(_, rest)| rest);
            found.extend(constants.filter_map(|rest| {
                let (name, value) = rest.split_once(": ")?;
                let value = value.split_once(" = ")?.1.trim_end_matches(';');
                Some((file.clone(), (format!("MAX{name}"), value.to_owned())))
            }));
        }
    }
    assert_eq!(named, found);
}
