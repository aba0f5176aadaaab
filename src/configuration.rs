//! What the daemon is told: its flags, its configuration file and the variables of docker:dind, read once and by the
//! daemon's own rules.
//!
//! Everything that wants to know an option of the daemon's asks a [`Configuration`], and the daemon's command line is
//! composed from it. The flags themselves are data (`profiles/flags.yaml`).

mod compose;
mod environment;
mod file;
pub mod flags;
mod hosts;
mod words;

use serde::{Deserialize, Serialize};

pub use compose::{ComposeError, Composed, Copy, Overrides, without};
pub use environment::Environment;
pub use hosts::{Address, Host};
pub use words::{flag_words, is_for_daemon, is_question, program_words};

use crate::foreign::{self, Foreign};
use crate::profile::ImageStore;
use crate::version::EngineVersion;
use file::File;
use flags::{Flag, Takes};
use words::Group;

/// The feature that chooses the image store.
const SNAPSHOTTER: &str = "containerd-snapshotter";
/// The feature that runs containerd within the daemon.
const EMBEDDED: &str = "embedded-containerd";

/// Why there is no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {verb} {}: {}", foreign::line(.path), .reason.text())]
pub struct ConfigurationError {
    /// What could not be done: `read`, `parse`.
    pub verb: &'static str,
    /// The configuration file.
    pub path: String,
    /// Why.
    pub reason: Foreign,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A flag from the user, as it was spelled: `-H`, `--host`.
    Flag(String),
    /// A key of the configuration file.
    File {
        /// The file.
        path: String,
        /// The key.
        key: String,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag that a mend has added.
    Mend(String),
    /// The daemon's own default.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File { path, key } => write!(f, "{path}: {key}"),
            Self::Mend(name) => write!(f, "{name}, added by a mend"),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// One value that was given. A list has one of them for each of its elements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The long name of the flag; of a key without a flag, the key.
    pub name: String,
    /// The value as text; of a switch, `true` or `false`.
    #[serde(serialize_with = "flags::without_secrets")]
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Something that the daemon would refuse, or that would not do what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// A word that begins like a flag and is none of this version's, in pflag's words.
    Word(String),
    /// A word that is no flag: the daemon takes no arguments.
    Argument(String),
    /// A key of the configuration file that this version does not know.
    UnknownKey(String),
    /// A key that is given as a flag, too.
    Twice(String),
    /// A value that is none of its kind: of which flag, and the value.
    Value(String, String),
}

/// A variable that gives the daemon nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub variable: String,
    /// Why: what is set in its place, or that this version has no such flag.
    pub reason: String,
}

/// The configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Its path.
    pub path: String,
    /// Whether `--config-file` names it; then it has to be there.
    pub is_given: bool,
    /// Whether it is there.
    pub exists: bool,
    /// The keys in it, without headings (`proxies`).
    pub keys: Vec<String>,
}

/// Where a daemon keeps what it keeps unless told otherwise: different for a rootless one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defaults {
    /// The unix socket of the API.
    pub socket: String,
    /// The configuration file.
    pub config_file: String,
    /// Images, containers, volumes.
    pub data_root: String,
    /// What lives as long as the daemon.
    pub exec_root: String,
    /// The file with the daemon's process number.
    pub pidfile: String,
}

impl Defaults {
    /// Those of root's daemon, each led through `place`, which knows where a user's daemon has it.
    pub fn placed(place: impl Fn(&str) -> String) -> Self {
        let of =
            |name: &str| place(flags::known().flag(name).and_then(|flag| flag.default.as_deref()).unwrap_or_default());
        Self {
            socket: place(hosts::DEFAULT_SOCKET),
            config_file: of("config-file"),
            data_root: of("data-root"),
            exec_root: of("exec-root"),
            pidfile: of("pidfile"),
        }
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self::placed(str::to_owned)
    }
}

/// What a configuration is read from.
#[derive(Clone, Copy)]
pub struct Sources<'s> {
    /// What the user gave for the daemon, with or without its name in front. A command line that begins with the
    /// daemon's name is complete: the variables add nothing to it (docker-library/docker, dockerd-entrypoint.sh).
    pub given: &'s [String],
    /// Flags that mends have added.
    pub added: &'s [String],
    /// The variables.
    pub environment: &'s Environment,
    /// Where things are by default.
    pub defaults: &'s Defaults,
    /// The engine's version, if it is known: flags that are not its own are problems.
    pub version: Option<&'s EngineVersion>,
    /// Reads a file; `None` if there is no such file.
    pub read: &'s dyn Fn(&str) -> Result<Option<String>, ConfigurationError>,
}

