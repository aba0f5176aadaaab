//! The README is short, the pages' tables are what the checks say, and their examples use what there is.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use clap::{CommandFactory as _, Parser as _};
use dindcheck::check::CHECKS;
use dindcheck::cli::Cli;
use dindcheck::configuration::Environment;
use dindcheck::gate;
use dindcheck::pages::{PAGES as TOPICS, RECIPES, Recipe, page};
use dindcheck::verification::scenario::CLAIMS;
use serde_yaml::Value;

const BEGIN: &str = "<!-- generated from the checks themselves; tests/readme.rs says when it is out of date -->\n";
const END: &str = "<!-- end of the generated table -->";

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages");
/// What fits on a screen and a half, in bytes.
const README_MAX: usize = 8000;

/// The README and all pages, one after the other, as they are shown.
fn readme() -> String {
    let mut texts = vec![std::fs::read_to_string(README).expect("there is a README")];
    texts.extend(TOPICS.iter().filter_map(|(topic, _)| page(topic)));
    texts.join("\n")
}

/// The names of the files in a directory, without what they end in.
fn files(directory: &str, end: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name());
    files.filter_map(|name| Some(name.to_string_lossy().strip_suffix(end)?.to_owned())).collect()
}

#[test]
fn the_readme_is_short_and_leads_to_every_page() {
    let readme = std::fs::read_to_string(README).expect("there is a README");
    assert!(readme.len() <= README_MAX, "{} bytes", readme.len());
    let shown: BTreeSet<String> = TOPICS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files(PAGES, ".md"), shown);
    for (name, page) in TOPICS {
        assert!(readme.contains(&format!("(src/pages/{name}.md)")), "{name}");
        assert!(page.starts_with("# "), "{name}");
        for topic in
            page.match_indices("dindcheck help ").filter_map(|(at, words)| page[at + words.len()..].split('`').next())
        {
            assert!(shown.contains(topic) || topic == "TOPIC", "{name}: {topic}");
        }
    }
    // Others start with these.
    let mut commands = readme.lines().filter(|line| line.starts_with("./scripts/"));
    assert_eq!(commands.next(), Some("./scripts/demo"));
    assert!(readme.contains("`./scripts/test`"));
}

#[test]
fn each_recipe_is_one_file_that_pages_show() {
    let known: BTreeSet<String> = RECIPES.iter().map(|recipe| recipe.file.to_owned()).collect();
    assert_eq!(files(&format!("{PAGES}/recipes"), ""), known);
    for recipe in RECIPES {
        let Recipe { name, file, text } = recipe;
        assert!(file.starts_with(&format!("{name}.")), "{name}: {file}");
        assert!((20..=110).contains(&recipe.title().len()), "{name}: {}", recipe.title());
        let link = format!("[{file}](recipes/{file})");
        let with_it = TOPICS.iter().filter(|(_, page)| page.lines().any(|line| line == link));
        let shown: String = with_it.filter_map(|(topic, _)| page(topic)).collect();
        assert!(shown.contains(&format!("```{}\n{text}```\n", recipe.language())), "{name}");
        assert!(
            shown.contains(&format!("`{name}`")) || shown.contains(&format!("dindcheck recipe {name} >")),
            "{name}"
        );
        assert!(!shown.contains(&link), "{name}");
        // No recipe stands twice: three lines of it are in no page's own text.
        let trimmed = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
        for lines in text.lines().collect::<Vec<_>>().windows(3) {
            let lines = trimmed(&lines.join("\n"));
            assert!(!TOPICS.iter().any(|(_, page)| trimmed(page).contains(&lines)), "{name}: {lines}");
        }
    }
    let readme = std::fs::read_to_string(README).expect("there is a README");
    let first = RECIPES.first().expect("a recipe");
    let (_, instructions) = first.text.split_once('\n').expect("lines");
    assert!(readme.contains(&format!("```dockerfile\n{instructions}```\n")), "of the README, {}", first.name);
}

