//! What comes from outside by each door is in no form of an answer a command, an escape, or a secret; and it is escaped once.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::common::{dindcheck, host};
use crate::gate::{Archive, fit, tar};

/// Escapes, commands to runners, a secret in each form and longer than a line, and a backslash.
const HOSTILE: &str = "x\u{1b}[2J\u{7}\n::add-mask::owned\n ##[error]y\u{202e}\u{9b}z a\\b \
    http://user:pw456-a-password-that-is-longer-than-a-whole-line-of-the-table-is-wide-and-is-cut-in-two-by-pw456@h/ \
    \"api_key\": \"pw456 pw456\" TOKEN=pw456 PASSWORD=\"pw456 pw456\"";
/// The same where a newline would be the end.
fn in_a_line() -> String {
    HOSTILE.replace('\n', " ")
}

/// The forms of reports.
const FORMATS: [&str; 7] = ["table", "github", "junit", "sarif", "html", "prometheus", "json"];

/// Whether what was printed moves no cursor, hides nothing, is no command but ours, and tells no secret.
fn is_harmless(case: &str, printed: &[u8]) -> String {
    let text = String::from_utf8(printed.to_vec()).unwrap();
    let hidden = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}'));
    assert!(!text.contains(hidden), "{case}: {text:?}");
    assert!(!text.contains("pw456"), "{case}: {text}");
    assert!(!text.contains("##["), "{case}: {text}");
    let ours = ["::error title=", "::warning title=", "::notice title="];
    let is_command = |line: &str| line.trim_start().starts_with("::") && !ours.iter().any(|own| line.starts_with(own));
    assert!(!text.lines().any(is_command), "{case}: {text}");
    text
}

/// All texts of a JSON document.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::Object(all) => {
            all.iter().flat_map(|(name, value)| [vec![name.clone()], texts(value)].concat()).collect()
        }
        _ => Vec::new(),
    }
}

/// The same for an answer, which shows the hostile text, once escaped.
fn shows_once(case: &str, format: &str, printed: &[u8]) {
    let text = is_harmless(case, printed);
    let shown = match format {
        // As the reader of the document has it: escapes are those of the document, or those that all forms show.
        "json" | "sarif" => texts(&serde_json::from_str(&text).unwrap()).join("\n"),
        // A value is in them only where it is in a summary.
        "prometheus" => return,
        // Tables wrap.
        _ => text.split_whitespace().collect(),
    };
    assert!(["y\\u{202e}", "y\u{202e}"].iter().any(|escape| shown.contains(escape)), "{case}: {text}");
    assert!(!shown.contains("\\\\u{") && !shown.contains("a\\\\b"), "{case}: {text}");
}

fn gate(archive: &Archive, format: &str) -> Output {
    let summary = archive.path.with_file_name("summary");
    let mut command = dindcheck();
    command.env("GITHUB_STEP_SUMMARY", &summary).args(["gate", "-v", "--color", "never", "--format", format]);
    let output = command.arg("--archive").arg(&archive.path).output().unwrap();
    if format == "github" {
        is_harmless("the step's summary", &fs::read(summary).unwrap());
    }
    output
}

#[test]
fn from_an_image() {
    let line = in_a_line();
    let extra = json!({
        "Entrypoint": [HOSTILE],
        "User": HOSTILE,
        "Volumes": { HOSTILE: {} },
        "Env": [format!("DOCKER_TLS_CERTDIR=/{line}"), format!("PATH=/{line}:/usr/local/bin:/usr/bin:/usr/sbin:/bin")],
        "Labels": { HOSTILE: HOSTILE },
        "ExposedPorts": { HOSTILE: {} },
    });
    let archive = Archive::saved(&[tar(&fit())], &extra);
    for format in FORMATS {
        shows_once(format, format, &gate(&archive, format).stdout);
    }
    // What is wrong with an archive is reported on standard error, with names from in it.
    let manifest = json!([{ "Config": HOSTILE, "RepoTags": null, "Layers": [] }]).to_string();
    let output = gate(&Archive::new(&tar(&[("manifest.json", 0o644, manifest.as_bytes())])), "table");
    shows_once("an archive", "table", &output.stderr);
}

#[test]
fn from_the_configuration_of_the_daemon() {
    let line = in_a_line();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    assert!(Command::new("cp").arg("-r").arg(host("healthy-28.5.2")).arg(&root).status().unwrap().success());
    fs::create_dir_all(root.join("etc/docker")).unwrap();
    let file = root.join("etc/docker/daemon.json");
    let check = |case: &str, content: &str, is_shown: bool| {
        fs::write(&file, content).unwrap();
        for format in FORMATS {
            for more in [&["-v"][..], &[]] {
                let summary = directory.path().join("summary");
                let mut command = dindcheck();
                command.env("GITHUB_STEP_SUMMARY", &summary);
                command.args(["check", "--inner", "28.5.2", "--color", "never", "--format", format]).args(more);
                let output = command.arg("--root").arg(&root).output().unwrap();
                let case = format!("{case}, {format} {more:?}");
                assert!(output.status.code().is_some_and(|status| status < 3), "{case}: {output:?}");
                is_harmless(&case, &output.stdout);
                is_harmless(&case, &output.stderr);
                if is_shown && !more.is_empty() {
                    shows_once(&case, format, &[output.stdout, output.stderr].concat());
                }
                if format == "github" {
                    is_harmless(&case, &fs::read(summary).unwrap());
                }
            }
        }
    };
    let paths = json!({ "storage-driver": HOSTILE, "data-root": format!("/{line}"), "log-driver": HOSTILE });
    check("paths", &paths.to_string(), true);
    let hosts = json!({ "hosts": [format!("tcp://{line}")], HOSTILE: HOSTILE, "log-opts": { "gelf-token": HOSTILE } });
    check("hosts", &hosts.to_string(), false);
    check("no JSON", &format!("{{{HOSTILE}"), false);
}

