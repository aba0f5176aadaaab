//! The profiles against what is known of the engines, and the commands that show them.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with the test")]

use std::cmp::Ordering;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use dindcheck::cli::{PlainFormat, ProfilesCommand, Shown};
use dindcheck::command::profiles::run;
use dindcheck::profile::{CgroupV1, LoadError, Profile, Profiles};
use dindcheck::version::EngineVersion;
use serde_json::Value as Json;

const FACTS: &str = include_str!("fixtures/profile-facts.txt");
const RELEASES: &str = include_str!("fixtures/releases.txt");

/// The names of issue 3, on which scripts may rely.
const CONTRACT: &[&str] = &[
    "version",
    "profile",
    "launch.command",
    "launch.debug_flag",
    "api.max",
    "api.min",
    "binaries.required",
    "binaries.optional",
    "pidfiles",
    "sockets",
    "cgroup.v2",
    "cgroup.required",
    "cgroup.wanted",
    "cgroup.missing_error",
    "storage.priority",
    "storage.image_store",
    "storage.directories",
    "storage.overlay_probe",
    "storage.d_type",
    "netfilter.tables",
    "netfilter.ip6tables_default",
    "netfilter.ipset",
    "netfilter.nftables",
    "netfilter.docker_proxy",
    "network.tcp_without_tls_delay_s",
    "privileged.grants",
    "outer.cgroup_mounts",
    "outer.cgroup_namespace",
];

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

fn version(text: &str) -> EngineVersion {
    text.parse().unwrap()
}

fn built_in() -> &'static Profiles {
    static PROFILES: LazyLock<Profiles> = LazyLock::new(|| Profiles::load(None).unwrap());
    &PROFILES
}

fn value(profile: &Profile, key: &str) -> Json {
    profile.entries().into_iter().find(|entry| entry.key == key).unwrap_or_else(|| panic!("no key {key}")).value
}

/// Runs a command; gives its status and what it wrote.
fn say(command: &ProfilesCommand, format: PlainFormat, directory: Option<&Path>) -> (u8, String) {
    let mut out = Vec::new();
    let status = run(command, format, directory, &mut out).unwrap();
    (status, String::from_utf8(out).unwrap())
}

fn show(text: &str) -> ProfilesCommand {
    ProfilesCommand::Show { of: Shown::Version(version(text)) }
}

#[test]
fn the_profiles_say_what_the_evidence_says() {
    let profiles = built_in();
    let mut versions = Vec::new();
    let mut wrong = Vec::new();
    for line in lines(FACTS) {
        let mut words = line.splitn(2, ' ');
        let text = words.next().unwrap();
        let (key, expected) = words.next().unwrap().trim_start().split_once(' ').unwrap();
        let expected: Json = serde_json::from_str(expected.trim()).unwrap();
        let profile = profiles.resolve(&version(text)).unwrap();
        let found = value(&profile, key);
        if found != expected {
            wrong.push(format!("{text} {key}: {found}, and should be {expected}"));
        }
        versions.push(text);
    }
    assert_eq!(wrong, Vec::<String>::new());
    let facts = versions.len();
    versions.sort_unstable();
    versions.dedup();
    assert!(facts >= 150 && versions.len() >= 40, "{facts} facts of {} versions", versions.len());
}

#[test]
fn every_key_has_evidence() {
    let without: Vec<&&str> = Profile::KEYS
        .iter()
        .filter(|key| !lines(FACTS).any(|line| line.split_whitespace().nth(1) == Some(key)))
        .collect();
    // What has never changed needs no table: a wrong value would be wrong for all.
    assert!(without.len() <= 8, "{without:?}");
}

#[test]
fn the_order_is_that_of_the_releases() {
    let releases: Vec<EngineVersion> = lines(RELEASES).map(version).collect();
    assert!(releases.len() > 400, "{}", releases.len());
    for (index, older) in releases.iter().enumerate() {
        for newer in &releases[index + 1..] {
            assert_eq!(older.cmp(newer), Ordering::Less, "{older} {newer}");
            assert_eq!(newer.cmp(older), Ordering::Greater, "{older} {newer}");
        }
    }
}

#[test]
fn every_release_has_a_complete_profile() {
    let profiles = built_in();
    for release in lines(RELEASES).map(version) {
        let profile = profiles.resolve(&release).unwrap();
        assert!(!profiles.is_beyond(&release), "{release}");
        assert!(profile.entries().iter().all(|entry| !entry.source.is_empty() && !entry.value.is_null()), "{release}");
        assert!(profile.api_min.value <= profile.api_max.value, "{release}");
    }
}

