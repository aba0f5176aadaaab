//! What becomes of an invocation of docker:dind: with its own entrypoint, and with ours (`tests/dropin/table.yaml`).
//!
//! The official side of a row is what the official scripts do with it (docker-library/docker, dockerd-entrypoint.sh and
//! docker-entrypoint.sh, August 2026): which words they put before the user's. What the daemon makes of the words is
//! computed for both sides in the same way, so that two command lines that mean the same are the same. Rows with `rootless`
//! are of docker:dind-rootless: there RootlessKit's words count as well. What volumes hold is in `dropin/volumes.rs`.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail with the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dindcheck::command::arguments;
use dindcheck::configuration::{self, Configuration, Defaults, Environment, Overrides, Problem, Sources};
use dindcheck::engine::rootless;
use dindcheck::fact::FactError;
use dindcheck::facts::rootless::Rootless;
use dindcheck::profile::Profiles;
use serde::Deserialize;

#[path = "dropin/volumes.rs"]
mod volumes;

const TABLE: &str = include_str!("dropin/table.yaml");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages/coming-from-docker-dind.md");
const JSON: &str = "/etc/docker/daemon.json";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// What stands behind the image's name.
    given: String,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    /// daemon.json.
    #[serde(default)]
    json: Option<String>,
    #[serde(default = "newest")]
    engine: String,
    /// What the official entrypoint puts before the user's words.
    official: Official,
    mark: Mark,
    /// What comes of it with ours, where that is not the same.
    #[serde(default)]
    ours: Option<String>,
    /// Why it is not the same.
    #[serde(default)]
    why: Option<String>,
    /// Whether the image is docker:dind-rootless, whose user has the number 1000 and this home.
    #[serde(default)]
    rootless: bool,
    /// Whether it is run on an engine too (tests/nested/dropin.rs).
    #[serde(default)]
    real: bool,
}

impl Row {
    fn run(&self) -> &str {
        self.variables.get("XDG_RUNTIME_DIR").map_or("/run/user/1000", String::as_str)
    }

    /// Where its daemon has what root's has (moby pkg/homedir).
    fn place(&self, path: &str) -> String {
        let places = [
            ("/var/run/", self.run()),
            ("/run/", self.run()),
            ("/var/lib/", "/home/rootless/.local/share"),
            ("/etc/", "/home/rootless/.config"),
        ];
        let own = places.iter().find_map(|(root, own)| Some(format!("{own}/{}", path.strip_prefix(root)?)));
        own.filter(|_| self.rootless).unwrap_or_else(|| path.to_owned())
    }

    fn json_path(&self) -> String {
        self.place(JSON)
    }

    /// The variables of RootlessKit.
    fn kit(&self, name: &str) -> Option<String> {
        self.variables.get(&format!("DOCKERD_ROOTLESS_ROOTLESSKIT_{name}")).cloned()
    }
}

