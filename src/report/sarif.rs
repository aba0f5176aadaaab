//! The report for code scanning: SARIF 2.1.0 (OASIS standard, 27 March 2020).
//!
//! Written by hand: the crate serde-sarif, by which the tests read it, makes its types with schemafy and syn 1
//! at each build, which is much to trust for four objects.

use std::collections::BTreeMap;
use std::io::{self, Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::Program;
use super::digest::{Group, groups};
use super::document::Document;
use crate::finding::{Evidence, Severity};

/// Where the schema of the format is published.
const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What a path may not hold in a URI (RFC 3986, section 3.3), and a little more.
const OUTSIDE_OF_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Writes what is not a pass as one SARIF run: a result for each root, with what follows from it, and a rule for each id.
///
/// # Errors
/// What the write gave.
pub fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let items = document.suites.iter().flat_map(|suite| &suite.items);
    let mut rules: BTreeMap<&str, &str> = items.map(|item| (item.id.as_str(), item.title.as_str())).collect();
    let groups: Vec<(&str, Group<'_>)> = document
        .suites
        .iter()
        .flat_map(|suite| groups(&suite.items).into_iter().map(|one| (&*suite.name, one)))
        .collect();
    for (_, group) in &groups {
        rules.entry(&group.id).or_insert(&group.title);
    }
    let ids: Vec<&str> = rules.keys().copied().collect();
    let results: Vec<Value> = groups
        .iter()
        .map(|(suite, group)| result(suite, group, ids.binary_search(&group.id.as_str()).unwrap_or_default()))
        .collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "dindcheck",
                "version": Program::THIS.version,
                "rules": rules.iter().map(|(id, title)| rule(id, title)).collect::<Vec<_>>(),
            }},
            "automationDetails": { "id": "dindcheck/" },
            "properties": document.labels.iter().cloned().collect::<BTreeMap<_, _>>(),
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)
}

fn rule(id: &str, title: &str) -> Value {
    json!({
        "id": id,
        "shortDescription": { "text": if title.is_empty() { id } else { title } },
        "help": { "text": format!("dindcheck explain {id}") },
    })
}

fn result(suite: &str, group: &Group<'_>, rule_index: usize) -> Value {
    let level = match (group.failed.is_empty(), group.severity) {
        (false, Severity::Blocking) => "error",
        (true, _) | (false, Severity::Warning) => "warning",
        (false, Severity::Info) => "note",
    };
    let lines = [vec![group.summary().to_owned()], group.details()].concat();
    let items = || group.root().into_iter().chain(group.follows());
    let place = items().flat_map(|item| &item.evidence).find_map(physical).unwrap_or_else(|| {
        // Code scanning wants a file for everything.
        json!({ "artifactLocation": { "uri": "Dockerfile" } })
    });
    let name = |id: &str| json!({ "fullyQualifiedName": format!("{suite}/{id}"), "kind": "member" });
    json!({
        "ruleId": group.id,
        "ruleIndex": rule_index,
        "level": level,
        "message": { "text": lines.join("\n") },
        "locations": [{
            "physicalLocation": place,
            "logicalLocations": items().map(|item| name(&item.id)).collect::<Vec<_>>(),
        }],
        "partialFingerprints": { "dindcheck/v1": format!("{suite}/{}", group.id) },
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
