//! image.daemon-json: daemon.json.

use super::{Check, Subject};
use crate::check::Docs;
use crate::configuration::flags::shown;
use crate::configuration::{Origin, Problem};
use crate::facts::storage::DAEMON_JSON;
use crate::finding::{Severity, Verdict};

pub(super) const CHECK: Check = Check {
    id: "image.daemon-json",
    docs: Docs {
        title: "daemon.json",
        motivation: "A daemon does not start with a daemon.json that it cannot read, that knows an option that this \
                     version does not, or that says what a flag says too.",
        looks_at: "/etc/docker/daemon.json in the image, against the daemon's flags among entrypoint and command.",
        remedy: "Set each option in one place, under the name that this version has for it.",
        since: "1.10",
    },
    run,
};

fn run(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
    if !profile.launch_config_files.value.iter().any(|file| file == DAEMON_JSON) {
        return Verdict::not_applicable(format!("Docker {} reads none", profile.version));
    }
    let fail = |summary: String| Verdict::fail(Severity::Blocking, summary);
    let configuration = match image.configuration(Some(&profile.version)) {
        Ok(configuration) => configuration,
        Err(error) if error.verb != "parse" => return Verdict::not_applicable(error.to_string()),
        Err(error) => {
            return fail(format!("it is no JSON: {}", error.reason.text()))
                .saw_wanted(error.path, error.reason.text(), "JSON")
                .because(
                    "unable to configure the Docker daemon with file /etc/docker/daemon.json: every start ends so.",
                )
                .remedy("mend the file; `dockerd --validate` tells, from 23.0 on");
        }
    };
    let file = &configuration.file;
    if !file.exists {
        return Verdict::pass("there is none");
    }
    let words = image.words();
    let of_file = |key: &str| {
        let own = configuration
            .settings
            .iter()
            .filter(|setting| matches!(&setting.origin, Origin::File { key: own, .. } if own == key));
        own.map(|setting| shown(&setting.value)).collect::<Vec<_>>().join(", ")
    };
    for problem in &configuration.problems {
        match problem {
            Problem::Twice(key) => {
                return fail(format!("`{key}` is set there, and by the image's own flags"))
                    .saw(&file.path, format!("{key}: {}", of_file(key)))
                    .saw("entrypoint and command", words.join(" "))
                    .because("the following directives are specified both as a flag and in the configuration file: every start ends so.")
                    .remedy("set it in one place only")
                    .source(profile.launch_config_files.source.clone());
            }
            Problem::UnknownKey(key) => {
                return fail(format!("Docker {} does not know `{key}`", profile.version))
                    .saw(&file.path, key.clone())
                    .because("the following directives don't match any configuration option: every start ends so.")
                    .remedy("leave it out, or write it as this version does")
                    .source(profile.launch_config_files.source.clone());
            }
            Problem::Word(_) | Problem::Argument(_) | Problem::Value(..) => {}
        }
    }
    // The official entrypoint gives --host itself (docker-library/docker, dockerd-entrypoint.sh).
    let official = words.first().is_some_and(|first| first.rsplit('/').next() == Some("dockerd-entrypoint.sh"));
    if official && file.keys.iter().any(|key| key == "hosts") {
        return fail("`hosts` is set there, and dockerd-entrypoint.sh gives --host".to_owned())
            .saw(&file.path, format!("hosts: {}", of_file("hosts")))
            .saw("entrypoint and command", words.join(" "))
            .because("the following directives are specified both as a flag and in the configuration file: hosts.")
            .remedy("leave `hosts` out of daemon.json, or use another entrypoint");
    }
    let driver = configuration.storage_driver();
    let is_known = |name: &str| profile.storage_drivers.value.iter().any(|own| own == name);
    if let Some(driver) = driver.filter(|driver| !is_known(&driver.value)) {
        return fail(format!("Docker {} has no storage driver {}", profile.version, driver.value))
            .saw_wanted(driver.origin.to_string(), driver.value.clone(), profile.storage_drivers.value.join(", "))
            .because("failed to start daemon: error initializing graphdriver: driver not supported.")
            .remedy("leave the driver to the daemon, or name one that this version has")
            .source(profile.storage_drivers.source.clone());
    }
    Verdict::pass(file.keys.join(", "))
}
