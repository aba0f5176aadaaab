//! The report for code scanning: SARIF 2.1.0 (OASIS standard, 27 March 2020).

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::Program;
use super::digest::{Group, groups};
use super::document::Document;
use crate::finding::{Evidence, Severity};

/// Where the schema of the format is published.
const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

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
    let mut place = json!({ "artifactLocation": { "uri": format!("file://{}", percent_encoded(path)) } });
    if let Some(line) = line {
        place["region"] = json!({ "startLine": line });
    }
    Some(place)
}

/// What a path may hold and a URI may not (RFC 3986, section 3.3).
fn percent_encoded(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
