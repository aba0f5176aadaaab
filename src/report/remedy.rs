//! What is to be done about a finding, by where it is done; and all of it together, as lines to paste.
//!
//! A check writes a remedy as a line of text, whose first words tell what kind it is ([`Remedy::parse`]).

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::document::Item;
use crate::finding::{Outcome, Severity};
use crate::foreign;
use crate::profile::Outer;
use crate::profile::outer::Kind;

/// One remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Options of the command that runs the outer container, each with its value: `docker run --privileged -v /x …`.
    Run(Vec<String>),
    /// A line in the words of another outer engine: its title and the line.
    Engine(String, String),
    /// What is to be done in the image: a command of its build, or what has to be installed.
    Image(String),
    /// A command on the host.
    Host(String),
    /// A command in the outer container.
    Here(String),
    /// Flags for the inner daemon.
    Daemon(Vec<String>),
    /// What `dindcheck --fix` does.
    Fix(String),
    /// Anything else, for people alone.
    Words(String),
}

/// How the text of what `--fix` does begins in an [`Item`].
pub(super) const FIX: &str = "--fix: ";

impl Remedy {
    /// Reads the line of a check, and whether it is an alternative to the one before it (`or …`).
    ///
    /// | the line begins with | kind |
    /// |---|---|
    /// | `docker run`, `podman run` | [`Remedy::Run`]: options up to `…`, a bracket, a comma, or the end |
    /// | `start the outer container with --…`, `Run the outer container with --…`, `set NAME=VALUE` | [`Remedy::Run`] |
    /// | the title of an outer engine and a colon | [`Remedy::Engine`], or what the rest is |
    /// | `on the host:`, `on the host,` and a command; `modprobe … on the host` | [`Remedy::Host`] |
    /// | `in the image:`, `install … in the image` | [`Remedy::Image`] |
    /// | `rm `, `umount ` | [`Remedy::Here`] |
    /// | `dindcheck -- `, `start the daemon with ` | [`Remedy::Daemon`] |
    /// | `let dindcheck --fix`, `--fix:` | [`Remedy::Fix`] |
    pub fn parse(text: &str, engines: &[String]) -> (Self, bool) {
        let (text, is_other) = match text.strip_prefix("or ") {
            Some(rest) => (rest.strip_prefix("on ").map_or(rest.to_owned(), |rest| format!("on {rest}")), true),
            None => (text.to_owned(), false),
        };
        (Self::of(&text, engines), is_other)
    }

    fn of(text: &str, engines: &[String]) -> Self {
        let words = || Self::Words(text.to_owned());
        let non_empty = |options: Vec<String>, kind: fn(Vec<String>) -> Self| {
            if options.is_empty() { words() } else { kind(options) }
        };
        for engine in engines {
            if let Some(rest) = text.strip_prefix(engine.as_str()).and_then(|rest| rest.strip_prefix(": ")) {
                return match Self::of(rest, &[]) {
                    Self::Words(rest) => Self::Engine(engine.clone(), rest),
                    typed => typed,
                };
            }
        }
        if let Some(rest) = strip_any(text, &["docker run ", "podman run "]) {
            return non_empty(options(rest), Self::Run);
        }
        if let Some(rest) = strip_any(text, &["start the outer container with ", "Run the outer container with "]) {
            return non_empty(options(rest), Self::Run);
        }
        if let Some(rest) = text.strip_prefix("set DOCKER_") {
            let pair = rest.split([':', ' ']).next().unwrap_or(rest);
            return Self::Run(vec![format!("-e DOCKER_{pair}")]);
        }
        if let Some(rest) = strip_any(text, &["on the host: ", "on the host, modprobe "]) {
            let command = rest.split(", or let").next().unwrap_or(rest).split(" (").next().unwrap_or(rest);
            let command = command.split(", where").next().unwrap_or(command);
            let modprobe = if text.starts_with("on the host, ") { "modprobe -a " } else { "" };
            return Self::Host(format!("{modprobe}{command}"));
        }
        if let Some((modules, _)) = text.strip_prefix("modprobe ").and_then(|rest| rest.split_once(" on the host")) {
            return Self::Host(format!("modprobe -a {modules}"));
        }
        if let Some(rest) = text.strip_prefix("in the image: ") {
            return Self::Image(rest.to_owned());
        }
        if let Some(rest) = text.strip_prefix("install in the image: ") {
            return Self::Image(format!("install {}", rest.split(" (").next().unwrap_or(rest)));
        }
        if let Some((what, _)) = text.strip_prefix("install ").and_then(|rest| rest.split_once(" in the image")) {
            return Self::Image(format!("install {}", what.replace(", ", " ")));
        }
        if text.starts_with("rm /") || text.starts_with("umount /") {
            return Self::Here(text.split(", in").next().unwrap_or(text).to_owned());
        }
        if let Some(rest) = strip_any(text, &["dindcheck -- ", "start the daemon with "]) {
            return match options(rest) {
                // What stands in capitals is for the reader to put in.
                flags if flags.iter().any(|flag| flag.ends_with(" ADDRESS") || flag.ends_with(" with")) => words(),
                flags => non_empty(flags, Self::Daemon),
            };
        }
        if let Some(rest) = strip_any(text, &[FIX, "let dindcheck --fix "]) {
            return Self::Fix(rest.to_owned());
        }
        words()
    }
}

