//! What the daemon itself says of its configuration, which it is asked for before it is started.

use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::configuration::Configuration;
use super::engine::{find, search_path};
use super::{Fact, FactError, Root};
use crate::configuration::{Overrides, flags};
use crate::probe::background::{self, Background};
use crate::process;

/// How long the daemon may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// The flags about TLS.
const TLS: [&str; 5] = ["tls", "tlsverify", "tlscacert", "tlscert", "tlskey"];

/// What is configured, and what came of asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validation {
    /// The command that asks; empty: there was nothing to ask about.
    pub command: String,
    /// The answer.
    pub answer: Answer,
    /// Whom root of the containers is to be (--userns-remap); `None` if they are not mapped.
    #[serde(default)]
    pub remap: Option<Remap>,
}

/// The user that root of the containers is mapped to, as the daemon will look for it (moby daemon/daemon_unix.go:
/// parseRemappedRoot). Before 25.0 `--validate` does not look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remap {
    /// The name or the number that is looked for.
    pub user: String,
    /// Its name in /etc/passwd.
    pub name: Option<String>,
    /// The group that is looked for.
    pub group: String,
    /// Whether /etc/group has it.
    pub has_group: bool,
    /// Whether the daemon adds the user where there is none.
    pub is_added: bool,
    /// The program with which it does; `None` if it is not in PATH.
    pub adder: Option<String>,
    /// Whether there may be users and groups that these files do not have (nsswitch.conf(5)).
    pub has_others: bool,
    /// The files in which the user has no range.
    pub without_range: Vec<String>,
}

/// The daemon's error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Nothing against it, or nothing is configured.
    Accepted,
    /// It would not start; its reason.
    Refused(String),
    /// It cannot validate.
    NotAsked,
}

/// Starts asking; `daemon` are the words that start it, and `can_validate` is whether this version has `--validate`.
pub(super) fn start(
    root: &Root,
    daemon: &[String],
    configuration: &Fact<Configuration>,
    can_validate: bool,
) -> Background<Validation> {
    let (root, daemon, configuration) = (root.clone(), daemon.to_vec(), configuration.clone());
    background::start(move || read(&root, &daemon, &configuration?, can_validate))
}

fn read(root: &Root, daemon: &[String], configuration: &Configuration, can_validate: bool) -> Fact<Validation> {
    if !configuration.file.exists && configuration.settings.is_empty() && configuration.problems.is_empty() {
        return Ok(Validation { command: String::new(), answer: Answer::Accepted, remap: None });
    }
    if !root.is_live() {
        return Err(FactError::new("ask", "the daemon", "this is a captured machine"));
    }
    let path = search_path();
    let name = daemon.first().ok_or_else(|| FactError::new("find", "the daemon", "it has no name"))?;
    let program = find(root, &path, name).ok_or_else(|| FactError::new("find", name, format!("not in {path}")))?;
    // Certificates that are made just before the start are not there yet, and not what is asked about.
    let missing = configuration.tls_files().certificate.is_some_and(|path| !root.exists(path));
    // A copy of the file, where the daemon is to get one, comes from a pipe: looking leaves no trace.
    let without: &[&str] = if missing { &TLS } else { &[] };
    let overrides = Overrides { without, copy: Some("/dev/stdin"), ..Overrides::default() };
    let asking: Vec<String> = daemon.iter().cloned().chain(can_validate.then(|| "--validate".to_owned())).collect();
    let composed =
        configuration.compose(&asking, &overrides).map_err(|error| FactError::new("ask", "the daemon", error))?;
    let words: Vec<String> = composed.words.iter().map(|word| flags::shown(word)).collect();
    let command_line = words.join(" ");
    let remap = configuration.userns_remap().map(|asked| remap(root, asked, &path));
    if !can_validate {
        return Ok(Validation { command: command_line, answer: Answer::NotAsked, remap });
    }
    let copy = composed.copy.map(|copy| copy.content);
    let mut command = Command::new(&program);
    command.args(&composed.words[1..]);
    process::clean_signals(&mut command);
    let output = process::output_until(&mut command, copy.as_deref().map(str::as_bytes), Instant::now() + DEADLINE)
        .map_err(|error| FactError::new("run", command_line.clone(), error))?;
    let answer =
        if output.status.success() { Answer::Accepted } else { Answer::Refused(reason(&output.stderr.text())) };
    Ok(Validation { command: command_line, answer, remap })
}

/// The user and the group of `--userns-remap`: a name or a number, and another one behind a colon, or `default`.
fn remap(root: &Root, asked: &str, path: &str) -> Remap {
    let is_added = asked == "default";
    let (user, group) = asked.split_once(':').unwrap_or((asked, asked));
    let [user, group] = [user, group].map(|own| if is_added { "dockremap" } else { own }.to_owned());
    let text = |path: &str| root.read(path).unwrap_or_default();
    // Both files have the name first and the number third (passwd(5), group(5)).
    let find_in = |file: &str, wanted: &str| -> Option<(String, String)> {
        text(file).lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, id) = (fields.next()?, fields.nth(1)?);
            (name == wanted || id == wanted).then(|| (name.to_owned(), id.to_owned()))
        })
    };
    let found = find_in("/etc/passwd", &user);
    let is_without = |file: &&str| {
        let owner = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        let owners: Vec<String> = text(file).lines().map(owner).collect();
        found.as_ref().is_some_and(|(name, id)| !owners.contains(name) && !owners.contains(id))
    };
    let without_range = ["/etc/subuid", "/etc/subgid"].iter().filter(|file| is_without(file));
    let services = text("/etc/nsswitch.conf");
    let databases = services
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| ["passwd", "group"].contains(&name.trim()));
    let has_others = databases
        .flat_map(|(_, services)| services.split_whitespace())
        .any(|service| !["files", "compat", "systemd"].contains(&service));
    Remap {
        has_group: find_in("/etc/group", &group).is_some(),
        without_range: without_range.map(|file| (*file).to_owned()).collect(),
        name: found.map(|(name, _)| name),
        adder: ["adduser", "useradd"].iter().find_map(|name| find(root, path, name)),
        user,
        group,
        is_added,
        has_others,
    }
}

