//! `dindcheck profiles`.

use serde_json::Value;

use crate::common::{dindcheck, host};

fn json(args: &[&str]) -> Value {
    let output = dindcheck().arg("profiles").args(args).args(["--format", "json"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {output:?}"))
}

#[test]
fn a_profile_shows_each_value_with_file_and_source() {
    let profile = json(&["show", "20.10.24+dfsg1"]);
    assert_eq!(profile["version"], "20.10.24+dfsg1");
    assert_eq!(profile["launch.command"]["value"][0], "dockerd");
    assert_eq!(profile["launch.command"]["from"], "profiles/docker/1.12.yaml");
    assert!(profile["cgroup.v2"]["source"].as_str().is_some_and(|source| !source.is_empty()));
}

#[test]
fn a_list_has_an_item_a_line_and_what_is_broken_is_indented() {
    let output = dindcheck().args(["profiles", "show", "29.7.2"]).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let head = table.lines().find(|line| line.starts_with("key ")).unwrap();
    let (value, from) = (head.find("value").unwrap(), head.find("from").unwrap());
    let profile = json(&["show", "29.7.2"]);
    for key in ["netfilter.rules", "netfilter.nftables_rules"] {
        let mut rows = table.lines().skip_while(|line| !line.starts_with(&format!("{key} ")));
        let first = rows.next().unwrap();
        let mut items = vec![first[value..from].trim_end().to_owned()];
        for row in rows.take_while(|line| line.starts_with(' ')) {
            match row[value..].get(..from - value).unwrap_or(&row[value..]).trim_end() {
                "" => {}
                more if more.starts_with(' ') => *items.last_mut().unwrap() += &format!(" {}", more.trim_start()),
                item => items.push(item.to_owned()),
            }
        }
        let wanted = profile[key]["value"].as_array().unwrap();
        assert_eq!(
            items.iter().map(String::as_str).collect::<Vec<_>>(),
            wanted.iter().map(|item| item.as_str().unwrap()).collect::<Vec<_>>(),
            "{table}"
        );
    }
}

#[test]
fn a_made_up_engine_takes_one_file_and_no_code() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("30.0.yaml"),
        "since: 30.0.0\nsummary: Drops cgroup v1.\n\
         api.min:\n  value: '1.50'\n  source: made up\n\
         cgroup.v1:\n  value: unsupported\n  source: made up\n",
    )
    .unwrap();
    let directory = directory.path().to_str().unwrap();
    let shown = json(&["show", "30.0.1", "--profile-dir", directory]);
    assert_eq!(shown["api.min"]["value"], "1.50");
    assert_eq!(shown["api.min"]["from"], format!("{directory}/30.0.yaml"));
    assert_eq!(json(&["show", "29.7.2", "--profile-dir", directory])["api.min"]["value"], "1.40");

    // What it says is judged by: this host has cgroup v1.
    let judged = |inner: &str| -> Value {
        let output = dindcheck()
            .args(["check", "--format", "json", "--only", "cgroup.version,engine.profile", "--inner", inner])
            .args(["--profile-dir", directory, "--root"])
            .arg(host("healthy-28.5.2"))
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let summaries = |report: &Value| -> Vec<String> {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["summary"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let new = judged("30.0.1");
    assert_eq!(new["exit_status"], 1);
    assert!(summaries(&new)[1].contains("does not know any more"), "{new:#}");
    assert_eq!(judged("29.7.2")["exit_status"], 0);
    // Beyond that one there is none, and it is reported.
    assert!(summaries(&judged("31.0.0"))[0].contains("newer than every profile"));
}

#[test]
fn the_built_in_profiles_have_no_problems() {
    let output = dindcheck().args(["profiles", "lint"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn an_unknown_older_version_is_refused_with_the_oldest_known() {
    let output = dindcheck().args(["profiles", "show", "0.9.0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the oldest known is 1.0.0"));
}

#[test]
fn what_was_never_run_says_so() {
    let shown = |id: &str| json(&["show", id]);
    assert_eq!(shown("sysbox")["seen"]["run"], "never");
    assert_eq!(shown("kubernetes")["seen"]["run"], "2026-11");
    let table = dindcheck().args(["profiles", "show", "wsl2"]).output().unwrap();
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("seen.run") && table.contains("never"), "{table}");
    let output = dindcheck().args(["profiles", "show", "rocket"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("nor is it one of") && error.contains("wsl2"), "{error}");
}