#[test]
fn every_version_has_exactly_one_profile() {
    let profiles = built_in();
    let files: Vec<(&str, [u32; 3])> = profiles.layers().map(|(file, layer)| (file, layer.since.release())).collect();
    assert!(files.windows(2).all(|pair| pair[0].1 < pair[1].1), "the files are in order, and no two begin together");
    for major in 1..=29 {
        for minor in 0..=12 {
            for patch in 0..=30 {
                let asked = [major, minor, patch];
                let ends = files.iter().map(|(_, since)| *since).skip(1).chain([[u32::MAX; 3]]);
                let holding: Vec<&str> = files
                    .iter()
                    .zip(ends)
                    .filter(|((_, since), end)| *since <= asked && asked < *end)
                    .map(|((file, _), _)| *file)
                    .collect();
                let profile = profiles.resolve(&version(&format!("{major}.{minor}.{patch}"))).unwrap();
                assert_eq!(holding, [profile.profile.as_str()], "{asked:?}");
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(512))]

    #[test]
    fn order_is_total(texts in proptest::collection::vec("[0-9]{1,2}(\\.[0-9]{1,2}){0,2}(-ce|-rc\\.?[0-9]|-beta[0-9]|\\+dfsg1)?", 3)) {
        let [a, b, c] = [version(&texts[0]), version(&texts[1]), version(&texts[2])];
        assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        assert_eq!(a == b, a.cmp(&b).is_eq());
        if a <= b && b <= c {
            assert!(a <= c, "{a} {b} {c}");
        }
    }

    #[test]
    fn a_suffix_of_a_distribution_changes_no_profile(
        major in 1u32..30, minor in 0u32..13, patch in 0u32..30,
        suffix in "(-ce|\\+dfsg1|-0ubuntu4|~3-0~debian-bookworm|-ee-16|-fc25|-el7\\.centos)",
    ) {
        let profiles = built_in();
        let plain = profiles.resolve(&version(&format!("{major}.{minor}.{patch}"))).unwrap();
        let packaged = profiles.resolve(&version(&format!("{major}.{minor}.{patch}{suffix}"))).unwrap();
        assert_eq!(plain.entries(), packaged.entries());
    }
}

#[test]
fn show_keeps_its_contract() {
    for text in ["1.0.0", "1.8.1", "20.10.24+dfsg1", "29.7.2"] {
        let (status, out) = say(&show(text), PlainFormat::Json, None);
        assert_eq!(status, 0);
        let json: Json = serde_json::from_str(&out).unwrap();
        assert_eq!(json["version"], *text);
        for name in CONTRACT {
            assert!(json.get(name).is_some(), "{text}: no {name}");
        }
        for key in Profile::KEYS {
            let names: Vec<&String> = json[*key].as_object().unwrap().keys().collect();
            assert_eq!(names, ["from", "source", "value"], "{text} {key}");
        }
        assert!(json.get("note").is_none());
    }
}

#[test]
fn show_names_the_file_and_the_source_of_each_value() {
    let (_, out) = say(&show("20.10.24"), PlainFormat::Table, None);
    assert!(out.starts_with("Docker 20.10.24, by profiles/docker/20.10.10.yaml\n"), "{out}");
    let line = out.lines().find(|line| line.starts_with("storage.overlay_probe")).unwrap();
    for part in ["mount", "19.03.7.yaml", "moby v19.03.7"] {
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn a_newer_version_gets_the_newest_and_is_told_so() {
    for text in ["29.8.0", "31.4.1", "dev", "master-dockerproject-2026-01-01"] {
        let (_, table) = say(&show(text), PlainFormat::Table, None);
        let note = format!("{text} is newer than the newest profile, so this is what is known of 29.7.0");
        assert!(table.contains(&note), "{table}");
        let (_, out) = say(&show(text), PlainFormat::Json, None);
        let json: Json = serde_json::from_str(&out).unwrap();
        assert_eq!(json["note"], *note);
        assert_eq!(json["profile"], "profiles/docker/29.7.yaml");
    }
}

#[test]
fn an_older_version_is_the_users_mistake() {
    let error = run(&show("0.12.0"), PlainFormat::Table, None, &mut Vec::new()).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(LoadError::TooOld { .. })), "{error}");
    assert_eq!(dindcheck::command::status_of(&error), 2);
    assert_eq!(error.to_string(), "no profile for Docker 0.12.0: the oldest known is 1.0.0");
}

#[test]
fn list_has_every_file() {
    let (_, out) = say(&ProfilesCommand::List, PlainFormat::Json, None);
    let json: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(json.as_array().unwrap().len(), fs::read_dir("profiles/docker").unwrap().count());
    assert_eq!(json[0]["since"], "1.0.0");
    let (_, out) = say(&ProfilesCommand::List, PlainFormat::Table, None);
    assert!(out.lines().any(|line| line.starts_with("19.03.7 ")), "{out}");
}

#[test]
fn diff_is_what_an_upgrade_meets() {
    let diff = ProfilesCommand::Diff { from: version("28.5.2"), to: version("29.0.0") };
    let (_, out) = say(&diff, PlainFormat::Json, None);
    let json: Json = serde_json::from_str(&out).unwrap();
    let changed: Vec<&String> = json["changes"].as_object().unwrap().keys().collect();
    for key in ["api.min", "storage.image_store", "storage.overlay_probe", "netfilter.nftables", "cgroup.v1"] {
        assert!(changed.iter().any(|name| *name == key), "{key} is not in {changed:?}");
    }
    assert!(!changed.iter().any(|name| *name == "launch.command"), "{changed:?}");
    assert_eq!(json["changes"]["api.min"]["from"]["value"], "1.24");
    assert_eq!(json["changes"]["api.min"]["to"]["value"], "1.44");

    let diff = ProfilesCommand::Diff { from: version("29.7.0"), to: version("29.7.2") };
    let (_, out) = say(&diff, PlainFormat::Table, None);
    assert_eq!(out, "Nothing changes for nesting from 29.7.0 to 29.7.2.\n");
}

/// The whole of what a new engine takes: one file, and no code.
#[test]
fn a_made_up_engine_takes_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("30.0.yaml");
    fs::write(
        &file,
        "since: 30.0.0\nsummary: Made up.\n\
         api.max:\n  value: \"1.60\"\n  source: a test\n\
         api.min:\n  value: \"1.50\"\n  source: a test\n\
         cgroup.v1:\n  value: unsupported\n  source: a test\n\
         cgroup.required:\n  value: []\n  source: a test\n",
    )
    .unwrap();
    let profiles = Profiles::load(Some(directory.path())).unwrap();
    let new = profiles.resolve(&version("30.0.1")).unwrap();
    assert_eq!(new.api_min.value, "1.50".parse().unwrap());
    assert_eq!(new.cgroup_v1.value, CgroupV1::Unsupported);
    assert_eq!(new.profile, file.display().to_string());
    // What it does not say is as in 29.7.
    assert_eq!(new.launch_command.value, ["dockerd"]);
    assert_eq!(new.privileged_grants.from, "profiles/docker/23.0.yaml");
    assert!(!profiles.is_beyond(&version("30.0.1")));
    // And what was before stays.
    let old = profiles.resolve(&version("29.7.2")).unwrap();
    assert_eq!(old.entries(), built_in().resolve(&version("29.7.2")).unwrap().entries());
    let (status, out) = say(&ProfilesCommand::Lint { files: vec![file] }, PlainFormat::Table, None);
    assert_eq!((status, out.as_str()), (0, "No problems.\n"));
}