/// The first line without the client library's `Status: `; after an unknown flag the whole help follows.
fn reason(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.trim().strip_prefix("Status: ").unwrap_or(line.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_that_root_becomes_is_looked_for_as_the_daemon_does() {
        let directory = tempfile::tempdir().unwrap();
        let etc = directory.path().join("etc");
        std::fs::create_dir_all(&etc).unwrap();
        for (file, text) in [
            ("passwd", "root:x:0:0::/:\nfoo:x:7:8::/:\nbar:x:9:9::/:\n"),
            ("group", "root:x:0:\nfoo:x:8:\n"),
            ("subuid", "foo:1:2\n9:1:2\n"),
            ("subgid", "foo:1:2\n"),
            ("nsswitch.conf", "hosts: dns\npasswd: files systemd\n"),
        ] {
            std::fs::write(etc.join(file), text).unwrap();
        }
        let root = Root::new(directory.path());
        let told = |asked: &str| {
            let remap = remap(&root, asked, "/bin");
            assert_eq!((remap.adder, remap.has_others), (None, false));
            (remap.name.unwrap_or_default(), remap.group, remap.has_group, remap.without_range.join(" "))
        };
        let is = |name: &str, group: &str, has: bool, without: &str| {
            (name.to_owned(), group.to_owned(), has, without.to_owned())
        };
        assert_eq!(told("foo"), is("foo", "foo", true, ""));
        assert_eq!(told("7"), is("foo", "7", false, ""));
        assert_eq!(told("7:8"), is("foo", "8", true, ""));
        assert_eq!(told("bar:foo"), is("bar", "foo", true, "/etc/subgid"));
        assert_eq!(told("default"), is("", "dockremap", false, ""));
        std::fs::write(etc.join("nsswitch.conf"), "group: files sss\n").unwrap();
        assert!(remap(&root, "foo", "/bin").has_others);
    }

    /// What comes of asking a program with this configuration, in words: the command, and the answer or the error.
    fn asked(program: &str, given: &[&str], file: Option<&str>, can_validate: bool) -> (String, String) {
        use crate::configuration::{Defaults, Environment, Sources};
        let environment =
            Environment { tls_directory: file.map(|_| "/nonexistent".to_owned()), ..Environment::default() };
        let configuration = Configuration::read(Sources {
            given: &given.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(),
            added: &[],
            environment: &environment,
            defaults: &Defaults::default(),
            version: None,
            read: &|_| Ok(file.map(str::to_owned)),
        });
        match read(&Root::new("/"), &[program.to_owned()], &configuration.unwrap(), can_validate) {
            Ok(Validation { command, answer, .. }) => (command, format!("{answer:?}")),
            Err(error) => (String::new(), error.to_string()),
        }
    }

    #[test]
    fn the_daemon_is_asked_with_its_own_flags_and_leaves_no_trace() {
        let is = |command: &str, answer: &str| (command.to_owned(), answer.to_owned());
        let accepted = |command: &str| is(command, "Accepted");
        assert_eq!(asked("echo", &[], None, true), accepted(""), "there is nothing to ask about");
        assert_eq!(asked("echo", &["-D"], None, true), accepted("echo --validate -D"));
        assert_eq!(asked("false", &["-D"], None, true), is("false --validate -D", "Refused(\"\")"));
        assert_eq!(asked("echo", &["-D"], None, false), is("echo -D", "NotAsked"));
        let (command, error) = asked("no-such-daemon", &["-D"], None, true);
        assert!(command.is_empty() && error.starts_with("cannot find no-such-daemon: not in "), "{error}");
        // Certificates that are made just before the start are not asked about.
        let tls = |certificate: &str| {
            let flags = ["--tlsverify", "--tlscacert=/a", &format!("--tlscert={certificate}"), "--tlskey=/k", "-D"];
            asked("echo", &flags, None, true)
        };
        assert_eq!(tls("/nonexistent/cert.pem"), accepted("echo --validate -D"));
        assert_eq!(
            tls("/dev/null"),
            accepted("echo --validate --tlsverify --tlscacert=/a --tlscert=/dev/null --tlskey=/k -D")
        );
        // What flags of ours say goes from the file: a copy of it comes from a pipe.
        let file = Some(r#"{"tls": true, "tlsverify": true, "hosts": [], "mtu": 1400}"#);
        assert_eq!(asked("echo", &["-D"], file, true), accepted("echo --validate --config-file=/dev/stdin -D"));
    }

    #[test]
    fn a_captured_machine_s_daemon_is_asked_nothing() {
        let told =
            |given: &[&str]| read(&Root::new("/captured"), &["echo".to_owned()], &Configuration::of_words(given), true);
        let nothing = Validation { command: String::new(), answer: Answer::Accepted, remap: None };
        assert_eq!(told(&[]), Ok(nothing));
        assert_eq!(told(&["-D"]), Err(FactError::new("ask", "the daemon", "this is a captured machine")));
    }

    #[test]
    fn the_reason_is_one_line() {
        assert_eq!(reason("Status: unknown flag: --x\nSee 'dockerd --help'.\n\nUsage"), "unknown flag: --x");
        assert_eq!(reason(""), "");
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in "(\\PC|[\n ,-])*") {
            let _ = reason(&text);
        }
    }
}
