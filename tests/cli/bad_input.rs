//! What the user got wrong: exit status 2, and one clear line.

use crate::common::{all, dindcheck, host};

#[test]
fn an_unknown_option() {
    let output = dindcheck().args(["check", "--zzz"]).output().unwrap();
    insta::assert_snapshot!(all(&output), @r"
    exit status 2
    --- stdout
    --- stderr
    error: unexpected argument '--zzz' found

      tip: to pass '--zzz' as a value, use '-- --zzz'

    Usage: dindcheck check [OPTIONS] [-- <ARGS>...]

    For more information, try '--help'.
    ");
}

#[test]
fn an_empty_variable_is_none() {
    let variables =
        ["FORMAT", "COLOR", "SKIP", "ONLY", "INNER", "OUTER", "OUTPUT", "PROFILE_DIR", "TIMEOUT", "READY_FD"];
    let without = dindcheck().arg("check").arg("--root").arg(host("v1-5.10")).output().unwrap();
    let mut command = dindcheck();
    command
        .envs(variables.map(|name| (format!("DINDCHECK_{name}"), "")))
        .arg("check")
        .arg("--root")
        .arg(host("v1-5.10"));
    assert_eq!(all(&command.output().unwrap()), all(&without));
}

#[test]
fn a_flag_whose_variable_is_neither_yes_nor_no() {
    let check = |name: &str, value: &str| {
        let mut command = dindcheck();
        command.env(name, value).arg("check").arg("--root").arg(host("v1-5.10")).output().unwrap()
    };
    let output = check("DINDCHECK_STRICT", "NaN");
    insta::assert_snapshot!(all(&output), @r"
    exit status 2
    --- stdout
    --- stderr
    error: invalid value 'NaN' for '--strict': its variable is neither yes nor no (y, t, true, on, 1; n, f, false, off, 0)

    For more information, try '--help'.
    ");
    for odd in [" ", "-1", "2", "1e308s", "../..", "yes please"] {
        assert_eq!(check("DINDCHECK_VERBOSE", odd).status.code(), Some(2), "{odd:?}");
        // The main job, which would mend.
        let output = dindcheck().env("DINDCHECK_FIX", odd).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{odd:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("'--fix'"), "{odd:?}");
    }
    let quiet = |value: &str| all(&check("DINDCHECK_QUIET", value));
    assert_eq!(quiet(""), quiet("no"));
    assert_eq!(quiet("Yes"), quiet("1"));
    assert_ne!(quiet("1"), quiet("0"));
}

#[test]
fn an_invalid_version() {
    let output = dindcheck().args(["check", "--inner", "twenty"]).output().unwrap();
    insta::assert_snapshot!(all(&output), @r"
    exit status 2
    --- stdout
    --- stderr
    error: invalid value 'twenty' for '--inner <VERSION>': `twenty` is not an engine version; expected numbers such as 20.10.24 or 29.0.0-rc.1, or `dev`

    For more information, try '--help'.
    ");
}

#[test]
fn a_version_that_is_too_old() {
    let output = dindcheck().args(["check", "--inner", "0.9.1"]).output().unwrap();
    insta::assert_snapshot!(all(&output), @r"
    exit status 2
    --- stdout
    --- stderr
    dindcheck: no profile for Docker 0.9.1: the oldest known is 1.0.0
    ");
}

#[test]
fn an_unknown_check() {
    let output = dindcheck().args(["check", "--skip", "cgroup.mouted"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: invalid value 'cgroup.mouted' for '--skip <ID>': no such check; there are: "));
}

#[test]
fn a_broken_profile_is_reported_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("99.0.yaml");
    std::fs::write(&file, "since: 99.0.0\nsummary: New.\nnetfilter.ipset:\n  value: perhaps\n  source: x\n").unwrap();
    let output =
        dindcheck().args(["check", "--inner", "28.5.2", "--profile-dir"]).arg(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("{}:4:", file.display())), "{said}");
    assert!(said.contains("expected a boolean"), "{said}");
}

#[test]
fn a_profile_directory_that_is_not_there() {
    let output = dindcheck().args(["check", "--inner", "28.5.2", "--profile-dir", "/nonexistent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("/nonexistent: cannot be read: No such file or directory"), "{said}");
}

#[test]
fn facts_that_cannot_be_read_or_are_none() {
    let output = dindcheck().args(["check", "--facts", "/nonexistent"]).output().unwrap();
    insta::assert_snapshot!(all(&output), @r"
    exit status 2
    --- stdout
    --- stderr
    dindcheck: cannot read /nonexistent: No such file or directory (os error 2)
    ");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{\n  \"schema\": []\n}").unwrap();
    let output = dindcheck().args(["check", "--facts"]).arg(file.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("{}:2:", file.path().display())), "{said}");
}

#[test]
fn a_root_that_is_no_machine() {
    let directory = tempfile::tempdir().unwrap();
    let output = dindcheck().args(["check", "--root"]).arg(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("there is no proc/ in it"));
}

#[test]
fn an_output_file_that_cannot_be_written() {
    let output = dindcheck()
        .args(["check", "--inner", "28.5.2", "--output", "/nonexistent/x", "--root"])
        .arg(host("healthy-28.5.2"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot write /nonexistent/x"));
}

#[test]
fn a_daemon_of_the_environment_that_cannot_be_asked() {
    let output = dindcheck().env("DOCKER_HOST", "ssh://x").args(["verify", "--path", "/tmp"]).output().unwrap();
    insta::assert_snapshot!(all(&output), @r"
    exit status 2
    --- stdout
    --- stderr
    dindcheck: DOCKER_HOST=ssh://x: only unix:// and tcp:// addresses can be asked
    ");
}