fn strip_any<'t>(text: &'t str, prefixes: &[&str]) -> Option<&'t str> {
    prefixes.iter().find_map(|prefix| text.strip_prefix(prefix))
}

/// Options with their values, up to the first word that is neither.
fn options(text: &str) -> Vec<String> {
    const SWITCHES: [&str; 1] = [PRIVILEGED];
    let mut found: Vec<String> = Vec::new();
    let mut wants_value = false;
    for word in text.split(' ') {
        let bare = word.trim_end_matches([',', ';', ':', '…']);
        let is_end = bare.len() < word.len();
        match found.last_mut() {
            Some(last) if wants_value && !bare.is_empty() && !bare.starts_with('(') => {
                last.push(' ');
                last.push_str(bare);
                wants_value = false;
            }
            _ if bare.starts_with('-') && bare.len() > 1 => {
                wants_value = !bare.contains('=') && !SWITCHES.contains(&bare);
                found.push(bare.to_owned());
            }
            _ => break,
        }
        if is_end {
            break;
        }
    }
    found
}

/// All that is to be done, each thing once, in the order of what asked for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cure {
    /// The command that runs outer containers, if its options are known.
    program: Option<&'static str>,
    /// Whether it has `--privileged` in any case.
    is_privileged: bool,
    run: Vec<String>,
    daemon: Vec<String>,
    engine: Vec<(String, String)>,
    image: Vec<String>,
    host: Vec<String>,
    here: Vec<String>,
    fix: Vec<String>,
}

const PRIVILEGED: &str = "--privileged";

/// Options of an outer container that `--privileged` makes needless.
const IN_PRIVILEGED: [&str; 3] = ["--cap-add ", "--security-opt ", "--device "];

impl Cure {
    /// Of a container that this engine (an id of `profiles/outer`) runs, `None` if it is not known; and whether a nested
    /// daemon in it needs `--privileged`, which is then part of the command: one that was started so may be copied.
    pub fn new(engine: Option<&str>, is_privileged: bool) -> Self {
        let program = match engine {
            None | Some("docker" | "sysbox" | "gvisor" | "wsl2") => Some("docker run"),
            Some("podman" | "podman-rootless") => Some("podman run"),
            Some(_) => None,
        };
        Self { program, is_privileged: is_privileged && engine != Some("sysbox"), ..Self::default() }
    }

