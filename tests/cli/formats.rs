//! The forms for other programs, each read by a program that knows the format.

use std::collections::{BTreeMap, BTreeSet};

use quick_junit::TestCaseStatus;
use serde_sarif::sarif::{ResultLevel, Sarif};

use serde_json::json;

use crate::captured::NEEDS_A_MACHINE;
use crate::common::{dindcheck, host};
use crate::gate::{Archive, fit, tar};

/// A captured machine on which something blocks, something warns and something is unknown.
const HOST: &str = "unprivileged";

fn check(format: &str, more: &[&str]) -> String {
    let mut command = dindcheck();
    command.args(["check", "--inner", "28.5.2", "--format", format]).args(more).arg("--root").arg(host(HOST));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The ids of the JSON report's findings with such an outcome.
fn ids(test: impl Fn(&str, &str) -> bool) -> BTreeSet<String> {
    let report: serde_json::Value = serde_json::from_str(&check("json", &[])).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().filter(|f| test(f["outcome"].as_str().unwrap(), f["severity"].as_str().unwrap()));
    found.map(|finding| finding["id"].as_str().unwrap().to_owned()).collect()
}

/// What is wrong or unknown, by its root: that of `because_of` to its end; what is unknown for the same reason is one.
fn roots() -> BTreeMap<String, BTreeSet<String>> {
    let report: serde_json::Value = serde_json::from_str(&check("json", &[])).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let mut roots: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut reasons: BTreeMap<String, String> = BTreeMap::new();
    for finding in findings.iter().filter(|one| ["fail", "unknown"].contains(&text(one, "outcome").as_str())) {
        let (id, mut root) = (text(finding, "id"), finding);
        let mut name = id.clone();
        while !text(root, "because_of").is_empty() {
            name = text(root, "because_of");
            let Some(next) = findings.iter().find(|one| text(one, "id") == name) else { break };
            root = next;
        }
        if name == id && text(finding, "outcome") == "unknown" {
            name = reasons.entry(text(finding, "summary")).or_insert(name).clone();
        }
        roots.entry(name).or_default().insert(id);
    }
    roots
}

#[test]
fn a_consequence_is_reported_with_its_root() {
    let roots = roots();
    let (wrong, privileged) = (ids(|outcome, _| outcome == "fail" || outcome == "unknown"), &roots["not-privileged"]);
    assert!(privileged.len() > 4 && roots.len() * 2 < wrong.len(), "{roots:?}");

    // An annotation for each root; what failed because of it stands there by name, what is unknown as a number.
    let annotations = check("github", &[]);
    assert_eq!(annotations.lines().count(), roots.len(), "{annotations}");
    let (failed, unknown) = (ids(|outcome, _| outcome == "fail"), ids(|outcome, _| outcome == "unknown"));
    for (root, follow) in &roots {
        let annotation = annotations.lines().find(|line| line.contains(&format!("title={root} (")));
        let annotation = annotation.unwrap_or_else(|| panic!("no {root}: {annotations}"));
        let follow: BTreeSet<String> = follow.iter().filter(|id| *id != root).cloned().collect();
        for id in follow.intersection(&failed) {
            assert!(annotation.contains(&format!("because of it: {id}: ")), "{id}: {annotation}");
        }
        let unknown = follow.intersection(&unknown).count();
        assert!(unknown == 0 || annotation.contains(&format!("%0A{unknown} cannot be told ")), "{annotation}");
    }
    let annotation = annotations.lines().find(|line| line.contains("title=not-privileged")).unwrap();
    assert!(
        annotation.starts_with("::error ") && annotation.contains("do: Start the outer container with"),
        "{annotation}"
    );

    // A case for each check, as before, and what is a consequence says so in its first line.
    let junit = quick_junit::Report::deserialize_from_str(&check("junit", &["--strict"])).unwrap();
    let mut full = 0;
    for case in junit.test_suites[0].test_cases.iter().filter(|case| privileged.contains(case.name.as_str())) {
        let TestCaseStatus::NonSuccess { message, description, .. } = &case.status else { continue };
        let text = |text: &Option<quick_junit::XmlString>| text.as_ref().unwrap().as_str().to_owned();
        let (message, description) = (text(message), text(description));
        assert!(message.ends_with("(because of not-privileged)"), "{message}");
        assert!(
            description.starts_with("because of: not-privileged: the outer container is not privileged"),
            "{description}"
        );
        full += usize::from(description.contains("do: "));
    }
    assert_eq!(full, 1, "the remedy stands once");

    // One result for the root, with all of them in it.
    let sarif: Sarif = serde_json::from_str(&check("sarif", &[])).unwrap();
    let results: Vec<_> = sarif.runs[0].results.iter().flatten().collect();
    assert_eq!(results.len(), roots.len());
    for result in results {
        let root = result.rule_id.as_deref().unwrap();
        let places = result.locations.as_ref().unwrap()[0].logical_locations.as_ref().unwrap();
        let places: BTreeSet<String> = places
            .iter()
            .map(|place| place.fully_qualified_name.as_deref().unwrap().trim_start_matches("dindcheck/").to_owned())
            .collect();
        assert_eq!(places, roots[root], "{root}");
    }
}

fn failures(junit: &str) -> BTreeSet<String> {
    let report = quick_junit::Report::deserialize_from_str(junit).unwrap();
    let suite = &report.test_suites[0];
    let failed: BTreeSet<String> = suite
        .test_cases
        .iter()
        .filter(|case| matches!(case.status, TestCaseStatus::NonSuccess { .. }))
        .map(|case| case.name.to_string())
        .collect();
    assert_eq!((suite.failures, report.failures, report.errors), (failed.len(), failed.len(), 0));
    assert_eq!(report.tests, suite.test_cases.len());
    failed
}

#[test]
fn junit_fails_what_blocks() {
    let blocking = ids(|outcome, severity| outcome == "fail" && severity == "blocking");
    assert!(blocking.contains("privileges.capabilities"));
    assert_eq!(failures(&check("junit", &[])), blocking);
    // With --strict, a warning and an unknown are failures too.
    let strict = ids(|outcome, severity| outcome == "unknown" || (outcome == "fail" && severity != "info"));
    assert!(strict.len() > blocking.len());
    assert_eq!(failures(&check("junit", &["--strict"])), strict);
}

#[test]
fn sarif_has_a_rule_for_each_result() {
    // The types are generated from the standard's own schema.
    let sarif: Sarif = serde_json::from_str(&check("sarif", &[])).unwrap();
    let run = &sarif.runs[0];
    let blocking = ids(|outcome, severity| outcome == "fail" && severity == "blocking");
    let rules: Vec<&str> = run.tool.driver.rules.iter().flatten().map(|rule| rule.id.as_str()).collect();
    let mut found = BTreeSet::new();
    for result in run.results.iter().flatten() {
        let id = result.rule_id.as_deref().unwrap();
        assert_eq!(rules[usize::try_from(result.rule_index.unwrap()).unwrap()], id);
        let location = result.locations.as_ref().unwrap()[0].physical_location.as_ref().unwrap();
        assert!(location.artifact_location.as_ref().unwrap().uri.is_some());
        found.insert(id.to_owned());
        let blocks = roots()[id].iter().any(|own| blocking.contains(own));
        assert_eq!(result.level == Some(ResultLevel::Error), blocks, "{id}");
    }
    assert_eq!(found, roots().into_keys().collect());
    // By itself it is its own root, with the line that it was seen in.
    let sarif: Sarif = serde_json::from_str(&check("sarif", &["--only", "cgroup.writable"])).unwrap();
    let line = &sarif.runs[0].results.as_ref().unwrap()[0];
    assert_eq!(line.rule_id.as_deref(), Some("cgroup.writable"));
    let place = line.locations.as_ref().unwrap()[0].physical_location.clone().unwrap();
    assert_eq!(place.artifact_location.unwrap().uri.unwrap(), "file:///proc/self/mountinfo");
    assert!(place.region.unwrap().start_line.unwrap() > 0);
}

#[test]
fn github_gets_annotations_and_a_summary() {
    let summary = tempfile::NamedTempFile::new().unwrap();
    let output = dindcheck()
        .env("GITHUB_STEP_SUMMARY", summary.path())
        .args(["check", "--inner", "28.5.2", "--format", "github", "--root"])
        .arg(host(HOST))
        .output()
        .unwrap();
    let annotations = String::from_utf8(output.stdout).unwrap();
    // The runner's own rule for a command: ::name key=value,…::message, one a line (actions/runner, ActionCommand.cs).
    let mut titles = BTreeSet::new();
    for line in annotations.lines() {
        let (head, message) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
        let (command, title) = head.split_once(" title=").unwrap();
        assert!(["error", "warning", "notice"].contains(&command), "{line}");
        assert!(!message.is_empty() && !title.contains([':', ',']), "{line}");
        titles.insert(title.split(' ').next().unwrap().to_owned());
    }
    let roots = roots();
    assert_eq!(titles, roots.keys().cloned().collect());
    let summary = std::fs::read_to_string(summary.path()).unwrap();
    assert!(summary.starts_with("### ❌ "), "{summary}");
    assert_eq!(summary.lines().filter(|line| line.matches(" | ").count() == 2).count(), roots.len() + 1, "{summary}");
    for id in roots.values().flatten() {
        assert!(summary.contains(id.as_str()), "{id}: {summary}");
    }
}

#[test]
fn prometheus_reads_every_sample() {
    let text = check("prometheus", &[]);
    let lines = text.lines().map(|line| Ok(line.to_owned()));
    let scrape = prometheus_parse::Scrape::parse(lines).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(scrape.samples.len(), samples);
    let value = |sample: &prometheus_parse::Sample| match sample.value {
        prometheus_parse::Value::Gauge(value) => value,
        ref other => panic!("{other:?}"),
    };
    let of = |name: &str| scrape.samples.iter().filter(|sample| sample.metric == name).collect::<Vec<_>>();
    assert_eq!(value(of("dindcheck_exit_status")[0]), 1.0);
    assert_eq!(of("dindcheck_info")[0].labels.get("inner"), Some("28.5.2"));
    let wrong: BTreeSet<String> = of("dindcheck_ok")
        .into_iter()
        .filter(|sample| value(sample) == 0.0)
        .map(|sample| sample.labels.get("id").unwrap().to_owned())
        .collect();
    assert_eq!(wrong, ids(|outcome, _| outcome == "fail" || outcome == "unknown"));
}

#[test]
fn html_is_one_well_formed_page_that_asks_for_nothing_else() {
    let page = check("html", &[]);
    let mut reader = quick_xml::Reader::from_str(&page);
    let mut text = String::new();
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Eof => break,
            quick_xml::events::Event::Text(piece) => text.push_str(&piece.decode().unwrap()),
            _ => {}
        }
    }
    for id in ids(|_, _| true) {
        assert!(text.contains(&id), "{id}");
    }
    for outside in ["<link", "<iframe", "fetch(", "<img", "url(", "@import", "src="] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn a_form_of_reports_that_is_set_for_the_main_job_breaks_no_other_command() {
    const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/logs/iptables-binary-missing/28.5.2-iptables.log");
    let said = |words: &[&str], format: &str| {
        let output = dindcheck().args(words).env("DINDCHECK_FORMAT", format).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?} as {format}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let commands: [&[&str]; 3] = [&["diagnose", LOG], &["profiles", "list"], &["profiles", "show", "29.0.0"]];
    for words in commands {
        let table = said(words, "table");
        for format in ["junit", "sarif", "github", "prometheus", "html"] {
            assert_eq!(said(words, format), table, "{words:?} as {format}");
        }
        let json = said(words, "json");
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{words:?}: {json}");
        // What is asked for on the command line is meant.
        let status = dindcheck().args(words).args(["--format", "junit"]).output().unwrap().status;
        assert_eq!(status.code(), Some(2), "{words:?}");
    }
}

/// What people and programs get in each form, of a machine and of an image on which something is wrong: it changes only on
/// purpose. Of what this is run on and by which version nothing is in it.
#[test]
fn each_form_has_what_it_had() {
    let image = Archive::saved(&[tar(&fit())], &json!({ "User": "1000", "Volumes": {} }));
    let place = image.path.to_str().unwrap();
    let root = host(HOST);
    let root = root.to_str().unwrap();
    let skipped = NEEDS_A_MACHINE.join(",");
    let machine = ["check", "--inner", "28.5.2", "--root", root, "--skip", &skipped];
    let mut all = String::new();
    for words in [&machine[..], &["gate", "--archive", place]] {
        for format in ["table", "junit", "sarif", "github", "prometheus", "html"] {
            let output = dindcheck().args(words).args(["--format", format]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            all += &format!("=== {} {format}: {}\n{text}\n", words[0], output.status);
        }
    }
    while let Some((before, after)) = all.split_once("<style>") {
        all = format!("{before}<STYLE>{}", after.split_once("</style>").unwrap().1);
    }
    let all = all.replace(place, "IMAGE").replace(root, "ROOT").replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!("formats", all);
}