/// A YAML recipe.
fn yaml(name: &str) -> Value {
    let recipe = Recipe::find(name).unwrap_or_else(|| panic!("there is no recipe {name}"));
    serde_yaml::from_str(recipe.text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The value at a path of keys and indices.
fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('/').fold(value, |value, key| match key.parse::<usize>() {
        Ok(index) => value.get(index).unwrap_or_else(|| panic!("{path}: no {index}")),
        Err(_) => value.get(key).unwrap_or_else(|| panic!("{path}: no {key}")),
    })
}

fn list(value: Option<&Value>) -> Vec<Value> {
    value.and_then(Value::as_sequence).cloned().unwrap_or_default()
}

/// The containers of a pod, those that are started first before the others.
fn containers(spec: &Value) -> Vec<Value> {
    [list(spec.get("initContainers")), list(spec.get("containers"))].concat()
}

/// The volumes that a container mounts: name and place.
fn mounts(container: &Value) -> BTreeSet<(String, String)> {
    let text = |mount: &Value, key: &str| at(mount, key).as_str().expect("text").to_owned();
    list(container.get("volumeMounts")).iter().map(|mount| (text(mount, "name"), text(mount, "mountPath"))).collect()
}

#[test]
fn the_pods_of_recipes_are_whole() {
    let (privileged, userns, arc) = (yaml("kubernetes"), yaml("kubernetes-userns"), yaml("arc"));
    for pod in [&privileged, &userns] {
        assert_eq!((at(pod, "apiVersion"), at(pod, "kind")), (&Value::from("v1"), &Value::from("Pod")));
        assert!(at(pod, "metadata/name").is_string());
    }
    for (name, spec) in [
        ("kubernetes", at(&privileged, "spec")),
        ("kubernetes-userns", at(&userns, "spec")),
        ("arc", at(&arc, "template/spec")),
    ] {
        let volumes: BTreeSet<String> = list(spec.get("volumes"))
            .iter()
            .map(|volume| at(volume, "name").as_str().expect("a name").to_owned())
            .collect();
        let containers = containers(spec);
        let used: BTreeSet<String> = containers.iter().flat_map(mounts).map(|(volume, _)| volume).collect();
        assert_eq!(volumes, used, "{name}: volumes, and what is mounted of them");
        let dind = containers.iter().find(|container| at(container, "name") == "dind").expect("the daemon's container");
        assert!(mounts(dind).contains(&("data".to_owned(), "/var/lib/docker".to_owned())), "{name}");
        // The daemon's end fits into the pod's.
        let grace = at(spec, "terminationGracePeriodSeconds").as_u64().expect("seconds");
        let own = at(dind, "env/0/value").as_str().and_then(|text| text.strip_suffix('s')).expect("seconds");
        assert!(own.parse::<u64>().is_ok_and(|own| own < grace), "{name}: {own} of {grace} s");
        assert!(dind.get("startupProbe").is_some(), "{name}");
    }
    assert_eq!(at(&privileged, "spec/containers/0/securityContext/privileged"), &Value::from(true));
    assert!(at(&userns, "spec/containers/0/securityContext").get("privileged").is_none());
    assert_eq!(at(&userns, "spec/hostUsers"), &Value::from(false));
}

/// The controller's own pod of a runner and docker:dind shares these (charts/gha-runner-scale-set/values.yaml).
#[test]
fn the_runner_and_its_daemon_share_what_the_controller_shares() {
    let arc = yaml("arc");
    let containers = containers(at(&arc, "template/spec"));
    let of = |name: &str| mounts(containers.iter().find(|one| at(one, "name") == name).expect("a container"));
    let (runner, dind) = (of("runner"), of("dind"));
    for volume in [("work", "/home/runner/_work"), ("run", "/var/run")] {
        let volume = (volume.0.to_owned(), volume.1.to_owned());
        assert!(runner.contains(&volume) && dind.contains(&volume), "{volume:?}");
    }
    assert!(dind.contains(&("externals".to_owned(), "/home/runner/externals".to_owned())));
    assert!(of("externals").iter().any(|(volume, _)| volume == "externals"), "it is filled first");
}

#[test]
fn daemon_and_client_of_a_recipe_meet() {
    let compose = yaml("compose");
    let (daemon, client) = (at(&compose, "services/docker"), at(&compose, "services/build"));
    assert_eq!(at(daemon, "privileged"), &Value::from(true));
    let certificates = at(daemon, "environment/DOCKER_TLS_CERTDIR").as_str().expect("a directory");
    for service in [daemon, client] {
        for volume in list(service.get("volumes")) {
            let volume = volume.as_str().expect("text").split(':').next().expect("a name").to_owned();
            assert!(at(&compose, "volumes").get(&volume).is_some(), "{volume}");
        }
    }
    let path = at(client, "environment/DOCKER_CERT_PATH").as_str().expect("a directory");
    assert_eq!(path, format!("{certificates}/client"));
    assert_eq!(at(client, "environment/DOCKER_HOST"), "tcp://docker:2376");

    let gitlab = yaml("gitlab");
    assert_eq!(at(&gitlab, "build/services/0/alias"), "docker");
    assert_eq!(at(&gitlab, "build/variables/DOCKER_HOST"), "tcp://docker:2376");
    assert_eq!(at(&gitlab, "build/variables/DOCKER_CERT_PATH"), "/certs/client");
    assert!(!list(at(&gitlab, "build").get("script")).is_empty());

    let github = yaml("github");
    assert!(list(github.get("on")).contains(&Value::from("push")), "{github:?}");
    let job = at(&github, "jobs/build");
    assert_eq!(at(job, "services/docker/ports/0"), "2375:2375");
    assert_eq!(at(job, "env/DOCKER_HOST"), "tcp://localhost:2375");
    assert!(at(job, "services/docker/options").as_str().is_some_and(|options| options.contains("--privileged")));

    let devcontainer = Recipe::find("devcontainer").expect("a recipe").text;
    let bare: Vec<&str> = devcontainer.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let devcontainer: serde_json::Value = serde_json::from_str(&bare.join("\n")).expect("JSON, but for its comments");
    assert_eq!(devcontainer["privileged"], true);
    // Or the command line of dev containers runs a shell instead of the image's entrypoint.
    assert_eq!(devcontainer["overrideCommand"], false);
    assert_eq!(devcontainer["mounts"][0]["target"], "/var/lib/docker");
    let words = devcontainer["postStartCommand"].as_str().expect("a command").split(' ');
    Cli::try_parse_from(words).expect("a command of ours");
}

/// The instructions of a Dockerfile, each in one line.
fn instructions(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    lines.replace("\\\n", " ").lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn images_of_recipes_have_what_the_gate_asks_for() {
    const KNOWN: [&str; 9] = ["FROM", "RUN", "COPY", "ENV", "VOLUME", "EXPOSE", "USER", "HEALTHCHECK", "ENTRYPOINT"];
    let mut count = 0;
    for recipe in RECIPES.iter().filter(|recipe| recipe.language() == "dockerfile") {
        let (name, all) = (recipe.name, instructions(recipe.text));
        count += 1;
        assert!(all.iter().all(|one| KNOWN.contains(&one.split(' ').next().unwrap_or_default())), "{name}: {all:?}");
        assert!(all[0].starts_with("FROM "), "{name}: {all:?}");
        assert_eq!(all.last().map(String::as_str), Some(r#"ENTRYPOINT ["dindcheck", "--fix"]"#), "{name}");
        assert!(all.iter().any(|one| one.starts_with("HEALTHCHECK ")), "{name}");
        assert!(all.contains(&"COPY dindcheck /usr/local/bin/".to_owned()), "{name}");
        // docker:dind has all of the rest.
        if all[0] == "FROM docker:dind" {
            continue;
        }
        // image.ports, image.volumes, image.plugins, image.certificates
        assert!(all.contains(&"EXPOSE 2375 2376".to_owned()), "{name}");
        assert!(all.iter().any(|one| one.starts_with("VOLUME /") && one.ends_with("/docker")), "{name}");
        let run = all.iter().find(|one| one.starts_with("RUN ")).expect("packages");
        for plugin in ["buildx", "compose"] {
            let packages = [format!(" docker-{plugin} "), format!(" docker-cli-{plugin} ")];
            assert!(packages.iter().any(|package| run.contains(package)), "{name}: {plugin}");
        }
        // Alpine's own image has them; Debian's docker.io only recommends them.
        assert!(all[0] == "FROM alpine" || run.contains(" ca-certificates "), "{name}");
    }
    assert_eq!(count, 4);
}

const CLAIMS_BEGIN: &str =
    "<!-- generated from the claims themselves; tests/readme.rs says when it is out of date -->\n";
const CLAIMS_END: &str = "<!-- end of the claims -->";

/// Holds a table against its page; UPDATE_README writes it.
fn assert_table(page: &str, begin: &str, end: &str, table: &str) {
    let path = format!("{PAGES}/{page}.md");
    let readme = std::fs::read_to_string(&path).expect("there is a page");
    let (head, rest) = readme.split_once(begin).expect("the table's beginning");
    let (current, tail) = rest.split_once(end).expect("the table's end");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, format!("{head}{begin}{table}{end}{tail}")).expect("the page can be written");
        return;
    }
    assert_eq!(current, table, "UPDATE_README=1 cargo test --test readme -- --test-threads 1 writes the table again");
}

#[test]
fn the_table_of_claims_is_current() {
    let mut table = String::from("| claim | what holds when it passes | quick | a failure is |\n|---|---|---|---|\n");
    for claim in CLAIMS {
        let quick = if claim.quick { "yes" } else { "" };
        let failure = if claim.required { "exit status 5" } else { "a warning" };
        writeln!(table, "| `{}` | {} | {quick} | {failure} |", claim.id, claim.title).expect("writing to a string");
    }
    assert_table("entrypoint", CLAIMS_BEGIN, CLAIMS_END, &table);
}

#[test]
fn the_table_of_checks_is_current() {
    let mut table = String::from(
        "| check | what it looks at or tries | remedy | `--fix` (in this container alone) | engines |\n|---|---|---|---|---|\n",
    );
    let of_images = gate::check::CHECKS.iter().map(|check| (check.id, check.docs, None));
    for (id, docs, mend) in
        CHECKS.iter().map(|check| (check.id, check.docs, check.mend.map(|mend| mend.title))).chain(of_images)
    {
        let (mend, engines) = (mend.unwrap_or("-"), docs.engines());
        writeln!(table, "| `{id}` | {} | {} | {mend} | {engines} |", docs.looks_at, docs.remedy)
            .expect("writing to a string");
    }
    assert_table("checks", BEGIN, END, &table);
}

/// The examples between fences of a language.
fn examples<'a>(readme: &'a str, language: &str) -> Vec<&'a str> {
    let parts = readme.split("\n```").skip(1).step_by(2);
    let examples: Vec<&str> = parts.filter_map(|part| part.strip_prefix(language)?.strip_prefix('\n')).collect();
    assert!(!examples.is_empty(), "examples in {language}");
    examples
}