#[test]
fn from_a_log() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let line = in_a_line();
    let text =
        format!("::add-mask::a\ntime=\"x\" level=info msg=\"{line}\"\nfailed to start daemon: {line}\n::error::b\n");
    fs::write(log.path(), text).unwrap();
    let output = |format: &str| dindcheck().args(["diagnose", "--format", format]).arg(log.path()).output().unwrap();
    let table = is_harmless("table", &output("table").stdout);
    assert!(table.contains("a\\b") && !table.contains("a\\\\b"), "{table}");
    let json: Value = serde_json::from_str(&is_harmless("json", &output("json").stdout)).unwrap();
    let told = json["first_error"]["text"].as_str().unwrap();
    assert!(told.contains("a\\b ") && told.contains("##[error]") && told.contains('\u{202e}'), "{told:?}");
}

#[test]
fn from_an_engine() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let body = json!({ "message": HOSTILE }).to_string();
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close";
            let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    let address = format!("unix://{}", socket.display());
    for format in FORMATS {
        let mut command = dindcheck();
        command.env("DOCKER_HOST", &address).args(["verify", "--inner", "28.5.2", "-v", "--format", format]);
        shows_once(format, format, &command.output().unwrap().stdout);
    }
    let output = dindcheck().env("DOCKER_HOST", &address).args(["gate", "image"]).output().unwrap();
    shows_once("gate", "table", &output.stderr);
    let output = dindcheck().env("DOCKER_HOST", &address).arg("health").output().unwrap();
    is_harmless("health", &output.stdout);
}

#[test]
fn from_our_own_environment_and_command_line() {
    let with = |name: &str, value: &str, args: &[&str]| dindcheck().env(name, value).args(args).output().unwrap();
    shows_once("a usage error", "table", &with("DINDCHECK_FIX", HOSTILE, &["check"]).stderr);
    shows_once("help", "table", &with("DINDCHECK_LOG", HOSTILE, &["--help"]).stdout);
    shows_once("health", "table", &with("DOCKER_HOST", &format!("tcp://{HOSTILE}"), &["health"]).stdout);
    shows_once("gate", "table", &with("DOCKER_HOST", HOSTILE, &["gate", "image"]).stderr);
    for args in [
        &["check", "--format", HOSTILE][..],
        &["explain", HOSTILE],
        &["check", "--facts", HOSTILE],
        &["check", "--skip", HOSTILE],
        &["diagnose", HOSTILE],
        &["gate", "--archive", HOSTILE],
        &["profiles", "show", HOSTILE],
        &["help", HOSTILE],
    ] {
        let output = dindcheck().args(args).output().unwrap();
        shows_once(&format!("{args:?}"), "table", &[output.stdout, output.stderr].concat());
    }
    // YAML has no such characters.
    let name = HOSTILE.replace('\u{9b}', "");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), json!({ name.clone(): name }).to_string()).unwrap();
    let output = dindcheck().args(["profiles", "lint"]).arg(file.path()).output().unwrap();
    shows_once("a profile", "table", &[output.stdout, output.stderr].concat());
}

#[test]
fn from_the_environment_of_the_daemon() {
    let line = in_a_line();
    for (name, value) in [("DOCKER_OPTS", format!("--debug '{line}")), ("DINDCHECK_DAEMON_ARGS", format!("'{line}"))] {
        for format in FORMATS {
            let mut command = dindcheck();
            command.env(name, &value).args(["check", "--inner", "28.5.2", "--only", "configuration.accepted", "-v"]);
            let output = command.args(["--format", format]).output().unwrap();
            shows_once(&format!("{name}, {format}"), format, &[output.stdout, output.stderr].concat());
        }
    }
}

/// A program in PATH that answers so instead of its version.
#[test]
fn from_a_program() {
    let directory = tempfile::tempdir().unwrap();
    let (program, answer) = (directory.path().join("dockerd"), directory.path().join("answer"));
    fs::write(&answer, HOSTILE).unwrap();
    fs::write(&program, format!("#!/bin/sh\ncat {} >&2\n", answer.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", directory.path().display());
    for format in FORMATS {
        let mut command = dindcheck();
        command.env("PATH", &path).args(["check", "--only", "engine.profile", "-v", "--format", format]);
        let output = command.output().unwrap();
        shows_once(format, format, &[output.stdout, output.stderr].concat());
    }
}
