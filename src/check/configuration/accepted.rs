//! configuration.accepted: flags and daemon.json.

use crate::check::{Check, Docs};
use crate::facts::storage::DAEMON_JSON;
use crate::facts::validation::{Answer, Validation};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "configuration.accepted",
    docs: Docs {
        title: "flags and daemon.json",
        motivation: "A daemon dies of a flag or key that its version does not know or has no more, and of an \
                     option that is given both as a flag and in daemon.json: `hosts` above all, which images set \
                     one way and users the other.",
        looks_at: "What `dockerd --validate` says of the flags and daemon.json; where the version has none (before \
                   23.0), both against the flags of `dockerd --help`.",
        remedy: "Take the flag or key that is named away, or say it in one of the two places.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let validation = match &facts.validation {
        Ok(validation) => validation,
        Err(error) if error.verb == "parse" => {
            return Ok(refused(profile, format!("{} is no JSON", error.path), &error.path, &error.reason));
        }
        Err(error) => return Err(error),
    };
    let asked = validation.command.as_str();
    let flags = match &validation.answer {
        Answer::Accepted if asked.is_empty() => return Ok(Verdict::pass("nothing is configured")),
        Answer::Accepted => return Ok(Verdict::pass("the daemon accepts it")),
        Answer::Refused(reason) => return Ok(refused(profile, first_words(reason), asked, reason)),
        Answer::Knows(flags) => flags,
    };
    Ok(match unacceptable(validation, flags) {
        Some((summary, location, value)) => refused(profile, summary, location, value),
        None => Verdict::pass("each flag and key is known, and none is said twice"),
    })
}

/// What the keys of daemon.json are called whose flags can be repeated (moby opts: NamedOption).
const REPEATED: [(&str, &str); 18] = [
    ("add-runtime", "runtimes"),
    ("authorization-plugin", "authorization-plugins"),
    ("cdi-spec-dir", "cdi-spec-dirs"),
    ("cluster-store-opt", "cluster-store-opts"),
    ("default-address-pool", "default-address-pools"),
    ("default-network-opt", "default-network-opts"),
    ("default-ulimit", "default-ulimits"),
    ("dns-opt", "dns-opts"),
    ("exec-opt", "exec-opts"),
    ("feature", "features"),
    ("host", "hosts"),
    ("insecure-registry", "insecure-registries"),
    ("label", "labels"),
    ("log-opt", "log-opts"),
    ("node-generic-resource", "node-generic-resources"),
    ("registry-mirror", "registry-mirrors"),
    ("storage-opt", "storage-opts"),
    ("host-gateway-ip", "host-gateway-ips"),
];

/// Keys that have no flag (moby cmd/dockerd daemon/config: skipValidateOptions).
const WITHOUT_FLAG: [&str; 3] = ["builder", "deprecated-key-path", "features"];

/// Flags with one letter.
const SHORT: [(&str, &str); 9] = [
    ("-D", "debug"),
    ("-G", "group"),
    ("-H", "host"),
    ("-b", "bridge"),
    ("-g", "graph"),
    ("-l", "log-level"),
    ("-p", "pidfile"),
    ("-s", "storage-driver"),
    ("-v", "version"),
];

/// What a daemon that has these flags would not accept: in words, where, and what stands there. As the daemon does it
/// itself (moby daemon/config: findConfigurationConflicts).
fn unacceptable<'v>(validation: &'v Validation, flags: &[String]) -> Option<(String, &'v str, &'v str)> {
    let known = |name: &str| flags.iter().any(|flag| flag == name);
    let given: Vec<&str> = validation.arguments.iter().filter_map(|argument| long_name(argument)).collect();
    if let Some(flag) = given.iter().copied().find(|flag| !known(flag)) {
        return Some((format!("unknown flag: --{flag}"), validation.command.as_str(), "no such flag"));
    }
    validation.keys.iter().find_map(|key| {
        let flag = REPEATED.iter().find(|(_, plural)| plural == key).map_or(key.as_str(), |(flag, _)| *flag);
        if !known(flag) && !WITHOUT_FLAG.contains(&key.as_str()) {
            return Some((format!("unknown key: {key}"), DAEMON_JSON, key.as_str()));
        }
        // Runtimes of both places are put together.
        let twice = given.contains(&flag) && key != "runtimes";
        twice.then(|| (format!("both a flag and a key: {key}"), DAEMON_JSON, key.as_str()))
    })
}

/// The long name of a flag; none for a value.
fn long_name(argument: &str) -> Option<&str> {
    match argument.strip_prefix("--") {
        Some(long) => long.split('=').next().filter(|name| !name.is_empty()),
        None => SHORT.iter().find(|(short, _)| argument.starts_with(short)).map(|(_, long)| *long),
    }
}

/// The end of a reason is what matters: `unable to configure … with file …: the following directives …`.
fn first_words(reason: &str) -> String {
    let last = reason.split_once("daemon.json: ").map_or(reason, |(_, last)| last);
    last.split(" (from flag").next().unwrap_or(last).to_owned()
}

fn refused(profile: &Profile, summary: String, location: &str, value: &str) -> Verdict {
    Verdict::fail(Severity::Blocking, summary)
        .saw_wanted(location, value, "what this version accepts")
        .because(format!("Docker {} dies of it at once.", profile.version))
        .remedy("take it away, or say it in one place: as a flag or in daemon.json")
        .source(profile.launch_config_files.source.clone())
}
