//! Pages, looked at in a real browser: the report of the gate, that of a container that was forgotten to be privileged,
//! and the manual.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::lab::{address, run, text};

/// Asks the page, once it is laid out, what a person would see, then does what a person would do; the answer is its
/// title.
const LOOK: &str = include_str!("page.js");

fn browser() -> &'static str {
    let names = ["chromium-headless-shell", "chromium", "google-chrome"];
    let found = names.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    found.expect("a browser: scripts/test installs one")
}

/// axe-core, which scripts/test fetches.
fn axe() -> String {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| std::env::home_dir().expect("a home").join(".cache"));
    let path = cache.join("dindcheck-tools/axe-core/package/axe.min.js");
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; scripts/test fetches it", path.display()))
}

/// What is seen of a page in a window of that width.
fn look(page: &str, width: u32, is_dark: bool) -> Value {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("page.html");
    let scripts = format!("<script>{}</script><script>{LOOK}</script></body>", axe());
    std::fs::write(&file, page.replace("</body>", &scripts)).expect("written");
    let looked = Command::new(browser())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--virtual-time-budget=20000"])
        .arg(format!("--window-size={width},2000"))
        .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!is_dark)))
        .arg(format!("file://{}", file.display()))
        .output()
        .expect("the browser can be run");
    let dom = text(&looked.stdout);
    let title = dom.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).expect("a title").0;
    let seen: Value = serde_json::from_str(title).unwrap_or_else(|error| panic!("{error}: {title}"));
    assert_eq!((&seen["width"], &seen["is_dark"]), (&width.into(), &is_dark.into()), "{seen}");
    seen
}

/// Looks at a page in narrow and wide windows, light and dark: nothing sticks out, no label is broken, nothing is asked of
/// a server, and axe-core finds nothing. Gives what was seen last.
fn look_everywhere(page: &str) -> Value {
    let mut last = Value::Null;
    for (width, is_dark) in [(360, false), (360, true), (1000, true), (1600, false)] {
        let seen = look(page, width, is_dark);
        for key in ["too_wide", "asked_for"] {
            assert_eq!(seen[key], 0, "{width}: {seen}");
        }
        for key in ["sticking_out", "broken", "overlapping", "unreached", "axe"] {
            assert_eq!(seen[key], json!([]), "{width}, dark: {is_dark}: {key}");
        }
        last = seen;
    }
    last
}

#[test]
fn the_page_of_the_gate_shows_matrix_times_and_logs() {
    let directory = tempfile::tempdir().expect("a directory");
    let matrix = directory.path().join("matrix.yaml");
    std::fs::write(&matrix, "[{name: volume}, {name: overlay, data-root: overlay}]").expect("written");
    let output = Command::new(crate::binary::path())
        .args(["gate", "dindcheck-lab:28.5.2", "--format", "html", "--matrix"])
        .arg(&matrix)
        .env("DOCKER_HOST", address())
        .output()
        .expect("dindcheck can be run");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));

    let seen = look_everywhere(&text(&output.stdout));
    assert_eq!(seen["columns"], json!(["image", "volume", "overlay"]));
    let rows = seen["rows"].as_array().expect("rows");
    assert!(
        rows.iter().any(|row| row == "storage.data-root") && rows.iter().any(|row| row == "image.volumes"),
        "{seen}"
    );
    // Four stretches of time in each cell, and the key to them.
    assert_eq!(seen["bars"], 3 * 4);
    // From "Starting up" to the signal that ends it.
    assert!(seen["marks"].as_u64().is_some_and(|marks| marks >= 2 * 5), "{seen}");
    assert_eq!((&seen["folded_logs"], &seen["unseen_logs"]), (&2.into(), &2.into()), "{seen}");
    // A log is searched: what is left, and how much that is.
    assert_eq!(seen["searched"]["without"], 0, "{seen}");
    assert!(seen["searched"]["with"].as_u64().is_some_and(|lines| lines >= 1), "{seen}");
    assert!(seen["searched"]["told"].as_str().is_some_and(|told| told.contains(" lines")), "{seen}");
}

#[test]
fn the_page_of_a_check_begins_with_the_cause_and_what_to_paste() {
    let page = run("28.5.2", &["--unprivileged"], &["dindcheck", "check", "--format", "html"]).expect_status(1).stdout;
    let seen = look_everywhere(&page);
    assert_eq!(seen["headings"][0], "What is wrong, and why", "{seen}");
    assert_eq!(seen["cards"][0], "blocking: the outer container is not privileged", "{seen}");
    assert!(seen["verdict"].as_str().is_some_and(|verdict| verdict.contains("exit status 1")), "{seen}");
    // The line that cures it is copied with its button.
    assert!(seen["copied"].as_str().is_some_and(|copied| copied.contains("--privileged")), "{seen}");
    assert_eq!(seen["button"], "Copied", "{seen}");
}

#[test]
fn the_manual_can_be_read_in_any_window() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = Command::new(crate::binary::path()).args(["man", "--html"]).arg(directory.path()).output();
    assert_eq!(output.expect("dindcheck can be run").status.code(), Some(0));
    // Lists, wide tables, long lines of code, definitions of every kind.
    for name in ["index", "checks", "kubernetes", "command-dindcheck", "explain-cgroup"] {
        let page = std::fs::read_to_string(directory.path().join(format!("{name}.html"))).expect("a page");
        let seen = look_everywhere(&page);
        assert!(seen["headings"].as_array().is_some_and(|headings| !headings.is_empty() || name != "index"), "{seen}");
    }
}
