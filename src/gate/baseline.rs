//! Findings that are known, each with a reason and a day on which it stops being accepted.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use x509_cert::der::DateTime;

use super::report::GateReport;
use crate::finding::{Outcome, Severity};
use crate::report::document::Item;

/// A baseline file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// What is known.
    pub known: Vec<Known>,
}

/// One finding that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Its id.
    pub id: String,
    /// The cell in which it is known; absent: everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is, as YYYY-MM-DD.
    pub expires: String,
}

/// What became of the entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Used {
    /// Those that a finding was accepted by.
    pub accepted: Vec<Known>,
    /// Those whose day has passed.
    pub expired: Vec<Known>,
    /// Those that no finding needs any more.
    pub unused: Vec<Known>,
}

impl Baseline {
    /// Reads a baseline file.
    ///
    /// # Errors
    /// It is no YAML of this form, or a day is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let own: Self = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        match own.known.iter().find(|known| !is_day(&known.expires)) {
            Some(known) => Err(format!("{}: expires: `{}` is no day such as 2027-01-31", known.id, known.expires)),
            None => Ok(own),
        }
    }

    /// Takes what is known out of the verdict, and says what of the baseline is past its day or of no use.
    pub fn apply(&self, report: &mut GateReport, today: &str) {
        let mut used = Used::default();
        for known in &self.known {
            let matching = |item: &&mut Item| item.id == known.id && !item.is_fine();
            let whole = known.cell.is_none();
            let image = report.findings.iter_mut().filter(|_| whole);
            let cells = report.cells.iter_mut().filter(|cell| known.cell.as_ref().is_none_or(|own| *own == cell.name));
            let found: Vec<&mut Item> = image.chain(cells.flat_map(|cell| &mut cell.items)).filter(matching).collect();
            if found.is_empty() {
                used.unused.push(known.clone());
            } else if known.expires.as_str() < today {
                used.expired.push(known.clone());
            } else {
                for item in found {
                    item.outcome = Outcome::Fail;
                    item.severity = Severity::Info;
                    item.summary += &format!(" (known until {}: {})", known.expires, known.reason);
                }
                used.accepted.push(known.clone());
            }
        }
        let say = |id: &str, severity, known: &Known, what: &str| {
            Item::new(id, Outcome::Fail, severity, format!("{}: {what} ({})", known.id, known.reason))
        };
        let expired = used.expired.iter().map(|known| {
            say(
                "baseline.expired",
                Severity::Warning,
                known,
                &format!("accepted until {}, and still there", known.expires),
            )
        });
        let unused = used.unused.iter().map(|known| {
            say("baseline.unused", Severity::Info, known, "in the baseline but no longer reported; remove the entry")
        });
        report.findings.extend(expired.chain(unused));
        report.baseline = Some(used);
    }
}

/// Whether it is a day as YYYY-MM-DD. Such are compared as texts.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let number = |part: &str, length: usize| part.parse::<u16>().ok().filter(|_| part.len() == length);
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else {
        return false;
    };
    let small = |value: u16| u8::try_from(value).unwrap_or_default();
    DateTime::new(year, small(month), small(day), 0, 0, 0).is_ok()
}

/// This day in UTC, as YYYY-MM-DD.
pub fn today() -> String {
    let now = DateTime::from_system_time(SystemTime::now());
    // A clock that no calendar has: then nothing is accepted any more.
    now.map_or_else(|_| "9999".to_owned(), |now| format!("{:04}-{:02}-{:02}", now.year(), now.month(), now.day()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_days() {
        assert!(is_day("2027-01-31") && is_day(&today()));
        for text in ["2027-1-31", "2027-13-01", "2027-02-30", "soon", "", "2027-01-31-1"] {
            assert!(!is_day(text), "{text}");
        }
    }

    #[test]
    fn an_entry_without_reason_or_day_is_refused() {
        assert!(Baseline::parse("known: [{id: a.b, expires: 2027-01-31}]").unwrap_err().contains("reason"));
        assert!(Baseline::parse("known: [{id: a.b, reason: x}]").unwrap_err().contains("expires"));
        assert!(Baseline::parse("known: [{id: a.b, reason: x, expires: never}]").unwrap_err().contains("no day"));
    }
}