fn newest() -> String {
    "28.5.2".to_owned()
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
enum Official {
    /// `dockerd`, a socket, 2376, and the flags about TLS.
    Tls,
    /// `dockerd`, a socket and 2375.
    Plain,
    /// Nothing: the words are the daemon's command line.
    Whole,
    /// Another command, by way of docker-entrypoint.sh.
    Command,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
enum Mark {
    Same,
    Better,
    Different,
}

impl Mark {
    /// What the page says of our side.
    fn cell(self, here: &str) -> String {
        match self {
            Self::Same => "the same".to_owned(),
            Self::Better => format!("**better:** {here}"),
            Self::Different => format!("**different:** {here}"),
        }
    }
}

#[derive(PartialEq, Eq, Debug)]
enum Outcome {
    /// A daemon runs.
    Daemon(Meaning),
    /// It ends with an error.
    Refused(String),
    /// The daemon answers a question and ends.
    Answers(String),
    /// Another program is run.
    Runs(String),
    /// We do something ourselves.
    Own(String),
}

/// What the daemon makes of its command line and its file.
#[derive(PartialEq, Eq, Debug)]
struct Meaning {
    addresses: BTreeSet<String>,
    tls: String,
    rest: Vec<String>,
    kit: Option<Kit>,
}

/// What RootlessKit is told (RootlessKit cmd/rootlesskit/main.go); where it keeps its state, and what it copies, is the
/// same or no user's matter.
#[derive(PartialEq, Eq, Debug, Default)]
struct Kit {
    network: String,
    mtu: String,
    port_driver: String,
    has_hosts_loopback: bool,
    publishes: BTreeSet<String>,
    rest: Vec<String>,
}

impl Kit {
    fn of(words: &[String]) -> Self {
        let mut kit = Self { has_hosts_loopback: true, ..Self::default() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.split_once('=') {
                Some(("--net", value)) => value.clone_into(&mut kit.network),
                Some(("--mtu", value)) => value.clone_into(&mut kit.mtu),
                Some(("--port-driver", value)) => value.clone_into(&mut kit.port_driver),
                Some(("--state-dir" | "--copy-up" | "--propagation", _)) => {}
                _ if word == "--disable-host-loopback" => kit.has_hosts_loopback = false,
                _ if word == "-p" => kit.publishes.extend(words.next().cloned()),
                _ => kit.rest.push(word.clone()),
            }
        }
        kit
    }

    /// As dockerd-entrypoint.sh starts it; `port` is its own, published where it gives the daemon's addresses.
    fn official(row: &Row, port: Option<u16>) -> Self {
        let mut line = format!(
            "--net={} --mtu={} --disable-host-loopback --port-driver=builtin {}",
            row.kit("NET").unwrap_or_else(|| "slirp4netns".to_owned()),
            row.kit("MTU").unwrap_or_else(|| "1500".to_owned()),
            row.kit("FLAGS").unwrap_or_default(),
        );
        line += &port.map(|port| format!(" -p 0.0.0.0:{port}:{port}/tcp")).unwrap_or_default();
        Self::of(&words(&line))
    }

    fn ours(row: &Row, configuration: &Configuration) -> Self {
        let environment = rootless::Environment {
            mtu: row.kit("MTU"),
            port_driver: row.kit("PORT_DRIVER"),
            state: row.kit("STATE_DIR"),
            disable_host_loopback: row.kit("DISABLE_HOST_LOOPBACK"),
            flags: row.kit("FLAGS"),
        };
        let untold = || FactError::new("read", "/x", "of no matter here");
        let facts = Rootless {
            inside: false,
            uid: 1000,
            user: None,
            path: String::new(),
            rootlesskit: Some("rootlesskit".to_owned()),
            mappers: BTreeMap::new(),
            network: (row.kit("NET").unwrap_or_else(|| "slirp4netns".to_owned()), None),
            tun: None,
            uids: Err(untold()),
            gids: Err(untold()),
            no_new_privs: false,
            settings: Vec::new(),
            outside: 1,
            directories: Vec::new(),
            attempts: Err(untold()),
        };
        let mut kit = Self::of(&rootless::command(&facts, &environment, row.run())[1..]);
        for port in rootless::ports(&facts, &environment, configuration) {
            let port = serde_json::to_value(port).unwrap();
            let [host, outer, inner] = ["parentIP", "parentPort", "childPort"].map(|key| port[key].clone());
            kit.publishes.insert(format!("{}:{outer}:{inner}/tcp", host.as_str().unwrap()));
        }
        kit
    }
}

impl fmt::Display for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let publishes: Vec<&str> = self.publishes.iter().map(String::as_str).collect();
        write!(f, "RootlessKit with {}, MTU {}, port driver {}", self.network, self.mtu, self.port_driver)?;
        match publishes.as_slice() {
            [] => f.write_str(", publishes nothing by itself")?,
            some => write!(f, ", publishes {}", some.join(", "))?,
        }
        if self.has_hosts_loopback {
            f.write_str(", with the host's loopback")?;
        }
        if self.rest.is_empty() { Ok(()) } else { write!(f, ", {}", self.rest.join(" ")) }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon(meaning) => {
                let addresses: Vec<&str> = meaning.addresses.iter().map(String::as_str).collect();
                write!(f, "listens on {}", addresses.join(", "))?;
                let tls = (meaning.addresses.iter().any(|address| address.starts_with("tcp"))).then_some(&meaning.tls);
                tls.map_or(Ok(()), |tls| write!(f, "; {tls}"))?;
                if !meaning.rest.is_empty() {
                    write!(f, "; {}", meaning.rest.join(" "))?;
                }
                meaning.kit.as_ref().map_or(Ok(()), |kit| write!(f, "; {kit}"))
            }
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Answers(words) => write!(f, "the daemon answers {words}"),
            Self::Runs(words) => write!(f, "runs {words}"),
            Self::Own(what) => f.write_str(what),
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn read(row: &Row, given: &[String], json: Option<&str>, environment: &Environment) -> Result<Configuration, String> {
    let version = row.engine.parse().unwrap();
    let own = row.json_path();
    let file = |path: &str| Ok(json.filter(|_| path == own || path.contains("dindcheck")).map(str::to_owned));
    Configuration::read(Sources {
        given,
        added: &[],
        environment,
        defaults: &Defaults::placed(|path| row.place(path)),
        version: Some(&version),
        read: &file,
    })
    .map_err(|error| error.to_string().replace("/run/dindcheck/daemon.json", &own))
}

/// What a daemon does that is started so.
fn daemon(row: &Row, line: &[String], json: Option<&str>, kit: impl Fn() -> Kit) -> Outcome {
    let whole = [&["dockerd".to_owned()], line].concat();
    let environment = Environment { driver: row.variables.get("DOCKER_DRIVER").cloned(), ..Environment::default() };
    let configuration = match read(row, &whole, json, &environment) {
        Ok(configuration) => configuration,
        Err(why) => return Outcome::Refused(why),
    };
    if configuration::is_question(&whole) {
        let asked = line.iter().filter(|word| ["--version", "-v", "--help", "--validate"].contains(&word.as_str()));
        return Outcome::Answers(asked.cloned().collect::<Vec<_>>().join(" "));
    }
    if let Some(problem) = configuration.problems.first() {
        return Outcome::Refused(match problem {
            Problem::Word(text) => text.clone(),
            Problem::Argument(word) => format!("no arguments are taken: {word}"),
            Problem::UnknownKey(key) => format!("unknown key {key}"),
            Problem::Twice(key) => format!("{key} is a flag and a key"),
            Problem::Value(flag, value) => format!("{value} for --{flag}"),
        });
    }
    let files = configuration.tls_files();
    let certificate = files.certificate.unwrap_or("~/.docker/cert.pem");
    let tls = match configuration.tls() {
        None => "open, after a wait".to_owned(),
        Some(tls) if !tls.on => "open".to_owned(),
        Some(tls) if tls.verify => {
            format!("TLS for clients of {}, with {certificate}", files.ca.unwrap_or("~/.docker/ca.pem"))
        }
        Some(_) => format!("TLS for every client, with {certificate}"),
    };
    let counts = |name: &str| !["host", "config-file"].contains(&name) && !name.starts_with("tls");
    let mut rest: Vec<String> = Vec::new();
    for setting in configuration.settings.iter().filter(|setting| counts(&setting.name)) {
        let text = format!("{}={}", setting.name, setting.value);
        // Of a flag with one value the last one counts.
        if configuration.list(&setting.name).last() == Some(&setting.value) || !rest.contains(&text) {
            rest.push(text);
        }
    }
    let addresses = configuration.listens().iter().map(|host| host.address.to_string()).collect();
    Outcome::Daemon(Meaning { addresses, tls, rest, kit: row.rootless.then(kit) })
}

fn official(row: &Row) -> Outcome {
    let given = words(&row.given);
    let host = row.variables.get("DOCKER_HOST").filter(|host| host.starts_with("unix://"));
    let socket = host.cloned().unwrap_or_else(|| format!("unix://{}", row.place("/var/run/docker.sock")));
    let socket = format!("--host={socket}");
    let before = match row.official {
        Official::Tls => words(&format!(
            "{socket} --host=tcp://0.0.0.0:2376 --tlsverify --tlscacert /certs/server/ca.pem --tlscert \
             /certs/server/cert.pem --tlskey /certs/server/key.pem"
        )),
        Official::Plain => words(&format!("{socket} --host=tcp://0.0.0.0:2375")),
        Official::Whole => return daemon(row, &given[1..], row.json.as_deref(), || Kit::official(row, None)),
        Official::Command => return Outcome::Runs(row.given.clone()),
    };
    let port = if row.official == Official::Tls { 2376 } else { 2375 };
    daemon(row, &[before, given].concat(), row.json.as_deref(), || Kit::official(row, Some(port)))
}

fn ours(row: &Row) -> Outcome {
    let line = [words("dindcheck --fix"), words(&row.given)].concat();
    let cli = match arguments::parse(line.into_iter().map(Into::into)) {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => return Outcome::Own("ours: its own version or help".to_owned()),
        Err(error) => return Outcome::Refused(error.to_string().lines().next().unwrap_or_default().to_owned()),
    };
    if cli.command.is_some() {
        return Outcome::Own(format!("ours: the command {}", row.given));
    }
    if !configuration::is_for_daemon(&cli.run.args) {
        return Outcome::Runs(cli.run.args.join(" "));
    }
    let environment = Environment::of(|name| row.variables.get(name).cloned());
    let given = cli.run.for_daemon();
    let configuration = match read(row, &given, row.json.as_deref(), &environment) {
        Ok(configuration) => configuration,
        Err(why) => return Outcome::Refused(why),
    };
    let profile = Profiles::load(None).unwrap().resolve(&row.engine.parse().unwrap()).unwrap();
    // The addresses as they are listened on: by the daemon there, and for the daemon here.
    let listens = configuration.listens();
    let mut hosts: Vec<String> = listens.iter().map(|host| host.address.to_string()).collect();
    let is_missing = !listens.iter().any(|host| host.unix().is_some());
    hosts.splice(..0, is_missing.then(|| format!("unix://{}", configuration.socket())));
    let told = Overrides {
        hosts: is_missing.then_some(&hosts[..]),
        copy: Some("/run/dindcheck/daemon.json"),
        ..Overrides::default()
    };
    let line = configuration.compose(&profile.launch_command.value, &told).unwrap();
    let json = line.copy.map(|copy| copy.content).or_else(|| row.json.clone());
    daemon(row, &line.words[1..], json.as_deref(), || Kit::ours(row, &configuration))
}

fn rows() -> Vec<Row> {
    serde_yaml::from_str(TABLE).expect("the table is sound")
}

#[test]
fn what_comes_of_each_invocation_is_what_the_table_says() {
    let rows = rows();
    assert!(rows.len() >= 80, "{}", rows.len());
    assert!(rows.iter().filter(|row| row.real).all(|row| row.mark != Mark::Different));
    let mut wrong = Vec::new();
    for row in &rows {
        let (there, here) = (official(row), ours(row));
        let told = match row.mark {
            Mark::Same => there == here && row.ours.is_none() && row.why.is_none(),
            Mark::Better | Mark::Different => {
                there != here && row.ours.as_deref() == Some(here.to_string().as_str()) && row.why.is_some()
            }
        };
        if !told {
            let (json, variables) = (row.json.as_deref().unwrap_or_default(), &row.variables);
            wrong.push(format!("{} {variables:?} {json}\n  there: {there}\n  here:  {here}", row.given));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn no_tcp_address_is_open_that_the_official_entrypoint_would_not_open() {
    for row in rows() {
        let (Outcome::Daemon(there), Outcome::Daemon(here)) = (official(&row), ours(&row)) else { continue };
        let is_open = |meaning: &Meaning| meaning.tls.starts_with("open");
        for address in here.addresses.iter().filter(|address| address.starts_with("tcp")) {
            assert!(there.addresses.contains(address), "{}: {address}", row.given);
            assert!(!is_open(&here) || is_open(&there), "{}: {address}", row.given);
        }
    }
}

#[test]
fn the_page_has_the_table() {
    let page = std::fs::read_to_string(PAGE).unwrap_or_default();
    let start = "<!-- the table: written by `DINDCHECK_UPDATE_PAGE=1 cargo test --test dropin` -->\n";
    let head = page.split(start).next().unwrap_or_default();
    let between = "\nWhat comes of what the volumes hold, in the directory of `DOCKER_TLS_CERTDIR`; both sides are run, ours and what the \
                   official entrypoint has openssl do:\n";
    let text = format!("{head}{start}{}{between}{}", table(), volumes::table());
    if std::env::var_os("DINDCHECK_UPDATE_PAGE").is_some() {
        std::fs::write(PAGE, &text).expect("a page");
    }
    assert!(page == text, "src/pages/coming-from-docker-dind.md is not of the table");
}

fn table() -> String {
    let mut text = String::from(
        "\n| arguments | variables, daemon.json | docker:dind | dindcheck | why |\n| --- | --- | --- | --- | --- |\n",
    );
    let code = |text: &str| if text.is_empty() { "none".to_owned() } else { format!("`{}`", text.replace('|', "\\|")) };
    for row in rows() {
        let there = official(&row);
        let mut around: Vec<String> = row.variables.iter().map(|(name, value)| format!("`{name}={value}`")).collect();
        around.extend(row.json.as_deref().map(code));
        if row.engine != newest() {
            around.push(format!("Docker {}", row.engine));
        }
        if row.rootless {
            around.push("dind-rootless".to_owned());
        }
        let here = row.ours.as_deref().unwrap_or_default();
        let here = row.mark.cell(here);
        let (given, why) = (code(&row.given), row.why.unwrap_or_default());
        text += &format!("| {given} | {} | {there} | {here} | {why} |\n", around.join(", "));
    }
    text
}