/// Our commands in an example: lists of words of which the first is `dindcheck`.
fn commands(value: &Value) -> Vec<Vec<String>> {
    match value {
        Value::Sequence(list) => {
            let words: Option<Vec<String>> = list.iter().map(|word| word.as_str().map(str::to_owned)).collect();
            // A health check of compose says first that what follows is a command.
            let words = words.map(|words| words.into_iter().skip_while(|word| word == "CMD").collect::<Vec<_>>());
            match words {
                Some(words) if words.first().is_some_and(|word| word == "dindcheck") => vec![words],
                _ => list.iter().flat_map(commands).collect(),
            }
        }
        Value::Mapping(map) => map.values().flat_map(commands).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn examples_are_understood() {
    let readme = readme();
    let mut found = Vec::new();
    for example in examples(&readme, "yaml") {
        let value: Value = serde_yaml::from_str(example).unwrap_or_else(|error| panic!("{error} in\n{example}"));
        found.extend(commands(&value));
    }
    for example in examples(&readme, "dockerfile") {
        let lists = example.lines().filter_map(|line| Some(&line[line.find('[')?..]));
        found.extend(lists.flat_map(|list| commands(&serde_yaml::from_str(list).expect(list))));
    }
    assert!(found.len() > 8, "{found:?}");
    for command in found {
        Cli::try_parse_from(&command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    }
}

#[test]
fn every_variable_that_is_named_is_one() {
    fn known(command: &clap::Command) -> BTreeSet<String> {
        let own = command.get_arguments().filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned()));
        own.chain(command.get_subcommands().flat_map(known)).collect()
    }
    let mut known = known(&Cli::command());
    // What the daemon's flags come by; and what a job is given, which nothing reads.
    let asked = RefCell::new(BTreeSet::new());
    Environment::of(|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    known.extend(asked.into_inner());
    known.insert("DINDCHECK_FAILED".to_owned());
    // Comments are for the tests that write there.
    let readme: String = readme().lines().filter(|line| !line.starts_with("<!--")).collect::<Vec<_>>().join("\n");
    let named = readme.match_indices("DINDCHECK_").map(|(start, _)| {
        let end = readme[start..].find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(readme.len() - start);
        &readme[start..start + end]
    });
    let named: BTreeSet<&str> = named.collect();
    assert!(!named.is_empty());
    let unknown: Vec<_> = named.iter().filter(|name| !known.contains(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn each_budget_is_the_number_of_its_constant() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages/security.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let (constant, file) = line.strip_suffix("` |")?.rsplit_once("` in `")?;
        Some((
            file.to_owned(),
            constant.rsplit_once("| `")?.1.split_once(" = ").map(|(a, b)| (a.to_owned(), b.to_owned()))?,
        ))
    });
    let named: BTreeSet<(String, (String, String))> = rows.collect();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut directories, mut found) = (vec![source.clone()], BTreeSet::new());
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let file = path.strip_prefix(&source).unwrap().display().to_string();
            let constants = text.lines().filter_map(|line| line.split_once("const MAX")).map(|(_, rest)| rest);
            found.extend(constants.filter_map(|rest| {
                let (name, value) = rest.split_once(": ")?;
                let value = value.split_once(" = ")?.1.trim_end_matches(';');
                Some((file.clone(), (format!("MAX{name}"), value.to_owned())))
            }));
        }
    }
    assert_eq!(named, found);
}
