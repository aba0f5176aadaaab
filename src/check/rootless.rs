//! What a daemon needs that is not root's: the way into a user namespace in which it is root.

use super::{Check, Docs};
use crate::facts::rootless::{MAKE, MAPPERS, NETWORKS, Range, Rootless, TUN};
use crate::facts::{Attempt, Fact, FactError, Facts};
use crate::finding::{Severity, Verdict};
use crate::profile::{Profile, Rootless as Mode};

/// As many as the images of today use: users and groups up to 65535 (subuid(5), useradd(8)).
const IDS: u64 = 65536;
/// The bit of a mode (chmod(2)).
const SET_USER_ID: u32 = 0o4000;
const AS_ROOT: &str = "or run as root in the outer container (--user 0), with --privileged";

/// What a check other than these says of a rootless daemon, where that is another thing than of root's.
pub(super) fn instead(id: &str, facts: &Facts) -> Option<Verdict> {
    let seen = facts.rootless.as_ref().ok()?.as_ref()?;
    let subject = id.split('.').next().unwrap_or_default();
    match subject {
        "rootless" | "engine" | "configuration" => None,
        "cgroup" if seen.inside => Some(Verdict::not_applicable(
            "a rootless daemon without systemd makes no cgroups: its containers run in that of the outer container",
        )),
        _ if seen.inside => None,
        _ => Some(Verdict::not_applicable("seen only inside of the user namespace of a rootless daemon")),
    }
}

/// Judges the user's way, where there is one.
fn of_user<'f>(
    facts: &'f Facts,
    judge: impl FnOnce(&'f Rootless) -> Result<Verdict, &'f FactError>,
) -> Result<Verdict, &'f FactError> {
    match facts.rootless.as_ref()? {
        Some(seen) => judge(seen),
        None => Ok(Verdict::not_applicable("the daemon is root's")),
    }
}

/// rootless.engine
pub(super) struct Engine;

impl Check for Engine {
    fn id(&self) -> &'static str {
        "rootless.engine"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "a rootless engine",
            motivation: "Before 19.03 every daemon was root's: one that is started as a user says \"dockerd needs to be \
                         started with root\" and dies.",
            looks_at: "Whether this version can be rootless, where dindcheck does not run as root.",
            remedy: "An engine from 19.03 on, better 20.10; or run as root in the outer container (--user 0).",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        of_user(facts, |seen| {
            let mode = &profile.launch_rootless;
            Ok(match mode.value {
                Mode::Supported => Verdict::pass("this version can be rootless"),
                Mode::Experimental => Verdict::pass("this version can be rootless, with --experimental"),
                Mode::None => Verdict::fail(Severity::Blocking, "this version cannot be rootless")
                    .saw_wanted("the user", seen.uid.to_string(), "0")
                    .because("The daemon dies without root.")
                    .remedy("an engine from 19.03 on")
                    .remedy(AS_ROOT)
                    .source(mode.source.clone()),
            })
        })
    }
}

/// rootless.programs
pub(super) struct Programs;

impl Check for Programs {
    fn id(&self) -> &'static str {
        "rootless.programs"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "what makes a daemon rootless",
            motivation: "A rootless daemon is started by RootlessKit, which has newuidmap and newgidmap map the ids and \
                         another program carry the packets. An image of the engine alone has none of them.",
            looks_at: "rootlesskit, newuidmap, newgidmap and slirp4netns, pasta or vpnkit in PATH, where dindcheck does \
                       not run as root.",
            remedy: "The packages rootlesskit (or docker-ce-rootless-extras), uidmap and slirp4netns.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        of_user(facts, |seen| {
            let (network, carrier) = &seen.network;
            // Others are parts of RootlessKit, or of the host.
            let needs_carrier = NETWORKS.contains(&network.as_str());
            let found = facts.engine.as_ref().map(|engine| &engine.binaries).ok();
            let is_missing = |name: &&String| found.is_some_and(|found| found.get(*name) == Some(&None));
            let engines = profile.binaries_rootless.value.iter().filter(is_missing);
            let mut packages = vec![
                ("rootlesskit", "rootlesskit", seen.rootlesskit.is_none()),
                (MAPPERS[0], "uidmap", !seen.mappers.contains_key(MAPPERS[0])),
                (MAPPERS[1], "uidmap", !seen.mappers.contains_key(MAPPERS[1])),
                (network, network, needs_carrier && carrier.is_none()),
            ];
            packages.extend(engines.map(|name| (name.as_str(), "docker-ce-rootless-extras", true)));
            let missing = || packages.iter().filter(|(.., missing)| *missing);
            if missing().next().is_none() {
                return Ok(Verdict::pass(format!("RootlessKit, its mappers and {network} are there")));
            }
            let programs: Vec<&str> = missing().map(|(program, ..)| *program).collect();
            let mut names: Vec<&str> = missing().map(|(_, package, _)| *package).collect();
            names.dedup();
            Ok(Verdict::fail(Severity::Blocking, format!("not found: {}", programs.join(", ")))
                .saw_wanted(format!("PATH={}", seen.path), "no such program", programs.join(" "))
                .because("dindcheck runs as a user, and without them no daemon does.")
                .remedy(format!(
                    "install in the image: {} (Docker's own packages: docker-ce-rootless-extras)",
                    names.join(" ")
                ))
                .remedy(AS_ROOT)
                .source("moby contrib/dockerd-rootless.sh"))
        })
    }
}

