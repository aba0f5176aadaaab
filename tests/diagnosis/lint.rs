//! The files of `profiles/diagnoses` keep their promises.

use std::collections::{HashMap, HashSet};

use dindcheck::check;
use dindcheck::diagnosis::{Entry, Library};
use regex::bytes::{Regex, RegexBuilder};

use crate::synthetic;

fn regex(pattern: &str) -> Regex {
    RegexBuilder::new(pattern).unicode(false).dot_matches_new_line(true).build().unwrap()
}

#[test]
fn the_embedded_files_are_right() {
    if let Err(error) = Library::embedded() {
        panic!("{error}");
    }
}

#[test]
fn ids_are_kebab_case_and_texts_are_there() {
    let word = regex("^[a-z0-9]+(-[a-z0-9]+)*$");
    for cause in Library::embedded().unwrap().causes() {
        assert!(word.is_match(cause.id.as_bytes()), "{}", cause.id);
        for text in [&cause.title, &cause.why, &cause.remedy] {
            assert!(text.len() > 10, "{}: {text:?} says nothing", cause.id);
        }
        assert!(!cause.sources.is_empty(), "{} has no source", cause.id);
        assert!(!cause.signatures.is_empty(), "{} has no signature", cause.id);
    }
}

/// What the answer tells its reader to run has to be there.
#[test]
fn the_checks_and_fixes_named_exist() {
    for cause in Library::embedded().unwrap().causes() {
        for id in cause.check.iter().chain(&cause.fix) {
            assert!(check::find(id).is_some(), "{}: there is no check {id}", cause.id);
        }
        if let Some(id) = &cause.fix {
            assert!(check::find(id).unwrap().mend.is_some(), "{}: {id} mends nothing", cause.id);
        }
    }
}

/// The same pattern may stand twice only where the conditions differ.
#[test]
fn signatures_are_unique() {
    let mut seen = HashMap::new();
    for cause in Library::embedded().unwrap().causes() {
        for signature in &cause.signatures {
            let conditions =
                (signature.with.clone(), signature.without.clone(), signature.after.clone(), signature.weight);
            let around = (signature.place.clone(), signature.not_place.clone(), signature.since.clone());
            let key = (signature.pattern.clone(), conditions, format!("{around:?}"));
            if let Some(other) = seen.insert(key, &cause.id) {
                panic!("`{}` is in {other} and in {}", signature.pattern, cause.id);
            }
        }
    }
}

#[test]
fn every_cause_and_every_signature_has_a_fixture() {
    let mut logs: HashMap<&str, Vec<String>> = HashMap::new();
    for (cause, log) in synthetic() {
        logs.entry(cause).or_default().push(log);
    }
    let generated = crate::generated::samples();
    for (cause, text) in &generated {
        logs.entry(cause).or_default().push(text.clone());
    }
    let recorded = crate::recorded::logs();
    for log in &recorded {
        logs.entry(&log.cause).or_default().push(String::from_utf8_lossy(&log.bytes).into_owned());
    }
    let mut bare = Vec::new();
    for cause in Library::embedded().unwrap().causes() {
        let texts: Vec<String> = logs
            .get(cause.id.as_str())
            .into_iter()
            .flatten()
            .flat_map(|log| {
                let lines: Vec<String> = log.lines().map(|line| Entry::read(line.as_bytes()).text).collect();
                let joined = lines.join(" ");
                lines.into_iter().chain([joined])
            })
            .collect();
        for signature in &cause.signatures {
            let regex = regex(&signature.pattern);
            if !texts.iter().any(|text| regex.is_match(text.as_bytes())) {
                bare.push(format!("{}: `{}`", cause.id, signature.pattern));
            }
        }
    }
    assert!(bare.is_empty(), "{} without a fixture:\n{}", bare.len(), bare.join("\n"));
}

#[test]
fn fixtures_are_of_known_causes() {
    let known: HashSet<&str> = Library::embedded().unwrap().causes().iter().map(|cause| cause.id.as_str()).collect();
    for (cause, log) in synthetic() {
        assert!(known.contains(cause), "{cause}: {log}");
    }
    for log in crate::recorded::logs() {
        assert!(log.cause == "healthy" || known.contains(log.cause.as_str()), "{}", log.path.display());
    }
}
