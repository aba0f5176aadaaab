//! What a report from inside of a cell says, read by the types that it was written by.

use serde::Deserialize;
use serde_json::Value;

use super::report::untold;
use crate::fix::apply::Result as FixResult;
use crate::report::Launch;
use crate::report::document::Item;
use crate::verification::Verification;

/// The parts of a report that are items.
#[derive(Deserialize)]
struct Inside {
    #[serde(default)]
    findings: Vec<Item>,
    #[serde(default)]
    fixes: Vec<Mended>,
    launch: Option<Launch>,
    verification: Option<Verification>,
}

/// A mend, as far as a reader needs it: its steps are those of another container.
#[derive(Deserialize)]
struct Mended {
    fix: Mend,
    result: FixResult,
}

#[derive(Deserialize)]
struct Mend {
    check: String,
    title: String,
}

/// The findings, the mends that were not done, the launch and the scenarios of a report, one after another.
pub(super) fn items(report: &Value) -> Vec<Item> {
    let inside = match Inside::deserialize(report) {
        Ok(inside) => inside,
        // It has our seal: the dindcheck inside is another one, or broken.
        Err(error) => return vec![untold(format!("cannot read the report from inside: {error}"))],
    };
    let Inside { findings: mut items, fixes, launch, verification } = inside;
    let left = fixes.iter().filter(|mended| mended.result != FixResult::Done);
    items.extend(left.map(|mended| Item::of_mend(&mended.fix.check, &mended.fix.title, &mended.result)));
    items.extend(launch.iter().map(Item::from));
    items.extend(verification.iter().flat_map(|proof| &proof.scenarios).map(Item::from));
    items
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::diagnosis;
    use crate::fix::Fix;
    use crate::fix::apply::Applied;
    use crate::report::Failure;

    fn told(report: &Value) -> Vec<String> {
        let line =
            |item: &Item| format!("{} {:?} {:?} {} {:?}", item.id, item.outcome, item.severity, item.summary, item.ms);
        items(report).iter().map(line).collect()
    }

    #[test]
    fn each_part_of_a_report_is_an_item() {
        let mend =
            |check, result| Applied { fix: Fix::in_container(check, "t", Vec::new()), result, refused: Vec::new() };
        let error = "e".to_owned();
        let mut launch = Launch { socket: "/run/docker.sock".to_owned(), ready_ms: Some(1234), ..Launch::default() };
        let scenario =
            json!({ "id": "run", "outcome": "fail", "severity": "info", "summary": "x", "evidence": [], "ms": 7 });
        let mut report = json!({
            "findings": [{ "id": "a.b", "outcome": "fail", "severity": "info", "summary": "x" }],
            "fixes": [
                mend("c.done", FixResult::Done),
                mend("c.host", FixResult::NotAllowed),
                mend("c.bad", FixResult::TakenBack { error: error.clone() }),
                mend("c.stuck", FixResult::Stuck { error, left: vec!["l".to_owned(), "m".to_owned()] }),
            ],
            "launch": launch,
            "verification": { "scenarios": [scenario], "storage_driver": "", "ms": 7 },
        });
        let rest = [
            "a.b Fail Info x None",
            "fix.c.host Fail Warning not done: t touches the host; allow it with --allow-host-changes None",
            "fix.c.bad Fail Blocking t: e; what it had done was taken back None",
            "fix.c.stuck Fail Blocking t: e; could not be taken back: l; m None",
        ];
        let ready = "launch Pass Info the daemon at /run/docker.sock: answered after 1234 ms Some(1234)";
        let proof = "verification.run Fail Info x Some(7)";
        assert_eq!(told(&report), [rest.as_slice(), &[ready, proof]].concat());
        // Why it failed to start comes along.
        let log = "fine\nfailed to start daemon: process with PID 30 is still running\n";
        let diagnosis = diagnosis::diagnose(log.as_bytes(), diagnosis::Options::default()).unwrap();
        launch.failure = Some(Failure::diagnosed("it died", diagnosis));
        report["launch"] = json!(launch);
        let found = items(&report);
        let found = found.iter().find(|item| item.id == "launch").unwrap();
        assert_eq!((found, found.summary.as_str()), (&Item::from(&launch), "it died"));
        assert!(found.cause.as_ref().unwrap().contains("[stale-docker-pid]") && found.remedy.len() == 1);
        assert_eq!(found.evidence[0].location, "line 2 of the daemon's log");
        report["launch"] = Value::Null;
        assert_eq!(told(&report), [rest.as_slice(), &[proof]].concat());
        assert_eq!(told(&json!({})), Vec::<String>::new());
    }

    #[test]
    fn a_report_that_cannot_be_read_fails_the_cell() {
        for odd in [json!({ "findings": [{ "odd": 1 }] }), json!({ "fixes": 1 }), json!([])] {
            let found = items(&odd);
            assert!(found.len() == 1 && found[0].blocks(false), "{found:?}");
        }
    }
}