    /// Adds what cures the items of one root; gives the remedies that are for people alone, if none is for a machine.
    pub fn add(&mut self, items: &[&Item], engines: &[String]) -> Vec<String> {
        let mut words = Vec::new();
        let mut is_cured = false;
        for item in items {
            let parsed: Vec<(Remedy, bool)> = item.remedy.iter().map(|text| Remedy::parse(text, engines)).collect();
            for title in item.remedy.iter().filter_map(|text| text.strip_prefix(FIX)) {
                push(&mut self.fix, title.to_owned());
            }
            // The first that a machine can do; what is of the same kind, and no alternative to it, is needed too.
            let usable = |remedy: &Remedy| match remedy {
                Remedy::Words(_) | Remedy::Fix(_) => false,
                Remedy::Run(_) => self.program.is_some(),
                _ => true,
            };
            let Some((first, _)) = parsed.iter().find(|(remedy, _)| usable(remedy)) else {
                let own = parsed.iter().zip(&item.remedy).find(|((remedy, _), _)| !matches!(remedy, Remedy::Fix(_)));
                words.extend(own.map(|(_, text)| text.clone()));
                continue;
            };
            let same = parsed.iter().filter(|(remedy, is_other)| {
                std::mem::discriminant(remedy) == std::mem::discriminant(first) && (!is_other || remedy == first)
            });
            let same: Vec<Remedy> = same.map(|(remedy, _)| remedy.clone()).collect();
            same.into_iter().for_each(|remedy| self.put(remedy));
            is_cured = true;
        }
        if is_cured { Vec::new() } else { words }
    }

    fn put(&mut self, remedy: Remedy) {
        match remedy {
            Remedy::Run(options) => options.into_iter().for_each(|option| push(&mut self.run, option)),
            Remedy::Daemon(flags) => flags.into_iter().for_each(|flag| push(&mut self.daemon, flag)),
            Remedy::Engine(title, line) if !self.engine.iter().any(|(_, known)| *known == line) => {
                self.engine.push((title, line));
            }
            Remedy::Image(line) => push(&mut self.image, line),
            Remedy::Host(line) => push(&mut self.host, line),
            Remedy::Here(line) => push(&mut self.here, line),
            Remedy::Engine(..) | Remedy::Fix(_) | Remedy::Words(_) => {}
        }
    }

    /// The whole command that runs the outer container, if that cures anything.
    pub fn command(&self) -> Option<String> {
        let program = self.program.filter(|_| !(self.run.is_empty() && self.daemon.is_empty()))?;
        let is_privileged = self.is_privileged || self.run.iter().any(|option| option == PRIVILEGED);
        let needed = |option: &&String| !(is_privileged && IN_PRIVILEGED.iter().any(|known| option.starts_with(known)));
        let options = self.run.iter().filter(needed).map(String::as_str).filter(|option| *option != PRIVILEGED);
        let switch = if is_privileged { vec![PRIVILEGED] } else { Vec::new() };
        let words =
            [vec![program], switch, options.collect(), vec!["IMAGE"], self.daemon.iter().map(String::as_str).collect()]
                .concat();
        Some(words.join(" "))
    }

    /// The lines to paste, each block with where it belongs.
    pub fn blocks(&self) -> Vec<(String, Vec<String>)> {
        let mut blocks = Vec::new();
        if let Some(command) = self.command() {
            blocks.push(("run it with (beside its other options)".to_owned(), vec![command]));
        }
        let titles: BTreeSet<&String> = self.engine.iter().map(|(title, _)| title).collect();
        for title in titles {
            let lines = self.engine.iter().filter(|(engine, _)| engine == title).map(|(_, line)| line.clone());
            blocks.push((title.clone(), lines.collect()));
        }
        for (place, lines) in
            [("in the image", &self.image), ("on the host", &self.host), ("in the outer container", &self.here)]
        {
            if !lines.is_empty() {
                blocks.push((place.to_owned(), lines.clone()));
            }
        }
        if !self.fix.is_empty() {
            let place = if blocks.is_empty() { "let it mend itself" } else { "or let it mend itself" };
            let fix = format!("dindcheck --fix   # {}", self.fix.join("; "));
            blocks.push((place.to_owned(), vec![fix]));
        }
        blocks
    }
}