/// Everything that the daemon is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// All values: from variables, from the file, from flags, from mends; of a flag with one value, the last counts.
    pub settings: Vec<Setting>,
    /// The configuration file.
    pub file: ConfigFile,
    /// What the daemon would refuse.
    pub problems: Vec<Problem>,
    /// Variables that give the daemon nothing.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// Whether the command line began with the daemon's name.
    pub is_whole: bool,
    /// The directory for certificates that the daemon is to use (DOCKER_TLS_CERTDIR).
    pub certificates: Option<String>,
    /// Where things are by default.
    pub defaults: Defaults,
    /// Whether `--tls` alone asks clients for certificates.
    pub tls_verifies: bool,
    /// Whether the feature `containerd-snapshotter` chooses the image store.
    pub knows_snapshotter: bool,
    /// Whether containerd runs within the daemon, and no program of that name is needed.
    #[serde(default)]
    pub embeds_containerd: bool,
    /// Where containerd keeps what it keeps (DOCKER_CONTAINERD_ROOT); `None`: below the data-root.
    pub containerd_root: Option<String>,
    /// The user's words, and those of mends, for [`Configuration::compose`].
    #[serde(skip)]
    words: Vec<Group>,
    /// What variables ask for and the daemon does not read itself.
    #[serde(skip)]
    asked: Vec<Setting>,
    /// What the file says.
    #[serde(skip)]
    json: Option<serde_json::Map<String, serde_json::Value>>,
}

/// How the daemon's TCP addresses are protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Whether there is TLS at all.
    pub on: bool,
    /// Whether only clients with a certificate of the CA get in.
    pub verify: bool,
}

impl Configuration {
    /// Reads it all.
    ///
    /// # Errors
    /// A configuration file that cannot be read, is no JSON, or is asked for and not there.
    pub fn read(sources: Sources<'_>) -> Result<Self, ConfigurationError> {
        let known = flags::known();
        let args = words::without_program(sources.given);
        let is_whole = args.len() != sources.given.len();
        let mut problems = Vec::new();
        let mut groups = Vec::new();
        for (variable, args) in sources.environment.daemon_args()? {
            groups.extend(words::parse(&args, |_| Origin::Variable(variable.to_owned()), &mut problems));
        }
        groups.extend(words::parse(args, Origin::Flag, &mut problems));
        groups.extend(words::parse(sources.added, Origin::Mend, &mut problems));
        let mut given: Vec<Setting> = Vec::new();
        for group in &groups {
            given.extend(group.settings.iter().cloned());
        }
        if let Some(version) = sources.version {
            let own = |setting: &&Setting| known.flag(&setting.name).is_some_and(|flag| !flag.is_of(version));
            let unknown = given.iter().filter(own).map(|setting| format!("unknown flag: --{}", setting.name));
            problems.extend(unknown.map(Problem::Word));
        }
        let asked_for = given.iter().rev().find(|setting| setting.name == flags::CONFIG_FILE);
        let path = asked_for.map_or(&sources.defaults.config_file, |setting| &setting.value).clone();
        let is_read = sources
            .version
            .is_none_or(|version| known.flag(flags::CONFIG_FILE).is_some_and(|flag| flag.is_of(version)));
        let text = if is_read { (sources.read)(&path)? } else { None };
        if text.is_none() && asked_for.is_some() && is_read {
            let reason = "it is not there".to_owned();
            return Err(ConfigurationError { verb: "read", path, reason: reason.into() });
        }
        let read = text.map(|text| File::parse(&path, &text)).transpose()?;
        let mut settings = Vec::new();
        let mut keys = Vec::new();
        if let Some(file) = &read {
            keys = file.keys();
            settings.extend(file.settings(&path));
            problems.extend(file.problems(&given, sources.version));
        }
        let mut configuration = Self {
            file: ConfigFile { is_given: asked_for.is_some(), exists: read.is_some(), path, keys },
            settings,
            problems,
            is_whole,
            certificates: None,
            defaults: sources.defaults.clone(),
            knows_snapshotter: sources
                .version
                .is_none_or(|version| known.containerd_snapshotter.since.release() <= version.release()),
            embeds_containerd: false,
            containerd_root: sources.environment.containerd_root.clone().filter(|root| !root.is_empty()),
            tls_verifies: sources.version.is_none_or(|version| known.tls_verifies.since.release() <= version.release()),
            asked: Vec::new(),
            left_out: Vec::new(),
            words: groups,
            json: read.map(|file| file.json),
        };
        if !is_whole {
            configuration.certificates = sources.environment.certificates();
            configuration.asked =
                environment::additions(sources.environment, sources.defaults, &configuration.file.keys);
        }
        configuration.take_over(sources.environment, &given, sources.version);
        configuration.settings.splice(0..0, configuration.asked.iter().cloned());
        configuration.settings.splice(0..0, environment::of_daemon(sources.environment));
        configuration.settings.extend(given);
        let since = &known.embedded_containerd.since;
        let knows_embedded = sources.version.is_none_or(|version| since.release() <= version.release());
        configuration.embeds_containerd = knows_embedded && configuration.feature(EMBEDDED).is_some_and(|(on, _)| on);
        if let Some(problem) = configuration.bad_value() {
            configuration.problems.push(problem);
        }
        Ok(configuration)
    }

