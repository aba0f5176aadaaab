//! The page of the gate, looked at in a real browser.

use std::io::Write as _;
use std::process::Command;

use crate::lab::{address, text};

/// Asks the page, once it is laid out, what a person would see; the answer is its title.
const LOOK: &str = "<script>addEventListener('load', () => {
    const all = (what) => [...document.querySelectorAll(what)];
    const seen = (one) => one.checkVisibility() && one.getBoundingClientRect().width > 0;
    document.title = JSON.stringify({
        too_wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        asked_for: performance.getEntriesByType('resource').length,
        columns: all('#matrix thead th[scope=col]').filter(seen).map((one) => one.textContent),
        rows: all('#matrix tbody th').filter(seen).map((one) => one.textContent),
        overlay: getComputedStyle(all('#matrix tbody td.warning')[0]).backgroundColor,
        bars: all('#times rect').filter(seen).length,
        folded_logs: all('details > details:not([open]) > summary').filter(seen).length,
        unseen_logs: all('details > details:not([open]) > pre').filter((one) => !seen(one)).length,
    });
})</script>";

fn browser() -> &'static str {
    let names = ["chromium-headless-shell", "chromium", "google-chrome"];
    let found = names.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    found.expect("a browser: scripts/test installs one")
}

#[test]
fn the_page_shows_matrix_times_and_folded_logs_in_a_browser() {
    let mut matrix = tempfile::NamedTempFile::new().expect("a file");
    matrix.write_all(b"[{name: volume}, {name: overlay, data-root: overlay}]").expect("written");
    let output = Command::new(crate::binary::path())
        .args(["gate", "dindcheck-lab:28.5.2", "--format", "html", "--matrix"])
        .arg(matrix.path())
        .env("DOCKER_HOST", address())
        .output()
        .expect("dindcheck can be run");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));

    let page = tempfile::Builder::new().suffix(".html").tempfile().expect("a file");
    std::fs::write(page.path(), text(&output.stdout).replace("</body>", &format!("{LOOK}</body>"))).expect("written");
    let looked = Command::new(browser())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,2000", "--dump-dom"])
        .arg(format!("file://{}", page.path().display()))
        .output()
        .expect("the browser can be run");
    let dom = text(&looked.stdout);
    let title = dom.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).expect("a title").0;
    let seen: serde_json::Value = serde_json::from_str(title).unwrap_or_else(|error| panic!("{error}: {title}"));
    assert_eq!((&seen["too_wide"], &seen["asked_for"]), (&0.into(), &0.into()), "{seen}");
    assert_eq!(seen["columns"], serde_json::json!(["image", "volume", "overlay"]));
    let rows = seen["rows"].as_array().expect("rows");
    assert!(
        rows.iter().any(|row| row == "storage.data-root") && rows.iter().any(|row| row == "image.volumes"),
        "{seen}"
    );
    assert_ne!(seen["overlay"], "rgba(0, 0, 0, 0)");
    // Four stretches of time in each cell, and the key to them.
    assert_eq!(seen["bars"], 3 * 4);
    assert_eq!((&seen["folded_logs"], &seen["unseen_logs"]), (&2.into(), &2.into()), "{seen}");
}