/// rootless.ids
pub(super) struct Ids;

impl Check for Ids {
    fn id(&self) -> &'static str {
        "rootless.ids"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "ids that the user may map",
            motivation: "Users of images other than root need ids of their own outside. Without a range of them \
                         RootlessKit does not start; with a short one layers fail with \"lchown: invalid argument\".",
            looks_at: "The user's lines in /etc/subuid and /etc/subgid, by name and by number.",
            remedy: "echo USER:100000:65536 >> /etc/subuid, and /etc/subgid likewise, in the image.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        of_user(facts, |seen| {
            let count = |ranges: &'f Fact<Vec<Range>>| {
                ranges.as_ref().map(|ranges| ranges.iter().map(|(_, count)| u64::from(*count)).sum::<u64>())
            };
            let counts = [("/etc/subuid", count(&seen.uids)?), ("/etc/subgid", count(&seen.gids)?)];
            let short: Vec<_> = counts.iter().filter(|(_, count)| *count < IDS).collect();
            if short.is_empty() {
                return Ok(Verdict::pass(format!("{} users, {} groups", counts[0].1, counts[1].1)));
            }
            let user = seen.user.clone().unwrap_or_else(|| seen.uid.to_string());
            let files: Vec<&str> = short.iter().map(|(file, _)| *file).collect();
            let mut verdict =
                Verdict::fail(Severity::Blocking, format!("too few ids for {user} in {}", files.join(" and ")))
                    .because("No user of an image but root can be mapped, and RootlessKit refuses to start without.");
            for (file, count) in short {
                verdict = verdict
                    .saw_wanted(*file, format!("{count} for {user}"), IDS.to_string())
                    .remedy(format!("in the image: echo {user}:100000:65536 >> {file}"));
            }
            Ok(verdict.source("subuid(5); rootlesskit pkg/parent/idtools"))
        })
    }
}

/// rootless.user-namespace
pub(super) struct UserNamespace;

impl Check for UserNamespace {
    fn id(&self) -> &'static str {
        "rootless.user-namespace"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "a user namespace of a user's",
            motivation: "A host can forbid users to make user namespaces: by a sysctl of Debian's or Ubuntu's, by a \
                         count of 0, by AppArmor, by the outer engine's filter.",
            looks_at: "One is made; and what forbids it: kernel.unprivileged_userns_clone, user.max_user_namespaces, \
                       kernel.apparmor_restrict_unprivileged_userns.",
            remedy: "The sysctl on the host; --privileged, or --security-opt seccomp=unconfined and \
                     apparmor=unconfined, for the outer container.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        of_user(facts, |seen| {
            let attempts = seen.attempts.as_ref()?;
            let Some(error) = attempts.iter().find(|attempt| attempt.what == MAKE).and_then(|made| made.error.as_ref())
            else {
                return Ok(Verdict::pass("made"));
            };
            let mut verdict = Verdict::fail(Severity::Blocking, "no user namespace can be made")
                .saw_wanted("unshare(CLONE_NEWUSER)", error.clone(), "it works")
                .because("Without one RootlessKit cannot start.");
            for setting in &seen.settings {
                let Some(value) = setting.value else { continue };
                let restricts = setting.path.ends_with("restrict_unprivileged_userns");
                if (value == 0) == restricts {
                    continue;
                }
                let name = setting.path.trim_start_matches("/proc/sys/").replacen('/', ".", 1);
                let wanted = match name.as_str() {
                    "user.max_user_namespaces" => "28633",
                    _ if restricts => "0",
                    _ => "1",
                };
                verdict = verdict
                    .saw_wanted(setting.path.clone(), value.to_string(), wanted)
                    .remedy(format!("on the host: sysctl -w {name}={wanted}"));
            }
            Ok(verdict
                .remedy("docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined …, or --privileged")
                .source("user_namespaces(7); rootlesskit#421, rootlesskit#425"))
        })
    }
}

/// rootless.id-map
pub(super) struct IdMap;

