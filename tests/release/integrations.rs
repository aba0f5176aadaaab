//! The files for CI services, of which the shell is run as the services run it, on a real engine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_yaml::Value;

use super::dist::{VERSION, directory, printed, script};

const HEALTHY: &str = "dindcheck-lab:28.5.2";

fn documents(path: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path);
    serde_yaml::Deserializer::from_str(&text).map(|one| Value::deserialize(one).expect("YAML")).collect()
}

/// A directory with the docker client of the lab; the program comes from the wheel, as it would from PyPI.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a directory");
    let client = place.path().join("docker");
    let lab = script("lab").get_program().to_string_lossy().into_owned();
    std::fs::write(&client, format!("#!/bin/sh\nexec {lab} docker -- \"$@\"\n")).expect("written");
    std::fs::set_permissions(&client, std::fs::Permissions::from_mode(0o755)).expect("made executable");
    place
}

fn command(place: &Path, program: &str) -> Command {
    let host = printed(script("lab").arg("up"));
    let host = host.lines().last().and_then(|line| line.strip_prefix("DOCKER_HOST=")).expect("an address").to_owned();
    let mut command = Command::new(program);
    command.env_clear().current_dir(place).env("DOCKER_HOST", host).env("HOME", place).env("DOCKER_BUILDKIT", "0");
    if let Ok(lab) = std::env::var("HOME") {
        command.env("LAB_DIR", std::env::var("LAB_DIR").unwrap_or(format!("{lab}/.cache/dindcheck-lab")));
    }
    command.env("TMPDIR", place).env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", directory());
    command.env("PATH", format!("{}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", place.display()));
    command
}

fn all(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs the action's step, with its inputs put in as the runner does it.
fn action(image: &str, arguments: &str) -> (Output, String) {
    let action = documents("scripts/ci/github/action.yml").remove(0);
    assert_eq!(action["runs"]["using"], "composite");
    assert_eq!(action["inputs"]["version"]["default"], VERSION);
    let step = &action["runs"]["steps"][0];
    let place = place();
    let mut command = command(place.path(), "bash");
    for (name, value) in step["env"].as_mapping().expect("variables") {
        let value = value.as_str().expect("text");
        let input = value.trim_start_matches("${{ inputs.").trim_end_matches(" }}");
        let value = match input {
            "image" => image,
            "arguments" => arguments,
            other => action["inputs"][other]["default"].as_str().expect("a default"),
        };
        command.env(name.as_str().expect("a name"), value);
    }
    let file = place.path().join("step.sh");
    std::fs::write(&file, step["run"].as_str().expect("a script")).expect("written");
    let summary = place.path().join("summary");
    command.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(&file).env("GITHUB_STEP_SUMMARY", &summary);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ci/github");
    let output = command.env("GITHUB_ACTION_PATH", path).env("RUNNER_TEMP", place.path()).output().expect("bash runs");
    (output, std::fs::read_to_string(summary).unwrap_or_default())
}

#[test]
fn the_github_action_passes_what_is_fit_and_annotates_what_is_not() {
    let (output, summary) = action(HEALTHY, "--static --entrypoint theirs");
    assert_eq!(output.status.code(), Some(0), "{}", all(&output));
    assert!(summary.contains("Exit status 0."), "{summary}");
    let (output, summary) = action(HEALTHY, "--static --entrypoint theirs --inner 1.7.1");
    assert_eq!(output.status.code(), Some(1), "{}", all(&output));
    assert!(all(&output).contains("::error title=image."), "{}", all(&output));
    assert!(summary.contains("Exit status 1."), "{summary}");
}

#[test]
fn the_gitlab_component_leaves_a_report() {
    let mut parts = documents("scripts/ci/gitlab/gate.yml");
    let (jobs, spec) = (parts.pop().expect("jobs"), parts.pop().expect("a header"));
    let inputs = &spec["spec"]["inputs"];
    assert_eq!(inputs["version"]["default"], VERSION);
    let job = &jobs["dindcheck-gate"];
    let mut lines = String::new();
    for line in job["script"].as_sequence().expect("a script") {
        let mut line = line.as_str().expect("text").to_owned();
        for (name, value) in [("image", HEALTHY), ("arguments", "--static --entrypoint theirs"), ("version", VERSION)] {
            assert!(inputs.get(name).is_some(), "{name}");
            line = line.replace(&format!("$[[ inputs.{name} ]]"), value);
        }
        assert!(!line.contains("$[["), "{line}");
        lines += &format!("{line}\n");
    }
    let place = place();
    // Its image has pip, which installs for all.
    let venv = place.path().join("venv");
    printed(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(&venv));
    let mut command = command(place.path(), "sh");
    command.env("PATH", format!("{}/bin:{}:/usr/bin:/bin", venv.display(), place.path().display()));
    let output = command.args(["-e", "-c", &lines]).output().expect("sh runs");
    assert_eq!(output.status.code(), Some(0), "{}", all(&output));
    let name = job["artifacts"]["reports"]["junit"].as_str().expect("a name");
    let report = std::fs::read_to_string(place.path().join(name)).expect("a report");
    assert!(report.contains("<testsuites"), "{report}");
}

#[test]
fn the_pre_commit_hook_builds_and_judges() {
    let hook = documents(".pre-commit-hooks.yaml").remove(0);
    let entry = Path::new(env!("CARGO_MANIFEST_DIR")).join(hook[0]["entry"].as_str().expect("an entry"));
    assert_eq!(hook[0]["language"], "script");
    let gate = std::fs::read_to_string(entry.with_file_name("gate")).expect("a script");
    assert!(gate.contains(&format!("DINDCHECK_VERSION:-{VERSION}}}")), "the version of scripts/ci/gate");
    let place = place();
    let run = |dockerfile: &str| {
        std::fs::write(place.path().join("Dockerfile"), dockerfile).expect("written");
        let mut command = command(place.path(), entry.to_str().expect("UTF-8"));
        command.args(["--entrypoint=theirs", "Dockerfile"]).output().expect("the hook runs")
    };
    let good = run(&format!("FROM {HEALTHY}\nVOLUME /var/lib/docker\n"));
    assert_eq!(good.status.code(), Some(0), "{}", all(&good));
    let bad = run(&format!("FROM {HEALTHY}\nRUN rm /usr/bin/runc /usr/sbin/runc || true\n"));
    assert_eq!(bad.status.code(), Some(1), "{}", all(&bad));
    assert!(all(&bad).contains("image.programs"), "{}", all(&bad));
}
