//! The report for the text-file collector of Prometheus' node exporter: the text format 0.0.4.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Program;
use super::document::{Document, Item};

/// Writes gauges. Nothing in them changes while what is found stays the same, but times.
///
/// # Errors
/// What the write gave.
pub fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let items = || document.suites.iter().flat_map(|suite| suite.items.iter().map(move |item| (&suite.name, item)));
    head(out, "dindcheck_info", "What was looked at, and with which dindcheck.")?;
    let mut labels = vec![("version", Program::THIS.version.to_owned())];
    labels.extend(document.labels.iter().cloned());
    sample(out, "dindcheck_info", &labels, "1")?;

    head(out, "dindcheck_exit_status", "The exit status of the run; 0: all that is required holds.")?;
    sample(out, "dindcheck_exit_status", &[], &document.exit_status.to_string())?;

    head(out, "dindcheck_items", "How many checks and scenarios ended so.")?;
    let mut counts: BTreeMap<&str, usize> =
        ["pass", "blocking", "warning", "info", "unknown"].map(|word| (word, 0)).into();
    for (_, item) in items() {
        if let Some(count) = counts.get_mut(item.word()) {
            *count += 1;
        }
    }
    for (word, count) in counts {
        sample(out, "dindcheck_items", &[("outcome", word.to_owned())], &count.to_string())?;
    }

    head(out, "dindcheck_ok", "Whether a check or scenario passed; those without a meaning here are left out.")?;
    for (suite, item) in items().filter(|(_, item)| item.word() != "-") {
        let labels = [("id", item.id.clone()), ("outcome", item.word().to_owned()), ("suite", suite.clone())];
        sample(out, "dindcheck_ok", &labels, if item.is_fine() { "1" } else { "0" })?;
    }

    head(out, "dindcheck_duration_seconds", "How long a scenario took, or the daemon to answer.")?;
    for (suite, item) in items() {
        if let Item { ms: Some(ms), id, .. } = item {
            let labels = [("id", id.clone()), ("suite", suite.clone())];
            sample(out, "dindcheck_duration_seconds", &labels, &format!("{}.{:03}", ms / 1000, ms % 1000))?;
        }
    }
    Ok(())
}

fn head(out: &mut dyn Write, name: &str, help: &str) -> io::Result<()> {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge")
}

fn sample(out: &mut dyn Write, name: &str, labels: &[(&str, String)], value: &str) -> io::Result<()> {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if labels.is_empty() {
        writeln!(out, "{name} {value}")
    } else {
        writeln!(out, "{name}{{{}}} {value}", labels.join(","))
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
