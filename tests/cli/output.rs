//! Forms of the report, and where they go.

use dindcheck::report::seal::Seal;
use serde_json::Value;

use crate::common::{dindcheck, host};

fn check(host_name: &str, args: &[&str]) -> std::process::Output {
    dindcheck().args(["check", "--inner", "28.5.2"]).args(args).arg("--root").arg(host(host_name)).output().unwrap()
}

#[test]
fn json_goes_to_standard_output_alone() {
    let output = check("healthy-28.5.2", &["--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], 1);
    for key in ["dindcheck", "host", "outer", "inner", "findings", "fixes", "summary", "exit_status"] {
        assert!(report.get(key).is_some(), "{key}");
    }
    assert_eq!(report["inner"]["version"], "28.5.2");
    assert_eq!(report["outer"]["engine"], "docker");
    assert!(output.stderr.is_empty());
}

#[test]
fn a_file_takes_the_report_instead() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = check("healthy-28.5.2", &["--format", "json", "--output", file.path().to_str().unwrap()]);
    assert!(output.stdout.is_empty());
    let report: Value = serde_json::from_str(&std::fs::read_to_string(file.path()).unwrap()).unwrap();
    assert_eq!(report["exit_status"].as_i64(), output.status.code().map(i64::from));
}

#[test]
fn colour_is_written_when_it_is_asked_for() {
    let escapes = |output: std::process::Output| output.stdout.contains(&0x1b);
    assert!(!escapes(check("healthy-28.5.2", &[])));
    assert!(escapes(check("healthy-28.5.2", &["--color", "always"])));
    assert!(!escapes(check("healthy-28.5.2", &["--color", "never"])));
}

#[test]
fn every_option_has_a_variable() {
    let output = dindcheck()
        .env("DINDCHECK_INNER", "1.7.1")
        .env("DINDCHECK_FORMAT", "json")
        .env("DINDCHECK_ONLY", "cgroup.mounted,engine.profile")
        .env("DINDCHECK_ROOT", host("no-cgroup-mounts"))
        .arg("check")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["inner"]["version"], "1.7.1");
}

#[test]
fn a_reader_that_stops_is_no_error() {
    let script = format!(
        "{} check --inner 28.5.2 --root {} | true; echo ${{PIPESTATUS[0]}}",
        crate::binary::path(),
        host("no-cgroup-mounts").display()
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    // Either it was quicker than the reader, and says what it found, or the pipe broke.
    let status = String::from_utf8(output.stdout).unwrap();
    assert!(["0\n", "1\n"].contains(&status.as_str()), "{status}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn each_check_is_explained() {
    for check in dindcheck::check::CHECKS {
        let output = dindcheck().args(["explain", check.id]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0));
        for word in [check.id, "Why: ", "Looks at: ", "Remedy: ", "Engines: "] {
            assert!(text.contains(word), "{}: {text}", check.id);
        }
    }
    let all = String::from_utf8(dindcheck().arg("explain").output().unwrap().stdout).unwrap();
    for id in ["cgroup.mounted", "not-privileged", "launch", "verification.run", "image.engine", "memory-oom-killed"] {
        assert!(all.lines().any(|line| line.starts_with(&format!("  {id}  "))), "{id}\n{all}");
        assert_eq!(dindcheck().args(["explain", id]).output().unwrap().status.code(), Some(0), "{id}");
    }
    let near = dindcheck().args(["explain", "mounted"]).output().unwrap();
    assert!(String::from_utf8(near.stderr).unwrap().contains("near it: cgroup.mounted"));
    let json = dindcheck().args(["explain", "verification.run", "--format", "json"]).output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&json.stdout).unwrap()["id"], "verification.run");
    assert_eq!(dindcheck().args(["explain", "no.such"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn every_id_of_a_report_is_explained() {
    // Whatever item a source makes: the ids stand in it as texts.
    let sources = ["src/gate/cell.rs", "src/gate/report.rs", "src/gate/baseline.rs", "src/report/document.rs"];
    let mut count = 0;
    for source in sources {
        let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(source)).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for id in code.split('"').skip(1).step_by(2) {
            let is_one = ["gate.", "baseline."].iter().any(|family| id.starts_with(family)) || id == "launch";
            if is_one && !id.contains(' ') && !id.ends_with(".rs") {
                count += 1;
                let output = dindcheck().args(["explain", id]).output().unwrap();
                assert_eq!(output.status.code(), Some(0), "{source}: {id}");
            }
        }
    }
    assert!(count >= 8, "{count}");
}

/// What `explain` has of each id: the names of what is told beside the title.
#[test]
fn what_is_told_of_each_id() {
    let output = dindcheck().args(["explain", "--format", "json"]).output().unwrap();
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told: String = all
        .as_array()
        .unwrap()
        .iter()
        .map(|known| {
            let fields = known.as_object().unwrap().iter().filter(|(_, value)| {
                !value.is_null() && value.as_array().is_none_or(|values| !values.is_empty()) && *value != ""
            });
            let names: Vec<&str> = fields.map(|(name, _)| name.as_str()).collect();
            format!("{}: {}\n", known["id"].as_str().unwrap(), names.join(", "))
        })
        .collect();
    insta::assert_snapshot!("explained", told);
}

/// The variables are those of an image that is judged.
#[test]
fn a_sealed_report_needs_a_key_and_hears_no_variable() {
    let sealed = |key: &[u8], args: &[&str]| {
        let variables = [("DINDCHECK_FORMAT", "html"), ("DINDCHECK_STRICT", "yes"), ("DINDCHECK_INNER", "28.5.2")];
        dindcheck().arg("--sealed").args(args).envs(variables).write_stdin(key).output().unwrap()
    };
    let seal = Seal::new().unwrap();
    let root = host("v1-5.10");
    let args = ["check", "--format", "json", "--only", "engine.profile", "--root", root.to_str().unwrap()];
    let output = sealed(seal.key(), &args);
    let report = seal.find(&String::from_utf8(output.stdout).unwrap()).expect("a sealed report");
    assert_eq!(report["strict"], false);
    assert_eq!(report["findings"][0]["summary"], "the engine's version is not known");
    assert_eq!(output.status.code(), Some(1));
    for (key, args, reason) in
        [(&seal.key()[1..], &args[..], "--sealed: no key: "), (seal.key(), &["explain"], "--sealed: nothing to seal")]
    {
        let output = sealed(key, args);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains(reason), "{reason}");
    }
}
