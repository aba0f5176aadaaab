//! The floors of the house: what may use what. The list is the architecture's document.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the roof to the ground. A room uses only rooms of lower floors, and none of its own floor but itself.
const FLOORS: [&str; 13] = [
    "main",
    "command",                             // one file a subcommand
    "cli",                                 // the command line's types
    "gate",                                // from the host
    "report",                              // one model, many forms
    "verification diagnosis",              // proof, and why there is none
    "engine check",                        // the inner daemon; judges
    "fix supervisor",                      // mends, the one door that acts; PID 1
    "facts finding",                       // what is; what was found of it
    "configuration probe",                 // the daemon's flags; what only trying can tell
    "profile",                             // what each version needs
    "embedded fact pages process version", // plain things
    "exit foreign state",                  // the ground: exit statuses, text of others, our own directory
];

/// The sources, each with the room that it is in.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut directories, mut found) = (vec![root.clone()], Vec::new());
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(&root).expect("below the root").with_extension("");
                let room = below.iter().next().expect("a name").to_string_lossy().into_owned();
                let text = fs::read_to_string(&path).expect("a source");
                found.push((room, path, text));
            }
        }
    }
    found
}

/// The rooms that a source names, but for its tests: `crate::room::…`, `crate::{room, …}`, in the binary `dindcheck::…`.
fn used(text: &str) -> BTreeSet<&str> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    let mut rooms = BTreeSet::new();
    for line in lines {
        for after in line.split("crate::").skip(1).chain(line.split("dindcheck::").skip(1)) {
            let name = |text: &'_ str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
            match after.strip_prefix('{') {
                // rustfmt keeps the few lists of whole rooms on one line.
                Some(list) => {
                    rooms.extend(list.trim_end_matches(['}', ';']).split(", ").map(|one| &one[..name(one)]));
                }
                None => {
                    rooms.insert(&after[..name(after)]);
                }
            }
        }
    }
    rooms
}

/// Keys of profiles that no code reads: they are for people, in `profiles show` and `profiles diff`.
const FOR_PEOPLE: [&str; 6] = [
    "cgroup.parent",
    "containers.seccomp",
    "containers.time_namespace",
    "launch.debug_flag",
    "launch.oom_score_adjust",
    "storage.overlay_refuses",
];

#[test]
fn every_key_of_a_profile_is_read_or_for_people() {
    let sources = sources();
    let (mut unread, mut count) = (Vec::new(), 0);
    let (_, schema, text) =
        sources.iter().find(|(_, path, _)| path.ends_with("profile/schema.rs")).expect("the keys' list");
    for line in text.lines().filter_map(|line| line.strip_prefix("    \"")) {
        let (key, field) = line.split_once("\" ").expect("a name and a field");
        let field = format!(".{}", field.split(':').next().expect("a field's name"));
        count += 1;
        let reads = |code: &str| {
            let next = |(at, _): (usize, &str)| code[at + field.len()..].chars().next();
            code.match_indices(&field).any(|found| next(found).is_none_or(|c| !c.is_alphanumeric() && c != '_'))
        };
        if !sources.iter().any(|(_, path, code)| path != schema && reads(code)) {
            unread.push(key);
        }
    }
    assert!(count > 30, "the keys were not found");
    unread.sort_unstable();
    assert_eq!(unread, FOR_PEOPLE);
}

#[test]
fn a_rule_is_found_by_its_id() {
    let sources = sources();
    let containers = dindcheck::check::CHECKS.iter().map(|check| (check.id, "check"));
    let images = dindcheck::gate::check::CHECKS.iter().map(|check| (check.id, "gate/check"));
    let mut rules = 0;
    for (id, room) in containers.chain(images) {
        let place = id.replace('-', "_").replace('.', "/");
        let file = format!("src/{room}/{}.rs", place.strip_prefix("image/").unwrap_or(&place));
        let (.., text) =
            sources.iter().find(|(_, path, _)| path.ends_with(&file)).unwrap_or_else(|| panic!("no {file}"));
        assert_eq!(text.matches(&format!("id: \"{id}\"")).count(), 1, "{file}");
        rules += text.matches(": Check = Check {").count();
    }
    let all: usize = sources.iter().map(|(.., text)| text.matches(": Check = Check {").count()).sum();
    assert_eq!(rules, all, "a file has two");
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.split(' ').any(|name| name == room))
}

