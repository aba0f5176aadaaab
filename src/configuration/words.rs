//! The daemon's command line, read by pflag's rules to the letter (github.com/spf13/pflag: parseArgs, parseLongArg,
//! parseSingleShortArg), with the difference that all of it is read where pflag stops at the first mistake.

use super::flags::{Takes, known};
use super::{Origin, Problem, Setting};

/// Words that belong together: a flag, or several in one word, with the value; or a word that is no flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// As they were given.
    pub(super) words: Vec<String>,
    /// What they set.
    pub(super) settings: Vec<Setting>,
}

/// Whether what the user gave is for the daemon: nothing, flags, or the daemon's own name.
pub fn is_for_daemon(given: &[String]) -> bool {
    given.first().is_none_or(|first| first.starts_with('-')) || without_program(given).len() != given.len()
}

/// Whether the daemon is only asked for something, which it answers and ends: its version, its help, whether its
/// configuration is sound.
pub fn is_question(given: &[String]) -> bool {
    let groups = parse(without_program(given), Origin::Flag, &mut Vec::new());
    groups.iter().flat_map(|group| &group.settings).any(|setting| {
        ["version", "help", "validate"].contains(&setting.name.as_str()) && parse_bool(&setting.value) == Some(true)
    })
}

/// How many words at the beginning are flags of the daemon's with their values.
pub fn flag_words(words: &[String]) -> usize {
    let flags = parse(words, Origin::Flag, &mut Vec::new());
    flags
        .iter()
        .take_while(|group| group.words[0].starts_with('-') && group.words[0].len() > 1 && group.words[0] != "--")
        .map(|group| group.words.len())
        .sum()
}

/// The words that name the daemon in front of its flags, as the user gave them.
pub fn program_words(given: &[String]) -> &[String] {
    &given[..given.len() - without_program(given).len()]
}

/// Takes the daemon's name away: `dockerd …`, `docker daemon …` and `docker -d …` say which program, and the profile
/// knows that better.
pub(super) fn without_program(given: &[String]) -> &[String] {
    let words: Vec<&str> = given.iter().take(2).map(String::as_str).collect();
    match words.as_slice() {
        ["dockerd", ..] => &given[1..],
        ["docker", "daemon" | "-d"] => &given[2..],
        _ => given,
    }
}

/// A boolean as Go reads it (strconv.ParseBool).
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Reads arguments; what pflag would refuse goes to `problems`.
///
/// `origin` makes of a flag as it was spelled where it comes from.
pub(super) fn parse(args: &[String], origin: impl Fn(String) -> Origin, problems: &mut Vec<Problem>) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut rest = args;
    while let Some((word, after)) = rest.split_first() {
        rest = after;
        let mut group = Group { words: vec![word.clone()], settings: Vec::new() };
        if word == "--" {
            group.words.extend(rest.iter().cloned());
            problems.extend(rest.iter().cloned().map(Problem::Argument));
            rest = &[];
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let flag = known().flag(name);
            let value = match (flag, value) {
                _ if name.is_empty() || name.starts_with('-') => {
                    problems.push(Problem::Word(format!("bad flag syntax: {word}")));
                    None
                }
                (None, _) => {
                    problems.push(Problem::Word(format!("unknown flag: --{name}")));
                    // What follows and is no flag is most likely its value.
                    if value.is_none() && rest.first().is_some_and(|next| !next.starts_with('-')) {
                        group.words.push(rest[0].clone());
                        rest = &rest[1..];
                    }
                    None
                }
                (Some(_), Some(value)) => Some(value.to_owned()),
                (Some(flag), None) if flag.takes == Takes::Nothing => Some("true".to_owned()),
                (Some(_), None) => next(&mut rest, &mut group).or_else(|| {
                    problems.push(Problem::Word(format!("flag needs an argument: --{name}")));
                    None
                }),
            };
            if let (Some(flag), Some(value)) = (flag, value) {
                let origin = origin(format!("--{}", flag.name));
                group.settings.push(Setting { name: flag.name.clone(), value, origin });
            }
        } else if word.len() > 1 && word.starts_with('-') {
            let mut letters = &word[1..];
            while let Some(letter) = letters.chars().next() {
                let tail = &letters[letter.len_utf8()..];
                letters = "";
                let Some(flag) = known().short(letter) else {
                    problems.push(Problem::Word(format!("unknown shorthand flag: '{letter}' in {word}")));
                    break;
                };
                let value = match tail.strip_prefix('=') {
                    Some(value) if !value.is_empty() => Some(value.to_owned()),
                    _ if flag.takes == Takes::Nothing => {
                        letters = tail;
                        Some("true".to_owned())
                    }
                    _ if !tail.is_empty() => Some(tail.to_owned()),
                    _ => next(&mut rest, &mut group).or_else(|| {
                        problems.push(Problem::Word(format!("flag needs an argument: '{letter}' in {word}")));
                        None
                    }),
                };
                if let Some(value) = value {
                    let origin = origin(format!("-{letter}"));
                    group.settings.push(Setting { name: flag.name.clone(), value, origin });
                }
            }
        } else {
            problems.push(Problem::Argument(word.clone()));
        }
        groups.push(group);
    }
    groups
}

/// The next word, as the value of the flag before it.
fn next(rest: &mut &[String], group: &mut Group) -> Option<String> {
    let (value, after) = rest.split_first()?;
    *rest = after;
    group.words.push(value.clone());
    Some(value.clone())
}
