//! configuration.accepted: flags and daemon.json.

use crate::check::{Check, Docs};
use crate::configuration::{Configuration, Problem};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::validation::{Answer, Remap};
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "configuration.accepted",
    docs: Docs {
        title: "flags and daemon.json",
        motivation: "A daemon dies of a flag or key that its version does not know or has no more, and of an \
                 option that is given both as a flag and in daemon.json: `hosts` above all, which images set \
                 one way and users the other.",
        looks_at: "What `dockerd --validate` says of the flags and daemon.json; where the version has none (before \
               23.0), both against the flags and keys that it is known to have. With --userns-remap, the user and \
               its ranges, which it does not look at before 25.0.",
        remedy: "Remove the named flag or key, or set it in one place only.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let validation = match &facts.validation {
        Ok(validation) => validation,
        Err(error) if error.verb == "parse" => {
            let summary = format!("{} is no JSON", error.path);
            let remedy = format!("correct {}: {}", error.path, error.reason.text());
            return Ok(refused(profile, summary, &error.path, &error.reason.text(), &remedy));
        }
        Err(error) => return Err(error),
    };
    let asked = validation.command.as_str();
    let accepted = match &validation.answer {
        Answer::Accepted if asked.is_empty() => "nothing is configured",
        Answer::Accepted => "the daemon accepts it",
        Answer::Refused(reason) => return Ok(refused(profile, first_words(reason), asked, reason, &removal(reason))),
        Answer::NotAsked => match unacceptable(facts.configuration.as_ref()?, asked) {
            Some((summary, location, value)) => return Ok(refused(profile, summary, &location, &value, REMOVE)),
            None => "each flag and key is known, and none is set twice",
        },
    };
    if let Some(verdict) = validation.remap.as_ref().and_then(|remap| unmapped(remap, profile)) {
        return Ok(verdict);
    }
    Ok(left_out(facts).unwrap_or_else(|| Verdict::pass(accepted)))
}

/// What is missing of the user that root of the containers shall be.
fn unmapped(remap: &Remap, profile: &Profile) -> Option<Verdict> {
    let Remap { user, group, .. } = remap;
    let missing = |what: String, location: &str, wanted: &str, remedy: String| {
        let cause =
            format!("Docker {} maps root of its containers to {user} (userns-remap), and dies.", profile.version);
        let verdict = Verdict::fail(Severity::Blocking, format!("userns-remap: {what}"));
        let verdict = verdict.saw_wanted(location, what, wanted).because(cause).remedy(remedy);
        Some(verdict.remedy("or leave userns-remap out").source("moby daemon/daemon_unix.go: parseRemappedRoot"))
    };
    let Some(name) = &remap.name else {
        let is_told = !remap.has_others && (!remap.is_added || remap.adder.is_none());
        let (what, wanted, remedy) = match remap.is_added {
            true => (
                format!("no user {user}, and no program that adds users"),
                "the user, or adduser or useradd in PATH",
                format!(
                    "in the image: the package passwd or shadow, or {user} in /etc/passwd, group, subuid and subgid"
                ),
            ),
            false => (format!("no user {user}"), "the user", "name a user of the image".to_owned()),
        };
        return is_told.then(|| missing(what, "/etc/passwd", wanted, remedy))?;
    };
    if !remap.has_group && !remap.has_others {
        return missing(format!("no group {group}"), "/etc/group", "the group", "name a group of the image".to_owned());
    }
    // Mapped to itself, root is not mapped at all.
    let file = remap.without_range.first().filter(|_| name != "root")?;
    let remedy = format!("in the image: echo {name}:100000:65536 >> {file}");
    missing(format!("no range for {name} in {file}"), file, "a range of numbers for it", remedy)
}

/// Variables that have no effect; `None` if each has.
fn left_out(facts: &Facts) -> Option<Verdict> {
    let left_out = &facts.configuration.as_ref().ok()?.left_out;
    let names: Vec<&str> = left_out.iter().map(|one| one.variable.as_str()).collect();
    let summary = format!("without effect: {}", names.join(", "));
    let verdict = (!names.is_empty()).then(|| Verdict::fail(Severity::Info, summary))?;
    let verdict = left_out.iter().fold(verdict, |verdict, one| verdict.saw(&one.variable, one.reason.clone()));
    Some(
        verdict
            .because("The daemon takes no option from two places; flags and daemon.json go before variables.")
            .remedy("unset the variable, or set the option by it alone"),
    )
}

/// What a daemon of this version would not accept: in words, where, and what stands there.
fn unacceptable(configuration: &Configuration, command: &str) -> Option<(String, String, String)> {
    let (file, command) = (configuration.file.path.clone(), command.to_owned());
    Some(match configuration.problems.first()? {
        Problem::Word(problem) => (problem.clone(), command, "no such flag".to_owned()),
        Problem::Argument(word) => (format!("unexpected argument: {word}"), command, word.clone()),
        Problem::UnknownKey(key) => (format!("unknown key: {key}"), file, key.clone()),
        Problem::Twice(key) => (format!("both a flag and a key: {key}"), file, key.clone()),
        Problem::Value(flag, value) => {
            (format!("--{flag} is a switch, and {value} is no value"), command, value.clone())
        }
    })
}

/// The end of a reason is what matters: `unable to configure … with file …: the following directives …`.
fn first_words(reason: &str) -> String {
    let last = reason.split_once(" with file ").and_then(|(_, rest)| rest.split_once(": "));
    let last = last.map_or(reason, |(_, last)| last);
    last.split(" (from flag").next().unwrap_or(last).to_owned()
}

const REMOVE: &str = "remove it, or set it in one place only: as a flag or in daemon.json";

/// What to do about what the daemon refuses: where it does not like a value, another value.
fn removal(reason: &str) -> String {
    if reason.contains("invalid") { format!("correct the value: {}", first_words(reason)) } else { REMOVE.to_owned() }
}

fn refused(profile: &Profile, summary: String, location: &str, value: &str, remedy: &str) -> Verdict {
    Verdict::fail(Severity::Blocking, summary)
        .saw_wanted(location, value, "what this version accepts")
        .because(format!("Docker {} dies of it at once.", profile.version))
        .remedy(remedy)
        .source(profile.launch_config_files.source.clone())
}