#[test]
fn imports_run_downward_only() {
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for (room, path, text) in sources().iter().filter(|(room, ..)| room != "lib") {
        let Some(own) = floor(room) else {
            wrong.push(format!("{} is on no floor", path.display()));
            continue;
        };
        seen.insert(room.clone());
        for other in used(text) {
            match floor(other) {
                _ if other == room => {}
                Some(theirs) if theirs > own => {}
                // `crate::Name`: what lib.rs itself has, which is nothing but rooms.
                _ => wrong.push(format!("{} uses {other}", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.len() > 15, "the sources were not found: {seen:?}");
}

/// Where foreign text is judged as it is, or handed on as it came.
const JUDGE_IT_RAW: [&str; 11] = [
    "check/leftovers.rs",
    "command/gate.rs",
    "command/run/drill.rs",
    "configuration/environment.rs",
    "engine/api/container.rs",
    "engine/remote.rs",
    "facts/client.rs",
    "facts/engine.rs",
    "gate/cell.rs",
    "probe/child.rs",
    "verification/inside.rs",
];

/// Where something is written to standard output or error, with no filter in between but that of `command/output.rs`.
const WRITE: [&str; 17] = [
    "command/explain.rs",     // what is known of ids
    "command/health.rs",      // filtered there
    "command/manual.rs",      // filtered there
    "command/output.rs",      // answers, each with the filter of its form
    "command/pages.rs",       // pages and recipes
    "command/run/detach.rs",  // the log of the one in the background, as it is
    "command/run/prover.rs",  // to the look process
    "engine/end.rs",          // to the supervisor
    "main.rs",                // filtered there
    "probe/child.rs",         // to the look process
    "process/level.rs",       // messages, filtered there
    "process/memory.rs",      // a number
    "supervisor.rs",          // by the next
    "supervisor/output.rs",   // messages, filtered, and the daemon's log, as it is
    "verification/inside.rs", // in test containers
    "verification/inside/identity.rs",
    "verification/inside/work.rs",
];

#[test]
fn few_places_write_to_standard_output_and_error() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let has = |text: &str| {
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        ["stdout()", "stderr()"].iter().any(|stream| code.contains(stream))
    };
    let mut places: Vec<String> = sources()
        .iter()
        .filter(|(.., text)| has(text))
        .map(|(_, path, _)| path.strip_prefix(&root).expect("below src").display().to_string())
        .collect();
    places.sort_unstable();
    assert_eq!(places, WRITE);
}

#[test]
fn foreign_text_is_judged_in_few_places_and_shown_by_its_filters() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources = sources();
    let code = |text: &'_ str| text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
    let mut raw: Vec<String> = sources
        .iter()
        .map(|(_, path, text)| (path.strip_prefix(&root).expect("below src").display().to_string(), code(text)))
        // The supervisor's doors have such a word of their own.
        .filter(|(name, _)| !name.starts_with("supervisor/"))
        .filter(|(_, text)| text.contains(".raw()") || text.contains("Foreign::raw"))
        .map(|(name, _)| name)
        .collect();
    raw.sort_unstable();
    assert_eq!(raw, JUDGE_IT_RAW);
    // What the type does not have is what keeps it out of messages.
    let traits: Vec<&str> = sources
        .iter()
        .flat_map(|(.., text)| text.lines())
        .filter_map(|line| line.strip_prefix("impl")?.strip_suffix(" for Foreign {"))
        .collect();
    assert_eq!(traits, ["<T: Into<String>> From<T>", " fmt::Debug", " Serialize"]);
    let (.., text) = sources.iter().find(|(room, ..)| room == "foreign").expect("the room");
    let head = text.split("pub struct Foreign").next().and_then(|head| head.rsplit("\n\n").next()).expect("the type");
    assert!(head.contains("#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]"), "{head}");
}

#[test]
fn uses_are_found_in_all_their_forms() {
    let text = "use crate::exit;\nuse crate::{probe, version::EngineVersion};\nlet x = crate::fact::Root::new(\"/\"); // crate::no\n\
                use crate::check::{self, Selection};\n#[cfg(test)]\nmod tests {\n    use crate::gate;\n}\n";
    assert_eq!(used(text), BTreeSet::from(["check", "exit", "fact", "probe", "version"]));
    assert!(floor("check") < floor("facts") && floor("facts") < floor("fact"));
    assert_eq!(floor("nowhere"), None);
}
