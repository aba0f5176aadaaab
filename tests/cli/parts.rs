//! Processes of the main job, each for itself.

use std::fs;

use serde_json::{Value, json};

use crate::common::dindcheck;

#[test]
fn the_copy_of_the_configuration_is_written_again_without_what_we_decide() {
    let directory = tempfile::tempdir().unwrap();
    let [source, copy] = ["daemon.json", "copy.json"].map(|name| directory.path().join(name));
    let refresh = || dindcheck().args(["part", "refresh"]).args([&source, &copy]).arg("hosts").output().unwrap();
    fs::write(&source, r#"{"hosts": ["unix:///x"], "mtu": 1400}"#).unwrap();
    fs::write(&copy, "{}").unwrap();
    let output = refresh();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let written: Value = serde_json::from_str(&fs::read_to_string(&copy).unwrap()).unwrap();
    assert_eq!(written, json!({"mtu": 1400}));
    // What is no configuration leaves the copy as it is.
    fs::write(&source, "{").unwrap();
    let output = refresh();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert_eq!(serde_json::from_str::<Value>(&fs::read_to_string(&copy).unwrap()).unwrap(), json!({"mtu": 1400}));
    let names = fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(names, 2, "nothing is left beside them");
}
