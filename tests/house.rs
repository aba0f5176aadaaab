//! The floors of the house: what may use what. The list is the architecture's document.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the roof to the ground. A room uses only rooms of lower floors, and none of its own floor but itself.
const FLOORS: [&str; 12] = [
    "main",
    "command",                                    // one file a subcommand
    "cli",                                        // the command line's types
    "gate",                                       // from the host
    "report",                                     // one model, many forms
    "verification diagnosis",                     // proof, and why there is none
    "engine check",                               // the inner daemon; judges
    "fix supervisor",                             // mends, the one door that acts; PID 1
    "facts finding",                              // what is; what was found of it
    "configuration probe",                        // the daemon's flags; what only trying can tell
    "profile",                                    // what each version needs
    "embedded exit fact foreign process version", // the ground: plain things
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

#[test]
fn uses_are_found_in_all_their_forms() {
    let text = "use crate::exit;\nuse crate::{probe, version::EngineVersion};\nlet x = crate::fact::Root::new(\"/\"); // crate::no\n\
                use crate::check::{self, Selection};\n#[cfg(test)]\nmod tests {\n    use crate::gate;\n}\n";
    assert_eq!(used(text), BTreeSet::from(["check", "exit", "fact", "probe", "version"]));
    assert!(floor("check") < floor("facts") && floor("facts") < floor("fact"));
    assert_eq!(floor("nowhere"), None);
}
