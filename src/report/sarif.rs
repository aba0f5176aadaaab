//! The report for code scanning: SARIF 2.1.0 (OASIS standard, 27 March 2020).
//!
//! Written by hand: the crate serde-sarif, by which the tests read it, makes its types with schemafy and syn 1
//! at each build, which is much to trust for four objects.

use std::collections::BTreeMap;
use std::io::{self, Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::Program;
use super::document::{Document, Item};
use crate::finding::{Evidence, Outcome, Severity};

/// Where the schema of the format is published.
const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What a path may not hold in a URI (RFC 3986, section 3.3), and a little more.
const OUTSIDE_OF_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Writes what is not a pass as one SARIF run, with a rule for each id.
///
/// # Errors
/// What the write gave.
pub fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let items = || document.suites.iter().flat_map(|suite| suite.items.iter().map(move |item| (&suite.name, item)));
    let rules: BTreeMap<&str, &Item> = items().map(|(_, item)| (item.id.as_str(), item)).collect();
    let ids: Vec<&str> = rules.keys().copied().collect();
    let results: Vec<Value> = items()
        .filter(|(_, item)| !item.is_fine())
        .map(|(suite, item)| result(suite, item, ids.binary_search(&item.id.as_str()).unwrap_or_default()))
        .collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "dindcheck",
                "version": Program::THIS.version,
                "rules": rules.values().map(|item| rule(item)).collect::<Vec<_>>(),
            }},
            "automationDetails": { "id": "dindcheck/" },
            "properties": document.labels.iter().cloned().collect::<BTreeMap<_, _>>(),
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)
}

fn rule(item: &Item) -> Value {
    let title = if item.title.is_empty() { &item.id } else { &item.title };
    json!({
        "id": item.id,
        "shortDescription": { "text": title },
        "help": { "text": format!("dindcheck explain {}", item.id) },
    })
}

fn result(suite: &str, item: &Item, rule_index: usize) -> Value {
    let level = match (item.outcome, item.severity) {
        (Outcome::Fail, Severity::Blocking) => "error",
        (Outcome::Fail, Severity::Warning) | (Outcome::Unknown, _) => "warning",
        _ => "note",
    };
    let lines = [vec![item.summary.clone()], item.details()].concat();
    let place = item.evidence.iter().find_map(physical).unwrap_or_else(|| {
        // Code scanning wants a file for everything.
        json!({ "artifactLocation": { "uri": "Dockerfile" } })
    });
    json!({
        "ruleId": item.id,
        "ruleIndex": rule_index,
        "level": level,
        "message": { "text": lines.join("\n") },
        "locations": [{
            "physicalLocation": place,
            "logicalLocations": [{ "fullyQualifiedName": format!("{suite}/{}", item.id), "kind": "member" }],
        }],
        "partialFingerprints": { "dindcheck/v1": format!("{suite}/{}", item.id) },
    })
}

/// The file, and the line if one is named, of a piece of evidence that is in a file.
fn physical(evidence: &Evidence) -> Option<Value> {
    let path = evidence.location.split(": ").next().filter(|path| path.starts_with('/'))?;
    let (path, line) = match path.rsplit_once(':').map(|(path, line)| (path, line.parse::<u32>())) {
        Some((path, Ok(line))) if line > 0 => (path, Some(line)),
        _ => (path, None),
    };
    let mut place =
        json!({ "artifactLocation": { "uri": format!("file://{}", utf8_percent_encode(path, OUTSIDE_OF_PATHS)) } });
    if let Some(line) = line {
        place["region"] = json!({ "startLine": line });
    }
    Some(place)
}
