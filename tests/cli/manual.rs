//! The manual as HTML: all of it is there, and every link in it leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::common::dindcheck;

/// What a page has: its anchors, what it links to, and what it would load.
#[derive(Default)]
struct Page {
    anchors: BTreeSet<String>,
    links: Vec<String>,
    loaded: Vec<String>,
    title: String,
}

/// Reads a page; it must be well-formed, with no anchor twice.
fn page(path: &Path) -> Page {
    let text = fs::read_to_string(path).unwrap();
    let shown = path.display();
    assert!(text.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"), "{shown}");
    let (mut reader, mut page, mut in_title) = (Reader::from_str(&text), Page::default(), false);
    loop {
        let event = reader.read_event().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let (Event::Start(tag) | Event::Empty(tag)) = &event else {
            match event {
                Event::Text(text) if in_title => page.title += &String::from_utf8_lossy(&text),
                Event::End(_) => in_title = false,
                Event::Eof => break,
                _ => {}
            }
            continue;
        };
        in_title = tag.name().as_ref() == b"title";
        let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
        if ["script", "link", "img", "iframe"].contains(&name.as_str()) {
            page.loaded.push(name);
        }
        for attribute in tag.attributes() {
            let attribute = attribute.unwrap_or_else(|error| panic!("{shown}: {error}"));
            let value = String::from_utf8_lossy(&attribute.value).into_owned();
            match attribute.key.as_ref() {
                b"id" => assert!(page.anchors.insert(value.clone()), "{shown}: {value} stands twice"),
                b"href" => page.links.push(value),
                b"src" => page.loaded.push(value),
                _ => {}
            }
        }
    }
    assert!(!text.contains("@import") && !text.contains("url("), "{shown}");
    page
}

#[test]
fn the_manual_is_whole_and_every_link_leads_somewhere() {
    let directory = tempfile::tempdir().unwrap();
    let manual = directory.path().join("made/manual");
    let output = dindcheck().args(["man", "--html"]).arg(&manual).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let names = |directory: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
        entries.filter(|one| one.path().is_file()).map(|one| one.file_name().into_string().unwrap()).collect()
    };
    let pages: BTreeMap<String, Page> =
        names(&manual).into_iter().map(|name| (name.clone(), page(&manual.join(&name)))).collect();

    // What has to be there: each topic, each command, each id, each recipe as it is.
    let help = String::from_utf8(dindcheck().arg("--help").output().unwrap().stdout).unwrap();
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands: Vec<&str> = commands.filter(|name| !name.is_empty()).collect();
    assert!(commands.len() > 12 && commands.contains(&"gate"), "{commands:?}");
    let topics = dindcheck::pages::PAGES.iter().map(|(topic, _)| format!("{topic}.html"));
    for name in commands.iter().map(|name| format!("command-{name}.html")).chain(topics) {
        assert!(pages.contains_key(&name), "{name}");
    }
    let anchors: BTreeSet<&str> = pages.values().flat_map(|page| &page.anchors).map(String::as_str).collect();
    let ids = String::from_utf8(dindcheck().arg("explain").output().unwrap().stdout).unwrap();
    let ids: Vec<&str> = ids.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert!(ids.len() > 150, "{}", ids.len());
    for id in ids {
        assert!(anchors.contains(id), "{id}");
    }
    for recipe in dindcheck::pages::RECIPES {
        assert_eq!(fs::read_to_string(manual.join("recipes").join(recipe.file)).unwrap(), recipe.text);
    }

    // Every link leads somewhere, nothing is loaded, and everything is reached from the index.
    let mut reached = BTreeSet::from(["index.html".to_owned()]);
    let mut next = vec!["index.html".to_owned()];
    while let Some(name) = next.pop() {
        let page = &pages[&name];
        assert!(!page.title.is_empty() && page.loaded.is_empty(), "{name}: {:?}", page.loaded);
        for link in &page.links {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let is_ours = pages.contains_key(file) || manual.join(file).is_file() && file.starts_with("recipes/");
            assert!(is_ours, "{name}: {link}");
            assert!(anchor.is_empty() || pages[file].anchors.contains(anchor), "{name}: {link}");
            if pages.contains_key(file) && reached.insert(file.to_owned()) {
                next.push(file.to_owned());
            }
        }
    }
    assert_eq!(reached, pages.keys().cloned().collect());
    // Words in a page lead on: an id to what it means, a command to its options, a recipe to its file.
    let leads = |from: &str, to: &str| assert!(pages[from].links.iter().any(|link| link == to), "{from}: {to}");
    leads("checks.html", "explain-cgroup.html#cgroup.delegation");
    leads("use.html", "command-completions.html");
    leads("compose.html", "recipes/compose.yaml");
    leads("index.html", "recipes/arc.yaml");
}

#[test]
fn a_directory_that_is_not_empty_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |path: &Path| {
        let output = dindcheck().args(["man", "--html"]).arg(path).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let file = directory.path().join("index.html");
    fs::write(&file, "mine").unwrap();
    assert!(refused(directory.path()).contains("is not empty"), "{}", refused(directory.path()));
    assert!(refused(&file).contains("cannot write the manual"), "{}", refused(&file));
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    // An empty one is as good as a new one.
    fs::remove_file(&file).unwrap();
    assert_eq!(dindcheck().args(["man", "--html"]).arg(directory.path()).output().unwrap().status.code(), Some(0));
}
