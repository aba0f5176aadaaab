//! Lines that dindcheck itself wrote into a log: what it says of errors is no error, and what it found is used.

use std::sync::OnceLock;

use regex::Regex;

use super::scan::Hit;
use crate::supervisor::own::JSON_PREFIX;

/// How many lines a row of the report may hang down.
pub(super) const LONGEST_ROW: usize = 60;
/// Indented by at least this much hangs what belongs to a row: mark and name are in front of it.
const LEAST_INDENT: usize = 6;

/// In front of what caused a failure.
pub(super) const CAUSE: &str = "why  ";

/// What a report of ours in the log says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// Ids of checks that failed.
    pub(super) failed: Vec<String>,
    /// The first failure.
    pub(super) failure: Option<Hit>,
    /// The cause that was named for a daemon that did not start.
    pub(super) cause: Option<String>,
}

/// A line of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Row {
    /// The row of a check that failed.
    Failed(String),
    /// Another row, the headline, or a line about the progress.
    Other,
    /// What hangs under a row.
    Under,
}

impl Own {
    /// Takes a line of ours.
    pub(super) fn take(&mut self, row: &Row, text: &str, hit: Hit) {
        match row {
            Row::Failed(id) => {
                self.failed.push(id.clone());
                self.failure.get_or_insert(hit);
            }
            Row::Under if self.cause.is_none() => self.cause = named(text),
            Row::Under | Row::Other => {}
        }
    }
}

/// A line of ours as it would be if it were no JSON (supervisor/own.rs), and whether it is. What stands in front of the
/// object, such as the name of a container, is lost with it.
pub(super) fn unwrapped(line: String) -> (String, bool) {
    let Some(start) = line.find(JSON_PREFIX) else { return (line, false) };
    let object: Result<serde_json::Map<_, _>, _> = serde_json::from_str(&line[start..]);
    let text = object.ok().and_then(|object| Some(object.get("msg")?.as_str()?.to_owned()));
    // A line that was cut off is still one of ours.
    (text.unwrap_or_default(), true)
}

/// Whether a line could be one of ours: most are not, and that is seen at once.
pub(super) fn may_be(text: &str) -> bool {
    hangs(text)
        || ["pass ", "FAIL ", "warn ", "info ", "note ", "mend ", "???? ", "dindcheck"]
            .iter()
            .any(|word| text.contains(word))
}

/// Reads a row of the report (`report/table.rs`), its headline, or a line about the progress (`command/progress.rs`).
pub(super) fn read(text: &str) -> Option<Row> {
    static ROW: OnceLock<Option<Regex>> = OnceLock::new();
    // Before it may stand what names the container or the time.
    let pattern = r"(?:^|[|\]Z:] ) ?(pass|FAIL|warn|info|note|mend|\?\?\?\?|-) +([a-z0-9-]+(?:\.[a-z0-9-]+)+|launch|not-privileged) {2,}[^ ]";
    let regex = ROW.get_or_init(|| Regex::new(pattern).ok());
    if let Some(row) = regex.as_ref().and_then(|regex| regex.captures(text)) {
        let failed = row.get(1).is_some_and(|mark| mark.as_str() == "FAIL");
        let id = row.get(2).map(|id| id.as_str().to_owned()).unwrap_or_default();
        return Some(if failed { Row::Failed(id) } else { Row::Other });
    }
    let ours = text.starts_with("dindcheck ") || text.starts_with("dindcheck: ") || text.contains(" dindcheck: ");
    ours.then_some(Row::Other)
}

/// Whether a line is indented as what belongs to a row is.
pub(super) fn hangs(text: &str) -> bool {
    let text = text.rsplit_once("| ").map_or(text, |(_, text)| text);
    text.len() > LEAST_INDENT && text.bytes().take(LEAST_INDENT).all(|byte| byte == b' ')
}

/// The cause in `why     TITLE [ID]: WHY`.
fn named(text: &str) -> Option<String> {
    let rest = text.trim_start().strip_prefix(CAUSE)?;
    let (before, _) = rest.split_once("]: ")?;
    let id = before.rsplit_once('[')?.1;
    (!id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        .then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_ours_in_json_is_its_message() {
        for (line, wanted, is_json) in [
            ("dind-1  | {\"module\":\"dindcheck\",\"msg\":\" FAIL  launch  x\"}", " FAIL  launch  x", true),
            ("{\"module\":\"dindcheck\",\"msg\":\" FAIL", "", true),
            ("{\"module\":\"dindcheck\"}", "", true),
            ("{\"module\":\"dockerd\",\"msg\":\"x\"}", "{\"module\":\"dockerd\",\"msg\":\"x\"}", false),
        ] {
            assert_eq!(unwrapped(line.to_owned()), (wanted.to_owned(), is_json), "{line}");
        }
    }

    #[test]
    fn rows_of_the_report_are_known() {
        assert_eq!(read(" pass  storage.in-use  no database is locked"), Some(Row::Other));
        assert_eq!(
            read("dind-1  |  FAIL  storage.data-root  the data root lies on an overlay"),
            Some(Row::Failed("storage.data-root".to_owned()))
        );
        assert_eq!(read(" FAIL  launch             the daemon ended"), Some(Row::Failed("launch".to_owned())));
        assert_eq!(read("dindcheck: the daemon ended before its API answered"), Some(Row::Other));
        assert_eq!(read("tests pass storage.in-use no database is locked"), None);
        assert!(hangs("                         why     the file system is full [no-space-left]: Writing ended"));
        assert_eq!(named("        why     it is full [no-space-left]: Writing").as_deref(), Some("no-space-left"));
    }
}
