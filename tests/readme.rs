//! The README's table of checks is what the checks say, and its examples use what there is.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::{CommandFactory as _, Parser as _};
use dindcheck::check::CHECKS;
use dindcheck::cli::Cli;
use dindcheck::gate;
use dindcheck::verification::scenario::CLAIMS;
use serde_yaml::Value;

const BEGIN: &str = "<!-- generated from the checks themselves; tests/readme.rs says when it is out of date -->\n";
const END: &str = "<!-- end of the generated table -->";

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

fn readme() -> String {
    std::fs::read_to_string(PATH).expect("there is a README")
}

const CLAIMS_BEGIN: &str =
    "<!-- generated from the claims themselves; tests/readme.rs says when it is out of date -->\n";
const CLAIMS_END: &str = "<!-- end of the claims -->";

/// Holds a table against the README; UPDATE_README writes it.
fn assert_table(begin: &str, end: &str, table: &str) {
    let readme = readme();
    let (head, rest) = readme.split_once(begin).expect("the table's beginning");
    let (current, tail) = rest.split_once(end).expect("the table's end");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(PATH, format!("{head}{begin}{table}{end}{tail}")).expect("the README can be written");
        return;
    }
    assert_eq!(current, table, "UPDATE_README=1 cargo test --test readme -- --test-threads 1 writes the table anew");
}

#[test]
fn the_table_of_claims_is_current() {
    let mut table = String::from("| claim | what holds when it passes | quick | a failure is |\n|---|---|---|---|\n");
    for claim in CLAIMS {
        let quick = if claim.quick { "yes" } else { "" };
        let failure = if claim.required { "exit status 5" } else { "a warning" };
        writeln!(table, "| `{}` | {} | {quick} | {failure} |", claim.id, claim.title).expect("writing to a string");
    }
    assert_table(CLAIMS_BEGIN, CLAIMS_END, &table);
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
    assert_table(BEGIN, END, &table);
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
    let known = known(&Cli::command());
    let readme = readme();
    let named = readme.match_indices("DINDCHECK_").map(|(start, _)| {
        let end = readme[start..].find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(readme.len() - start);
        &readme[start..start + end]
    });
    let named: BTreeSet<&str> = named.collect();
    assert!(!named.is_empty());
    let unknown: Vec<_> = named.iter().filter(|name| !known.contains(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