/// What to paste about a cause that a log names: its check and its remedy, rendered as those of a finding are, for what is
/// around the engine (ids of places). A step of an image's build has no command line of its own.
pub fn of_cause(check: Option<&str>, remedy: &str, places: &[&str], known: &[Outer]) -> Vec<(String, Vec<String>)> {
    let around: Vec<&Outer> = known.iter().filter(|outer| places.contains(&outer.id.as_str())).collect();
    let engine = around.iter().find(|outer| outer.kind == Kind::Engine).map(|outer| outer.id.as_str());
    let engine = places.iter().find(|place| **place == BUILD_STEP).copied().or(engine);
    let mut item = Item::new("diagnosis", Outcome::Fail, Severity::Blocking, "");
    let others = around.iter().filter(|outer| outer.id != "docker");
    item.remedy = others.filter_map(|outer| Some(format!("{}: {}", outer.title, outer.remedy_of(check?)?))).collect();
    item.remedy.push(remedy.to_owned());
    let titles: Vec<String> = known.iter().map(|outer| outer.title.clone()).collect();
    let mut cure = Cure::new(engine, false);
    // What these are for people alone, the caller has said.
    let _words = cure.add(&[&item], &titles);
    cure.blocks()
}

/// The id of the place that is no engine, and gives no one a command line.
const BUILD_STEP: &str = "build-step";

/// Writes lines to paste, each block below where it belongs.
///
/// # Errors
/// The output cannot be written.
pub fn write_blocks(blocks: &[(String, Vec<String>)], out: &mut dyn Write) -> io::Result<()> {
    for (place, lines) in blocks {
        writeln!(out, "{}:", foreign::defused(place))?;
        for line in lines {
            // Whole, whatever the width: it is for pasting.
            writeln!(out, "  {}", foreign::defused(line))?;
        }
    }
    Ok(())
}