impl Check for IdMap {
    fn id(&self) -> &'static str {
        "rootless.id-map"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "the map of ids",
            motivation: "newuidmap and newgidmap write the map with rights that the user does not have: as programs with \
                         CAP_SETUID and CAP_SETGID, or, set-user-id root, with CAP_SYS_ADMIN of the outer container. \
                         Copied without that, or under no_new_privs, they fail with \"write to uid_map failed: \
                         Operation not permitted\".",
            looks_at: "Both map the user's range into a user namespace that is made for it; their owner, mode and \
                       capabilities, and NoNewPrivs.",
            remedy: "In the image: setcap cap_setuid=ep newuidmap, setcap cap_setgid=ep newgidmap (and chmod u-s), or \
                     chmod u+s and --privileged; no --security-opt no-new-privileges.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        of_user(facts, |seen| {
            let maps: Vec<&Attempt> = seen.attempts.as_ref()?.iter().filter(|attempt| attempt.what != MAKE).collect();
            let refused = || maps.iter().filter_map(|map| Some((*map, map.error.as_ref()?)));
            if maps.is_empty() {
                return Ok(Verdict::unknown("nothing could be mapped: the checks above say why"));
            }
            if refused().next().is_none() {
                return Ok(Verdict::pass("written"));
            }
            let names: Vec<&str> = refused().map(|(map, _)| map.what.as_str()).collect();
            let mut verdict = Verdict::fail(Severity::Blocking, format!("refused: {}", names.join(", ")))
                .because("Without a map nobody is root in the user namespace, and RootlessKit ends.");
            for (map, error) in refused() {
                verdict = verdict.saw_wanted(map.what.clone(), error.clone(), "it works");
            }
            if seen.no_new_privs {
                verdict = verdict
                    .saw_wanted("/proc/self/status: NoNewPrivs", "1", "0")
                    .remedy("leave --security-opt no-new-privileges (Kubernetes: allowPrivilegeEscalation: false) out");
            }
            for (name, mapper) in seen.mappers.iter().filter(|(_, mapper)| !mapper.capable) {
                let own = if name == MAPPERS[0] { "cap_setuid" } else { "cap_setgid" };
                let path = &mapper.path;
                verdict = verdict
                    .saw_wanted(
                        path.clone(),
                        format!("owner {}, mode {:o}, no capabilities", mapper.owner, mapper.mode),
                        format!("{own}=ep, or owner 0 and mode 4755"),
                    )
                    .remedy(format!("in the image: chmod u-s {path} && setcap {own}=ep {path}"));
            }
            if seen.mappers.values().any(|mapper| mapper.owner == 0 && mapper.mode & SET_USER_ID != 0) {
                verdict = verdict.remedy(
                    "or start the outer container with --privileged, or --cap-add SYS_ADMIN: \
                                          set-user-id root alone makes no owner of the user namespace",
                );
            }
            Ok(verdict.source("newuidmap(1); kernel kernel/user_namespace.c map_write"))
        })
    }
}

/// rootless.tun
pub(super) struct Tun;

impl Check for Tun {
    fn id(&self) -> &'static str {
        "rootless.tun"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "the tun device",
            motivation: "The packets of a rootless daemon go through a tap device. Where /dev/net/tun is missing or is \
                         root's alone, RootlessKit ends with \"setting up tap tap0: executing ip tuntap add: exit \
                         status 1\".",
            looks_at: "/dev/net/tun is opened for reading and writing.",
            remedy: "--device /dev/net/tun, with mode 0666 on the host.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        of_user(facts, |seen| {
            Ok(match &seen.tun {
                None => Verdict::pass("it can be opened"),
                Some(error) => Verdict::fail(Severity::Blocking, format!("{TUN} cannot be opened"))
                    .saw_wanted(TUN, error.clone(), "it can be opened")
                    .because(format!("{} carries the daemon's packets through it.", seen.network.0))
                    .remedy(format!("docker run --device {TUN} …"))
                    .remedy(format!("on the host, if it is root's alone there: chmod 0666 {TUN}"))
                    .source("kernel Documentation/networking/tuntap.rst; docker/for-mac#3838"),
            })
        })
    }
}

/// rootless.directories
pub(super) struct Directories;

impl Check for Directories {
    fn id(&self) -> &'static str {
        "rootless.directories"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "directories of the user's",
            motivation: "A rootless daemon keeps its state below HOME, and its socket and what lives no longer than it \
                         in XDG_RUNTIME_DIR. A volume on one of them is often root's.",
            looks_at: "Whether the user can write to XDG_RUNTIME_DIR (/run/user/UID if it is not set), HOME and the \
                       data-root.",
            remedy: "Make them in the image, with the user as their owner: a new volume takes that along.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        of_user(facts, |seen| {
            let refused = || seen.directories.iter().filter_map(|one| Some((one, one.error.as_ref()?)));
            if refused().next().is_none() {
                return Ok(Verdict::pass("can be written to"));
            }
            let names: Vec<&str> = refused().map(|(one, _)| one.what.as_str()).collect();
            let mut verdict = Verdict::fail(Severity::Blocking, format!("cannot be written to: {}", names.join(", ")))
                .because("RootlessKit, the daemon or its socket has no place there.");
            for (one, error) in refused() {
                verdict = verdict
                    .saw_wanted(format!("{}={}", one.what, one.path), error.clone(), "it can be written to")
                    .remedy(format!("in the image: install -d -o {} {}", seen.uid, one.path));
            }
            Ok(verdict.source("moby contrib/dockerd-rootless.sh; docker-library/docker dockerd-entrypoint.sh"))
        })
    }
}
