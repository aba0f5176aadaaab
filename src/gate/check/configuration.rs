//! How the daemon in the image is configured.

use super::{Check, Subject};
use crate::check::Docs;
use crate::configuration::flags::shown;
use crate::configuration::{Origin, Problem};
use crate::facts::storage::{DAEMON_JSON, DEFAULT_DATA_ROOT};
use crate::finding::{Severity, Verdict};
use crate::gate::image::{Image, Node, by_name};
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

pub(super) const TLS_DIRECTORY: Check = Check {
    id: "image.tls-directory",
    docs: Docs {
        title: "directory of the daemon's certificates",
        motivation: "A rootless daemon makes its certificates as its user. Where that user cannot write to the directory \
                     that DOCKER_TLS_CERTDIR names, no start of the image gets further.",
        looks_at: "Owner and mode of that directory and of ca, server and client in it, for the user of a rootless image.",
        remedy: "RUN install -d -m 1777 /certs /certs/client, as docker:dind has it.",
        since: "19.03",
    },
    run: tls_directory,
};

fn tls_directory(Subject { image, .. }: Subject<'_>) -> Verdict {
    let directory = image.variable("DOCKER_TLS_CERTDIR").unwrap_or_default().trim_end_matches('/');
    if directory.is_empty() || !image.is_rootless() {
        return Verdict::not_applicable("no rootless image with DOCKER_TLS_CERTDIR");
    }
    let is_there = |name: &str| image.tree.resolve(&format!("{directory}/{name}")).is_some();
    if is_there("server/cert.pem") && !is_there("ca/key.pem") {
        return Verdict::pass("certificates of the image's own, which are never written");
    }
    let Some(user) = User::of(image) else {
        return Verdict::not_applicable(format!("/etc/passwd does not have {}", image.config.user));
    };
    if directory.matches('/').count() > 3 {
        return Verdict::not_applicable(format!("{directory} is too far from the root"));
    }
    let places = ["", "/ca", "/server", "/client"].map(|name| format!("{directory}{name}"));
    let refused = places.iter().find_map(|place| Some((place, image.refuses(place, &user)?)));
    match refused {
        None => Verdict::pass(format!("user {} may write to {directory}", user.uid)),
        Some((place, had)) => {
            Verdict::fail(Severity::Blocking, format!("user {} cannot write to {place}", user.uid))
                .saw_wanted(place, had, "drwxrwxrwt")
                .saw("ENV", format!("DOCKER_TLS_CERTDIR={directory}"))
                .because("The daemon's certificates cannot be made, and the start ends with status 2, unless a volume is mounted there.")
                .remedy(format!("RUN install -d -m 1777 {directory} {directory}/client"))
                .source("docker-library/docker Dockerfile-cli.template")
        }
    }
}

/// The user that an image runs as.
struct User {
    uid: u64,
    gids: Vec<u64>,
}

impl User {
    /// By its name or number; `None` if a name that is not in /etc/passwd.
    fn of(image: &Image) -> Option<Self> {
        let passwd = image.text("/etc/passwd").unwrap_or_default();
        let (user, group) = image.config.user.split_once(':').unwrap_or((&image.config.user, ""));
        let own = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let own = own.into_iter().find(|fields| fields.first() == Some(&user) || fields.get(2) == Some(&user));
        let number = |at: usize| own.as_ref().and_then(|fields| fields.get(at)?.parse().ok());
        let name = own.as_ref().and_then(|fields| fields.first().copied()).unwrap_or(user);
        let text = image.text("/etc/group").unwrap_or_default();
        let groups = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
        // A group that is named is the only one (moby/sys user/user.go: GetExecUser).
        let is_in = |fields: &Vec<&str>| match group {
            "" => fields.get(3).is_some_and(|members| members.split(',').any(|member| member == name)),
            group => fields.first() == Some(&group),
        };
        let mut gids: Vec<u64> = groups.filter(is_in).filter_map(|fields| fields.get(2)?.parse().ok()).collect();
        gids.extend(if group.is_empty() { number(3) } else { group.parse().ok() });
        Some(Self { uid: number(2).or_else(|| user.parse().ok())?, gids })
    }
}

impl Image {
    /// Why a user cannot make files in a directory, which is made if it is not there; `None` if it can, as far as is known.
    fn refuses(&self, path: &str, user: &User) -> Option<String> {
        match self.tree.resolve(path) {
            Some((_, Node::Directory { mode, uid, gid })) => {
                let shift = if *uid == user.uid {
                    6
                } else if user.gids.contains(gid) {
                    3
                } else {
                    0
                };
                (mode >> shift & 0o3 != 0o3).then(|| format!("mode {:04o}, of {uid}:{gid}", mode & 0o7777))
            }
            Some(_) => Some("no directory".to_owned()),
            None => match path.rsplit_once('/') {
                // The root is root's.
                None | Some(("", _)) => Some("no such directory".to_owned()),
                Some((above, _)) => self.refuses(above, user).map(|_| "no such directory".to_owned()),
            },
        }
    }
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
