//! Programs of the engine that are not there.

use crate::lab::look;

#[test]
fn a_program_that_is_missing_is_named() {
    look(&[], "", "engine.binaries").expect("engine.binaries", "fail"); // git and the like, which can be done without
    let report = look(&[], "rm /usr/sbin/runc", "engine.binaries");
    assert_eq!(report.expect_blocking("engine.binaries"), "not found: runc");
}

#[test]
fn an_engine_that_does_not_say_its_version_is_found() {
    let summary = look(&[], "", "engine.profile").expect("engine.profile", "pass");
    assert!(summary.starts_with("Docker 28.5.2"), "{summary}");
    let mute = "printf '#!/bin/sh\\nexit 1\\n' > /usr/local/sbin/dockerd; chmod +x /usr/local/sbin/dockerd";
    look(&[], mute, "engine.profile").expect_blocking("engine.profile");
    look(&[], "rm /usr/sbin/dockerd /usr/bin/docker", "engine.profile").expect_blocking("engine.profile");
}