fn push(list: &mut Vec<String>, one: String) {
    if !list.contains(&one) {
        list.push(one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engines() -> Vec<String> {
        vec!["Podman, run by root".to_owned(), "Kubernetes (containerd, CRI-O)".to_owned()]
    }

    fn parse(text: &str) -> Remedy {
        Remedy::parse(text, &engines()).0
    }

    #[test]
    fn the_first_words_tell_what_kind_a_remedy_is() {
        let run = |options: &[&str]| Remedy::Run(options.iter().map(|&option| option.to_owned()).collect());
        for (text, kind) in [
            (
                "docker run --privileged -v /sys/fs/cgroup:/sys/fs/cgroup …",
                run(&["--privileged", "-v /sys/fs/cgroup:/sys/fs/cgroup"]),
            ),
            ("start the outer container with --privileged, and without :ro on /x", run(&["--privileged"])),
            ("start the outer container with --privileged (CAP_NET_ADMIN)", run(&["--privileged"])),
            ("docker run -v /var/lib/docker …: volumes for what the daemon keeps", run(&["-v /var/lib/docker"])),
            ("docker run --pids-limit -1 …, without a low --ulimit nproc", run(&["--pids-limit -1"])),
            ("docker run --tmpfs /run --tmpfs /tmp …", run(&["--tmpfs /run", "--tmpfs /tmp"])),
            ("docker run --cgroupns=private (unified hosts); -v /x", run(&["--cgroupns=private"])),
            ("docker run --cgroupns=private … on a v2 host", run(&["--cgroupns=private"])),
            ("Podman, run by root: podman run --privileged", run(&["--privileged"])),
            ("set DOCKER_TLS_CERTDIR=/certs: certificates are made there", run(&["-e DOCKER_TLS_CERTDIR=/certs"])),
            (
                "Kubernetes (containerd, CRI-O): securityContext: {privileged: true}",
                Remedy::Engine(engines()[1].clone(), "securityContext: {privileged: true}".to_owned()),
            ),
            (
                "on the host: modprobe -a overlay, or let dindcheck --fix load it",
                Remedy::Host("modprobe -a overlay".to_owned()),
            ),
            (
                "on the host, modprobe ip_tables iptable_nat (or nf_tables)",
                Remedy::Host("modprobe -a ip_tables iptable_nat".to_owned()),
            ),
            ("modprobe overlay on the host, or use vfs", Remedy::Host("modprobe -a overlay".to_owned())),
            ("Run the outer container with -v /var/lib/docker (a volume)", run(&["-v /var/lib/docker"])),
            ("or on the host: modprobe ip_set", Remedy::Host("modprobe ip_set".to_owned())),
            ("install iptables in the image", Remedy::Image("install iptables".to_owned())),
            ("install a, b in the image, or put their directory into PATH", Remedy::Image("install a b".to_owned())),
            ("in the image: install -d -o 1000 /x", Remedy::Image("install -d -o 1000 /x".to_owned())),
            ("dindcheck -- --mtu 1450", Remedy::Daemon(vec!["--mtu 1450".to_owned()])),
            ("start the daemon with --ip6tables=false", Remedy::Daemon(vec!["--ip6tables=false".to_owned()])),
            (
                "dindcheck -- --dns ADDRESS, with a server",
                Remedy::Words("dindcheck -- --dns ADDRESS, with a server".to_owned()),
            ),
            ("rm /run/docker.pid", Remedy::Here("rm /run/docker.pid".to_owned())),
            ("or let dindcheck --fix choose", Remedy::Fix("choose".to_owned())),
            ("--fix: choose a network", Remedy::Fix("choose a network".to_owned())),
            ("use Docker 20.10 or later inside", Remedy::Words("use Docker 20.10 or later inside".to_owned())),
        ] {
            assert_eq!(parse(text), kind, "{text}");
        }
        assert!(Remedy::parse("or docker run --sysctl a=1 …", &[]).1);
    }

    fn cure(engine: Option<&str>, remedies: &[&[&str]]) -> (Cure, Vec<String>) {
        let mut cure = Cure::new(engine, true);
        let mut words = Vec::new();
        for remedy in remedies {
            let mut item = Item::new("x", crate::finding::Outcome::Fail, crate::finding::Severity::Blocking, "x");
            item.remedy = remedy.iter().map(|&text| text.to_owned()).collect();
            words.extend(cure.add(&[&item], &engines()));
        }
        (cure, words)
    }

    #[test]
    fn one_command_has_the_options_of_all_once_and_no_alternative() {
        let (cure, words) = cure(
            Some("docker"),
            &[
                &["docker run -v /var/lib/docker …: volumes", "or let dindcheck --fix mount one", "--fix: mount one"],
                &["docker run --cap-add NET_ADMIN …"],
                &["start the outer container with --privileged", "or docker run --cap-add SYS_ADMIN …"],
                &["dindcheck -- --mtu 1450", "or let dindcheck --fix add them"],
                &["install nft in the image"],
                &["use another kernel"],
            ],
        );
        assert_eq!(
            cure.blocks(),
            [
                (
                    "run it with (beside its other options)".to_owned(),
                    vec!["docker run --privileged -v /var/lib/docker IMAGE --mtu 1450".to_owned()]
                ),
                ("in the image".to_owned(), vec!["install nft".to_owned()]),
                ("or let it mend itself".to_owned(), vec!["dindcheck --fix   # mount one".to_owned()]),
            ]
        );
        assert_eq!(words, ["use another kernel"]);
    }

    #[test]
    fn another_engine_gets_its_own_words() {
        let pod = "Kubernetes (containerd, CRI-O): securityContext: {privileged: true}";
        let (in_pod, _) = cure(Some("kubernetes"), &[&[pod, "start the outer container with --privileged"], &[pod]]);
        assert_eq!(
            in_pod.blocks(),
            [("Kubernetes (containerd, CRI-O)".to_owned(), vec!["securityContext: {privileged: true}".to_owned()])]
        );
        let (podman, _) = cure(Some("podman"), &[&["Podman, run by root: podman run --privileged"]]);
        assert_eq!(podman.command().unwrap(), "podman run --privileged IMAGE");
    }

    #[test]
    fn the_place_of_a_log_decides_the_words() {
        let known = crate::profile::outers().unwrap();
        let remedy = "Run the outer container with --privileged, or under another runtime";
        let of = |places: &[&str]| of_cause(Some("privileges.capabilities"), remedy, places, &known);
        assert_eq!(of(&[])[0].1, ["docker run --privileged IMAGE"]);
        assert_eq!(of(&["podman"])[0].1, ["podman run --privileged IMAGE"]);
        let pod = of(&["kubernetes"]);
        assert!(pod[0].0.starts_with("Kubernetes"), "{pod:?}");
        assert_eq!(pod[0].1, ["securityContext: {privileged: true}"]);
        assert!(!format!("{:?}", of(&["lxc"])).contains("docker run"));
        // No command line reaches a step of a build.
        assert_eq!(of(&["build-step"]), []);
    }
}