#[test]
fn a_file_of_the_users_goes_over_ours() {
    let directory = tempfile::tempdir().unwrap();
    let text = "since: 20.10.0\nsummary: Ours has a patch.\nnetfilter.ipset:\n  value: true\n  source: a test\n";
    fs::write(directory.path().join("20.10.yaml"), text).unwrap();
    let profiles = Profiles::load(Some(directory.path())).unwrap();
    let profile = profiles.resolve(&version("20.10.24")).unwrap();
    assert!(profile.netfilter_ipset.value && profile.cgroup_v2.value);
    assert!(!profiles.resolve(&version("19.03.15")).unwrap().netfilter_ipset.value);
}

#[test]
fn broken_files_are_reported_with_their_lines_and_nothing_else_is_done() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("30.0.yaml"), "since: 30.0.0\nsummary: x\ncgroup.v7:\n  value: 1\n").unwrap();
    fs::write(directory.path().join("31.0.yaml"), "since: 31.0.0\nsummary: x\nsockets:\n  value: 7\n  source: x\n")
        .unwrap();
    let mut out = Vec::new();
    let error = run(&show("29.7.2"), PlainFormat::Table, Some(directory.path()), &mut out).unwrap_err();
    assert!(out.is_empty());
    assert_eq!(dindcheck::command::status_of(&error), 2);
    let text = error.to_string();
    let problems: Vec<&str> = text.lines().collect();
    assert_eq!(problems.len(), 2, "{text}");
    assert!(problems[0].contains("30.0.yaml:3:1: unknown field `cgroup.v7`, expected one of"), "{text}");
    assert!(problems[1].contains("31.0.yaml:4:10: sockets.value: invalid type: integer `7`"), "{text}");
    let (status, out) = say(&ProfilesCommand::Lint { files: vec![] }, PlainFormat::Json, Some(directory.path()));
    assert_eq!(status, 2);
    let json: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(json["problems"][1]["line"], 4);
    assert_eq!(json["problems"][1]["column"], 10);
}

#[test]
fn lint_finds_nothing_in_our_own() {
    let (status, out) = say(&ProfilesCommand::Lint { files: vec![] }, PlainFormat::Table, None);
    assert_eq!((status, out.as_str()), (0, "No problems.\n"));
}

#[test]
fn the_oldest_engine_of_a_strange_set_needs_every_key() {
    let directory = tempfile::tempdir().unwrap();
    let text = "since: 0.9.0\nsummary: Before our time.\nsockets:\n  value: [/run/x]\n  source: a test\n";
    fs::write(directory.path().join("0.9.yaml"), text).unwrap();
    let error = Profiles::load(Some(directory.path())).unwrap_err().to_string();
    assert!(error.contains("0.9.yaml: the oldest profile must set every key; missing: launch.command"), "{error}");
}
