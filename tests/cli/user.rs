//! A user who is not root: what it has for a daemon of its own, seen from outside of the user namespace.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// A number that no user has.
const USER: u32 = 61_234;

#[test]
fn what_a_user_has_for_a_daemon_of_its_own_is_read() {
    let root = tempfile::tempdir().unwrap();
    let make = |name: &str, mode: u32| {
        let path = root.path().join(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let (home, run, data) = (make("home", 0o755), make("run", 0o777), make("data", 0o777));
    make("", 0o755);
    let own = root.path().join("dindcheck");
    // By a process of its own, as in outside.rs: what is open for writing cannot be run.
    assert!(Command::new("cp").arg(crate::binary::path()).arg(&own).status().unwrap().success());
    let child = Command::new(own)
        .args(["facts", "--inner", "28.5.2"])
        .env_clear()
        .envs([("PATH", "/nonexistent"), ("HOME", &home), ("XDG_RUNTIME_DIR", &run), ("XDG_DATA_HOME", &data)])
        .env("DOCKERD_ROOTLESS_ROOTLESSKIT_NET", "implicit")
        .uid(USER)
        .gid(USER)
        .stdout(Stdio::piped())
        .spawn()
        .expect("another user needs root");
    let pid = child.id();
    let facts: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    let seen = &facts["rootless"]["Ok"];
    let part = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), seen[name].clone())).collect::<Value>();
    assert_eq!(
        part(&["inside", "uid", "user", "path", "rootlesskit", "mappers", "network", "outside", "directories"]),
        json!({
            "inside": false,
            "uid": USER,
            "user": null,
            "path": "/nonexistent",
            "rootlesskit": null,
            "mappers": {},
            "network": ["implicit", null],
            "outside": pid,
            "directories": [
                { "what": "XDG_RUNTIME_DIR", "path": run, "error": null },
                { "what": "HOME", "path": home, "error": "EACCES: Permission denied" },
                {
                    "what": "the data-root",
                    "path": format!("{data}/docker"),
                    "error": "ENOENT: No such file or directory",
                },
            ],
        }),
        "{seen:#}"
    );
    assert_eq!(seen["attempts"]["Ok"][0]["what"], "make a user namespace", "{seen:#}");
}