    /// Takes what variables in use elsewhere give to the flags that neither the user's words nor the file set: the daemon
    /// takes no option from two places, and the one that is nearest to it counts.
    fn take_over(&mut self, environment: &Environment, given: &[Setting], version: Option<&EngineVersion>) {
        for setting in environment::in_use(environment) {
            let Origin::Variable(variable) = &setting.origin else { continue };
            let Some(flag) = flags::known().flag(&setting.name) else { continue };
            let by_user = given.iter().find(|own| own.name == setting.name).map(|own| own.origin.clone());
            let by_file = self.settings.iter().find(|own| own.name == setting.name).map(|own| own.origin.clone());
            let reason = match by_user.or(by_file) {
                Some(origin) => Some(format!("{origin} is set")),
                None => version.filter(|version| !flag.is_of(version)).map(|_| format!("no --{}", flag.name)),
            };
            match reason {
                Some(reason) => self.left_out.push(LeftOut { variable: variable.clone(), reason }),
                None => self.asked.push(setting),
            }
        }
        self.left_out.dedup();
    }

    /// What a daemon is told that was given these words, and nothing else.
    pub fn of_words(given: &[&str]) -> Self {
        let given: Vec<String> = given.iter().map(|word| (*word).to_owned()).collect();
        let sources = Sources {
            given: &given,
            added: &[],
            environment: &Environment::default(),
            defaults: &Defaults::default(),
            version: None,
            read: &|_| Ok(None),
        };
        // Without a file there is nothing that could be unreadable, unless one is asked for.
        Self::read(sources).unwrap_or_else(|_| Self::of_words(&[]))
    }

