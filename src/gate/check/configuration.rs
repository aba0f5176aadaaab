//! How the daemon in the image is configured.

use super::{Check, Subject};
use crate::check::Docs;
use crate::configuration::flags::shown;
use crate::configuration::{Origin, Problem};
use crate::facts::storage::{DAEMON_JSON, DEFAULT_DATA_ROOT};
use crate::finding::{Severity, Verdict};
use crate::gate::image::by_name;
use crate::profile::OverlayProbe;

pub(super) const FILE: Check = Check {
    id: "image.daemon-json",
    docs: Docs {
        title: "daemon.json",
        motivation: "A daemon does not start with a daemon.json that it cannot read, that knows an option that this \
                     version does not, or that says what a flag says too.",
        looks_at: "/etc/docker/daemon.json in the image, against the daemon's flags among entrypoint and command.",
        remedy: "Set each option in one place, under the name that this version has for it.",
        since: "1.10",
    },
    run: daemon_json,
};

fn daemon_json(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
    if !profile.launch_config_files.value.iter().any(|file| file == DAEMON_JSON) {
        return Verdict::not_applicable(format!("Docker {} reads none", profile.version));
    }
    let fail = |summary: String| Verdict::fail(Severity::Blocking, summary);
    let configuration = match image.configuration(Some(&profile.version)) {
        Ok(configuration) => configuration,
        Err(error) if error.verb != "parse" => return Verdict::not_applicable(error.to_string()),
        Err(error) => {
            return fail(format!("it is no JSON: {}", error.reason))
                .saw_wanted(error.path, error.reason, "JSON")
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
                    .remedy("say it in one of the two places alone")
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

pub(super) const VOLUMES: Check = Check {
    id: "image.volumes",
    docs: Docs {
        title: "volumes of the image",
        motivation: "Layers in the outer container's own overlay cannot be stacked: some engines fall back to vfs, \
                     slow and large, and 29 and later fail at every container. A VOLUME gives everybody who runs the \
                     image a place that works.",
        looks_at: "VOLUME of the image, against the directories in which this version keeps layers.",
        remedy: "VOLUME /var/lib/docker",
        since: "1.0",
    },
    run: volumes,
};

fn volumes(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
    // One that cannot be read is another check's matter.
    let data_root = image.configuration(None).map_or(DEFAULT_DATA_ROOT.to_owned(), |own| own.data_root().value);
    let wanted: Vec<String> =
        profile.storage_directories.value.iter().map(|path| path.replacen(DEFAULT_DATA_ROOT, &data_root, 1)).collect();
    let covered = |path: &str| {
        image.config.volumes.iter().any(|volume| {
            let volume = volume.trim_end_matches('/');
            path == volume || path.strip_prefix(volume).is_some_and(|rest| rest.starts_with('/'))
        })
    };
    let bare: Vec<&str> = wanted.iter().map(String::as_str).filter(|path| !covered(path)).collect();
    if bare.is_empty() {
        return Verdict::pass(format!("VOLUME {}", image.config.volumes.join(" ")));
    }
    let fatal = profile.storage_overlay_probe.value == OverlayProbe::None;
    let effect = if fatal { "every container fails" } else { "the daemon falls back to a slow driver" };
    Verdict::fail(
        if fatal { Severity::Blocking } else { Severity::Warning },
        format!("{} is no volume: without -v, {effect}", bare.join(", ")),
    )
    .saw_wanted("VOLUME", image.config.volumes.join(" "), wanted.join(" "))
    .because("There, layers would lie on the overlay of the outer container, and overlays cannot be stacked so.")
    .remedy(format!("VOLUME {} in the Dockerfile", bare.join(" ")))
    .remedy(format!(
        "or each user has to know: docker run {} …",
        bare.iter().map(|path| format!("-v {path}")).collect::<Vec<_>>().join(" ")
    ))
    .source(profile.storage_overlay_probe.source.clone())
}

pub(super) const SUBUID: Check = Check {
    id: "image.subuid",
    docs: Docs {
        title: "ranges of subordinate users",
        motivation: "With userns-remap, and for a rootless daemon, the user needs a range of 65536 users and groups, \
                     or the daemon does not start.",
        looks_at: "/etc/subuid and /etc/subgid in the image, for the user that is remapped to or that runs the daemon.",
        remedy: "echo dockremap:165536:65536 into both files.",
        since: "1.10",
    },
    run: subuid,
};

fn subuid(Subject { image, .. }: Subject<'_>) -> Verdict {
    let configuration = image.configuration(None).ok();
    let remap = configuration.as_ref().and_then(|own| own.userns_remap()).map(str::to_owned);
    let user = match (remap, image.is_rootless()) {
        // The daemon makes this user and its ranges, if it can.
        (Some(remap), _) if remap == "default" => "dockremap".to_owned(),
        (Some(remap), _) => remap.split(':').next().unwrap_or_default().to_owned(),
        (None, true) => image.config.user.split(':').next().unwrap_or_default().to_owned(),
        (None, false) => return Verdict::not_applicable("neither userns-remap nor rootless"),
    };
    let passwd = image.text("/etc/passwd").unwrap_or_default();
    let aliases = aliases(&passwd, &user);
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = image.text(file).unwrap_or_default();
        let ranges = by_name(&text);
        let sizes = aliases.iter().filter_map(|name| ranges.get(name)?.rsplit(':').next()?.trim().parse::<u64>().ok());
        let size = sizes.max();
        if size.is_none_or(|size| size < 65_536) {
            let had = size.map_or_else(|| "no range".to_owned(), |size| format!("{size} numbers"));
            return Verdict::fail(Severity::Blocking, format!("{user} has {had} in {file}"))
                .saw_wanted(file, had, format!("{user}:165536:65536"))
                .because("The daemon cannot map the users of its containers, and ends.")
                .remedy(format!("RUN echo {user}:165536:65536 >> {file}"));
        }
    }
    Verdict::pass(format!("{user} has ranges in both files"))
}

/// A user's name and number, of which one is known (passwd(5)).
fn aliases<'t>(passwd: &'t str, user: &'t str) -> Vec<&'t str> {
    let lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut both: Vec<&str> = lines
        .filter_map(|fields| Some((*fields.first()?, *fields.get(2)?)))
        .filter(|(name, id)| *name == user || *id == user)
        .flat_map(|(name, id)| [name, id])
        .collect();
    both.push(user);
    both
}