    /// The value of a flag that counts.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().rev().find(|setting| setting.name == name)
    }

    /// All values of a flag.
    pub fn all<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c Setting> {
        self.settings.iter().filter(move |setting| setting.name == name)
    }

    /// The value of a flag as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.setting(name).map(|setting| setting.value.as_str())
    }

    /// The values of a flag as texts.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.all(name).map(|setting| setting.value.clone()).collect()
    }

    /// The value of a flag as a number; `None` if it was not given, or is no number.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.text(name)?.parse().ok()
    }

    /// The value of a switch; `None` if it was not given.
    pub fn switch(&self, name: &str) -> Option<bool> {
        words::parse_bool(self.text(name)?)
    }

    /// Whether a switch that is on by default was turned off.
    pub fn is_off(&self, name: &str) -> bool {
        self.switch(name) == Some(false)
    }

    /// A feature (`--feature NAME=BOOL`, `features` in the file), and where it is set.
    pub fn feature(&self, name: &str) -> Option<(bool, &Origin)> {
        let settings: Vec<&Setting> = self.all("feature").collect();
        settings.into_iter().rev().find_map(|setting| {
            // A feature without a value is on (moby daemon/internal/opts: NamedSetOpts).
            let (own, value) = setting.value.split_once('=').unwrap_or((&setting.value, "true"));
            (own == name).then(|| Some((words::parse_bool(value)?, &setting.origin)))?
        })
    }

    /// Where images and containers are kept: the path without slashes at its end, and where that is set.
    pub fn data_root(&self) -> Setting {
        let given = self.settings.iter().rev().find(|setting| ["data-root", "graph"].contains(&setting.name.as_str()));
        self.path(given, "data-root", &self.defaults.data_root)
    }

    /// The directory of what lives as long as the daemon.
    pub fn exec_root(&self) -> Setting {
        self.path(self.setting("exec-root"), "exec-root", &self.defaults.exec_root)
    }

    /// The file with the daemon's process number.
    pub fn pidfile(&self) -> Setting {
        self.path(self.setting("pidfile"), "pidfile", &self.defaults.pidfile)
    }

    fn path(&self, given: Option<&Setting>, name: &str, default: &str) -> Setting {
        let default = || Setting { name: name.to_owned(), value: default.to_owned(), origin: Origin::Default };
        let mut setting = given.filter(|setting| !setting.value.is_empty()).cloned().unwrap_or_else(default);
        let trimmed = setting.value.trim_end_matches('/');
        setting.value = if trimmed.is_empty() { "/" } else { trimmed }.to_owned();
        setting
    }

    /// The group of the unix socket; `None`: the daemon's default, `docker`, which need not exist.
    pub fn group(&self) -> Option<&str> {
        self.text("group")
    }

    /// The storage driver that is asked for; DOCKER_DRIVER goes before flag and file (moby daemon/daemon.go).
    pub fn storage_driver(&self) -> Option<&Setting> {
        let by_variable = |setting: &&Setting| matches!(setting.origin, Origin::Variable(_));
        let setting = self.all("storage-driver").find(by_variable).or_else(|| self.setting("storage-driver"));
        setting.filter(|setting| !setting.value.is_empty())
    }

    /// Who the root of containers is outside of them; `None`: root.
    pub fn userns_remap(&self) -> Option<&str> {
        self.text("userns-remap").filter(|remap| !remap.is_empty())
    }

    /// The addresses that were asked for.
    pub fn hosts(&self) -> Vec<Host> {
        let hosts = self.all("host").filter(|setting| !setting.value.trim().is_empty());
        hosts.map(|setting| Host::new(&setting.value, setting.origin.clone(), &self.defaults)).collect()
    }

    /// The addresses that the daemon will listen on: its default, where none is asked for.
    pub fn listens(&self) -> Vec<Host> {
        let hosts = self.hosts();
        if !hosts.is_empty() {
            return hosts;
        }
        // moby daemon/command/daemon.go: loadDaemonCliConfig.
        let tls = self.tls().is_some_and(|tls| tls.on);
        let default = if tls { hosts::DEFAULT_TLS.to_owned() } else { format!("unix://{}", self.defaults.socket) };
        vec![Host::new(&default, Origin::Default, &self.defaults)]
    }

    /// Where images will be kept, and why, by the rules of moby (daemon/image_store_choice.go, daemon_linux.go). `default`
    /// is the version's own choice, `drivers` are the names of its storage drivers, and `has_prior` is whether one of them
    /// has left something in the data-root.
    pub fn image_store(&self, default: ImageStore, drivers: &[String], has_prior: bool) -> (ImageStore, String) {
        let feature = self.feature(SNAPSHOTTER).filter(|_| self.knows_snapshotter);
        let by_feature = |origin: &Origin| format!("{origin} ({SNAPSHOTTER})");
        match (default, feature, self.storage_driver()) {
            (_, Some((false, by)), _) => (ImageStore::Graphdriver, by_feature(by)),
            (_, Some((true, by)), _) => (ImageStore::Containerd, by_feature(by)),
            (ImageStore::Graphdriver, None, _) => (ImageStore::Graphdriver, Origin::Default.to_string()),
            (ImageStore::Containerd, None, _) if self.userns_remap().is_some() => {
                (ImageStore::Graphdriver, "userns-remap".to_owned())
            }
            (ImageStore::Containerd, None, _) if has_prior => {
                (ImageStore::Graphdriver, "what is in the data-root".to_owned())
            }
            (ImageStore::Containerd, None, Some(driver)) if drivers.contains(&driver.value) => {
                (ImageStore::Graphdriver, driver.origin.to_string())
            }
            (ImageStore::Containerd, None, _) => (ImageStore::Containerd, Origin::Default.to_string()),
        }
    }

    /// The unix socket of the API; where no address is one, the default socket, which the daemon is given, too.
    pub fn socket(&self) -> String {
        let listens = self.listens();
        listens.iter().find_map(Host::unix).unwrap_or(&self.defaults.socket).to_owned()
    }

    /// Where this daemon has what one of root's has at `path` by default; `None` if nothing is set that moves it.
    pub fn moved(&self, path: &str) -> Option<String> {
        let standard = Defaults::default();
        let below = |setting: &Setting, default: &str| {
            let rest = path.strip_prefix(default).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
            (setting.origin != Origin::Default).then(|| format!("{}{rest}", setting.value))
        };
        let exec_root = self.exec_root();
        let pidfile = self.pidfile();
        let is_pidfile = path == standard.pidfile || Some(path) == standard.pidfile.strip_prefix("/var");
        let containerd = self.containerd_root.as_deref().and_then(|root| {
            let rest = path.strip_prefix(&standard.data_root)?.strip_prefix("/containerd")?;
            Some(format!("{}{rest}", root.trim_end_matches('/')))
        });
        containerd
            .or_else(|| below(&self.data_root(), &standard.data_root))
            .or_else(|| below(&exec_root, &standard.exec_root))
            .or_else(|| below(&exec_root, standard.exec_root.strip_prefix("/var")?))
            .or_else(|| (is_pidfile && pidfile.origin != Origin::Default).then_some(pidfile.value))
    }

    /// What is set about TLS; `None` if nothing is set. By the rules of moby's daemon/command (setDefaultOptions,
    /// loadDaemonCliConfig), tried with 28.5.2: to say anything about --tlsverify turns TLS on, whatever the file says of
    /// `tls`.
    pub fn tls(&self) -> Option<Tls> {
        let by_flag = |name: &str| {
            let flag = self.all(name).filter(|setting| !matches!(setting.origin, Origin::File { .. })).last();
            flag.and_then(|setting| words::parse_bool(&setting.value))
        };
        let by_file = |name: &str| {
            let key = self.all(name).find(|setting| matches!(setting.origin, Origin::File { .. }));
            key.and_then(|setting| words::parse_bool(&setting.value))
        };
        let flag = by_flag("tlsverify").map(|_| true).or_else(|| by_flag("tls"));
        let on = if by_file("tlsverify").is_some() { Some(true) } else { flag.or(by_file("tls")) };
        let verify = by_file("tlsverify").or_else(|| by_flag("tlsverify"));
        let on = on?;
        Some(Tls { on, verify: on && verify.unwrap_or(self.tls_verifies) })
    }

    /// Whether a flag says something about TLS: then the default CA is the daemon's too.
    pub fn tls_is_by_flag(&self) -> bool {
        let mut settings = ["tls", "tlsverify"].into_iter().flat_map(|name| self.all(name));
        settings.any(|setting| !matches!(setting.origin, Origin::File { .. }))
    }

    /// The daemon's certificate, its key and the CA of its clients, where they are named: by flags, by the file, or by
    /// the directory for certificates.
    pub fn tls_files(&self) -> TlsFiles<'_> {
        TlsFiles { ca: self.text("tlscacert"), certificate: self.text("tlscert"), key: self.text("tlskey") }
    }

    /// Whether the daemon uses the certificates in the directory that DOCKER_TLS_CERTDIR names.
    pub fn uses_certificates(&self) -> bool {
        let Some(directory) = &self.certificates else { return false };
        let own = environment::certificate(directory, "cert.pem");
        self.all("tlscert").last().is_some_and(|setting| setting.value == own)
    }

    /// The first value that the daemon could not read.
    fn bad_value(&self) -> Option<Problem> {
        self.settings.iter().find_map(|setting| {
            let flag = flags::known().flag(&setting.name)?;
            let bad = flag.takes == Takes::Nothing && words::parse_bool(&setting.value).is_none();
            bad.then(|| Problem::Value(setting.name.clone(), setting.value.clone()))
        })
    }
}

/// The files of the daemon's TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsFiles<'c> {
    /// Who signs clients' certificates.
    pub ca: Option<&'c str>,
    /// The daemon's certificate.
    pub certificate: Option<&'c str>,
    /// Its key.
    pub key: Option<&'c str>,
}

/// The flag that a word could be, for telling the daemon's words from others: with or without a value in it.
pub fn flag_of(word: &str) -> Option<&'static Flag> {
    match word.strip_prefix("--") {
        Some(long) => flags::known().flag(long.split('=').next().unwrap_or_default()),
        None => flags::known().short(word.strip_prefix('-')?.chars().next()?),
    }
}

#[cfg(test)]
mod tests;
