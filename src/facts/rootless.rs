//! What a daemon that is not root's needs around it, which is seen only outside of the user namespace that it gets.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::{env, fs};

use nix::unistd::{AccessFlags, Gid, Uid, access, getegid, geteuid};
use serde::{Deserialize, Serialize};

use super::engine::{find, search_path};
use super::limits::Setting;
use super::places::Places;
use super::{Fact, FactError, Root};
use crate::probe::Attempt;
use crate::probe::rootless as probe;
pub use crate::probe::rootless::MAKE;

/// The variable in which these facts go along into the user namespace.
pub const VARIABLE: &str = "_DINDCHECK_ROOTLESS";
/// RootlessKit, by its names (moby contrib/dockerd-rootless.sh).
pub const ROOTLESSKIT: [&str; 2] = ["docker-rootlesskit", "rootlesskit"];
/// What maps ids that are not the user's own.
pub const MAPPERS: [&str; 2] = ["newuidmap", "newgidmap"];
/// What carries packets, the first one that is there (moby contrib/dockerd-rootless.sh).
pub const NETWORKS: [&str; 3] = ["slirp4netns", "pasta", "vpnkit"];
/// The variable in which another one is asked for.
const CARRIER: &str = "DOCKERD_ROOTLESS_ROOTLESSKIT_NET";
/// The device of each of them.
pub const TUN: &str = "/dev/net/tun";
/// What can forbid user namespaces.
const SETTINGS: [&str; 3] = [
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
];

/// Ids that a user may map: the first, and how many.
pub type Range = (u32, u32);

/// A program with rights of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapper {
    /// Where it is.
    pub path: String,
    /// Its owner.
    pub owner: u32,
    /// Its mode.
    pub mode: u32,
    /// Whether it has capabilities of its own.
    pub capable: bool,
}

/// A directory that has to be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// What it is for.
    pub what: String,
    /// Where it is.
    pub path: String,
    /// Why nothing can be written there.
    pub error: Option<String>,
}

/// The user's way to a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootless {
    /// Whether the rest of the facts was read inside of the user namespace.
    pub inside: bool,
    /// The user.
    pub uid: u32,
    /// Its name.
    pub user: Option<String>,
    /// The search path.
    pub path: String,
    /// RootlessKit.
    pub rootlesskit: Option<String>,
    /// newuidmap and newgidmap, where they are found.
    pub mappers: BTreeMap<String, Mapper>,
    /// What carries packets: the program's name, and its path where it is found.
    pub network: (String, Option<String>),
    /// Why the tun device cannot be opened.
    pub tun: Option<String>,
    /// The ranges in /etc/subuid.
    pub uids: Fact<Vec<Range>>,
    /// The ranges in /etc/subgid.
    pub gids: Fact<Vec<Range>>,
    /// Whether set-user-id programs gain nothing.
    pub no_new_privs: bool,
    /// What can forbid user namespaces, where the kernel has it.
    pub settings: Vec<Setting>,
    /// The process that stays outside.
    pub outside: u32,
    /// The directories.
    pub directories: Vec<Directory>,
    /// A user namespace that was made and mapped, step by step.
    pub attempts: Fact<Vec<Attempt>>,
}

#[cfg(test)]
impl Rootless {
    /// A user's way with RootlessKit and this carrier of packets, before anything else is known.
    pub(crate) fn of(network: &str) -> Self {
        let untold = || FactError::new("read", "/x", "on purpose");
        Self {
            inside: false,
            uid: 1000,
            user: None,
            path: String::new(),
            rootlesskit: Some("/bin/rootlesskit".to_owned()),
            mappers: BTreeMap::new(),
            network: (network.to_owned(), None),
            tun: None,
            uids: Err(untold()),
            gids: Err(untold()),
            no_new_privs: false,
            settings: Vec::new(),
            outside: 1,
            directories: Vec::new(),
            attempts: Err(untold()),
        }
    }
}

/// Reads them; `None` if the daemon is root's.
pub(super) fn read(root: &Root) -> Fact<Option<Rootless>> {
    if !root.is_live() {
        return Ok(None);
    }
    if let Some(seen) = from_outside() {
        return seen.map(Some);
    }
    Ok((!geteuid().is_root()).then(|| look(root)))
}

/// What was seen out there, where this process is inside.
pub fn from_outside() -> Option<Fact<Rootless>> {
    env::var(VARIABLE).ok().map(|text| taken_inside(&text))
}

fn taken_inside(text: &str) -> Fact<Rootless> {
    let seen = serde_json::from_str(text).map_err(|error| FactError::new("parse", VARIABLE, error))?;
    Ok(Rootless { inside: true, ..seen })
}

/// Whether this process is of a user that has still to get its user namespace.
pub fn is_outside() -> bool {
    !geteuid().is_root() && env::var_os(VARIABLE).is_none()
}

fn look(root: &Root) -> Rootless {
    let path = search_path();
    let (uid, gid) = (geteuid(), getegid());
    let passwd = root.read("/etc/passwd").unwrap_or_default();
    let user = name_of(&passwd, uid.as_raw());
    let mappers: BTreeMap<String, Mapper> =
        MAPPERS.iter().filter_map(|name| Some(((*name).to_owned(), mapper(find(root, &path, name)?)?))).collect();
    let ranges = |file: &str, id: u32| root.read(file).map(|text| parse(&text, user.as_deref(), id));
    let (uids, gids) = (ranges("/etc/subuid", uid.as_raw()), ranges("/etc/subgid", uid.as_raw()));
    let status = root.read("/proc/self/status").unwrap_or_default();
    Rootless {
        inside: false,
        uid: uid.as_raw(),
        rootlesskit: ROOTLESSKIT.iter().find_map(|name| find(root, &path, name)),
        network: network(env::var(CARRIER).ok(), |name| find(root, &path, name)),
        tun: fs::File::options().read(true).write(true).open(TUN).err().map(|error| error.to_string()),
        no_new_privs: status.lines().any(|line| line.split_whitespace().eq(["NoNewPrivs:", "1"])),
        settings: SETTINGS
            .iter()
            .filter_map(|path| {
                let value = root.read_trimmed(path).ok()?.parse().ok();
                Some(Setting { path: (*path).to_owned(), value })
            })
            .collect(),
        directories: directories(root),
        attempts: probe::start(&maps(uid, gid, &mappers, [&uids, &gids])).finish(),
        user,
        outside: std::process::id(),
        path,
        mappers,
        uids,
        gids,
    }
}

/// The maps that are to be written: of each kind of id the longest range, where the program is there.
fn maps(
    uid: Uid,
    gid: Gid,
    mappers: &BTreeMap<String, Mapper>,
    [uids, gids]: [&Fact<Vec<Range>>; 2],
) -> Vec<probe::Map> {
    let map = |mapper: &str, own: u32, ranges: &Fact<Vec<Range>>| {
        let range = ranges.as_ref().ok()?.iter().max_by_key(|(_, count)| *count)?;
        Some(probe::Map { program: mappers.get(mapper)?.path.clone(), own, range: *range })
    };
    [map(MAPPERS[0], uid.as_raw(), uids), map(MAPPERS[1], gid.as_raw(), gids)].into_iter().flatten().collect()
}

/// The carrier that is asked for, or the first that is there.
fn network(asked: Option<String>, find: impl Fn(&str) -> Option<String>) -> (String, Option<String>) {
    let known = |name: &str| NETWORKS.contains(&name) || name == "lxc-user-nic";
    match asked.filter(|name| !name.is_empty()) {
        // The others are no programs but parts of RootlessKit.
        Some(name) if !known(&name) => (name, None),
        Some(name) => {
            let found = find(&name);
            (name, found)
        }
        None => NETWORKS
            .iter()
            .find_map(|name| Some(((*name).to_owned(), Some(find(name)?))))
            .unwrap_or_else(|| (NETWORKS[0].to_owned(), None)),
    }
}

fn mapper(path: String) -> Option<Mapper> {
    let metadata = fs::metadata(&path).ok()?;
    let capable = rustix::fs::getxattr_query(path.as_str(), "security.capability").is_ok();
    Some(Mapper { owner: metadata.uid(), mode: metadata.permissions().mode() & 0o7777, capable, path })
}

fn directories(root: &Root) -> Vec<Directory> {
    let places = Places::of(root);
    let all = [
        ("XDG_RUNTIME_DIR", places.run().to_owned()),
        ("HOME", env::var("HOME").unwrap_or_default()),
        ("the data-root", places.translate("/var/lib/docker")),
    ];
    all.map(|(what, path)| Directory { what: what.to_owned(), error: refusal(&path), path }).to_vec()
}

/// Why nothing can be written in a directory.
fn refusal(path: &str) -> Option<String> {
    access(path, AccessFlags::W_OK | AccessFlags::X_OK).err().map(|error| error.to_string())
}

/// A user's name (passwd(5)). The C library would ask name services, which a static binary cannot load.
fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let mut users = passwd.lines().map(|line| line.split(':'));
    users.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The ranges of a user, who may stand there by name or by number (subuid(5)).
fn parse(text: &str, user: Option<&str>, id: u32) -> Vec<Range> {
    let id = id.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            if Some(owner) != user && owner != id {
                return None;
            }
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_with_a_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n:\nodd:x\nrootless:x:1000:1000::/:\nagain:x:1000:1::/:\n";
        assert_eq!(name_of(passwd, 1000).as_deref(), Some("rootless"));
        assert_eq!(name_of(passwd, 7), None);
    }

    #[test]
    fn a_mapper_is_reported_with_its_owner_and_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("newuidmap");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4711)).unwrap();
        let path = path.display().to_string();
        let (owner, mode) = (geteuid().as_raw(), 0o4711);
        assert_eq!(mapper(path.clone()), Some(Mapper { path, owner, mode, capable: false }));
        assert_eq!(mapper("/nonexistent".to_owned()), None);
    }

    #[test]
    fn the_first_carrier_of_packets_that_is_there_is_taken() {
        let found = |asked: Option<&str>, there: &[&str]| {
            network(asked.map(str::to_owned), |name| there.contains(&name).then(|| format!("/bin/{name}")))
        };
        let is = |name: &str, path: Option<&str>| (name.to_owned(), path.map(str::to_owned));
        for none in [None, Some("")] {
            assert_eq!(found(none, &["vpnkit", "pasta"]), is("pasta", Some("/bin/pasta")));
            assert_eq!(found(none, &[]), is("slirp4netns", None));
        }
        // What is asked for is taken, also where another one is there.
        assert_eq!(found(Some("vpnkit"), &["vpnkit", "pasta"]), is("vpnkit", Some("/bin/vpnkit")));
        assert_eq!(found(Some("lxc-user-nic"), &["lxc-user-nic"]), is("lxc-user-nic", Some("/bin/lxc-user-nic")));
        assert_eq!(found(Some("vpnkit"), &["pasta"]), is("vpnkit", None));
        // A part of RootlessKit is no program, whatever is named like it.
        assert_eq!(found(Some("gvisor-tap-vsock"), &["gvisor-tap-vsock"]), is("gvisor-tap-vsock", None));
    }

    #[test]
    fn what_was_seen_outside_is_known_inside() {
        let seen = Rootless {
            inside: false,
            uid: 1000,
            user: Some("rootless".to_owned()),
            path: "/bin".to_owned(),
            rootlesskit: None,
            mappers: BTreeMap::new(),
            network: ("pasta".to_owned(), None),
            tun: Some("No such file or directory (os error 2)".to_owned()),
            uids: Ok(vec![(100_000, 65536)]),
            gids: Err(FactError::new("read", "/etc/subgid", "on purpose")),
            no_new_privs: true,
            settings: vec![Setting { path: SETTINGS[1].to_owned(), value: None }],
            outside: 7,
            directories: Vec::new(),
            attempts: Ok(Vec::new()),
        };
        let text = serde_json::to_string(&seen).unwrap();
        assert_eq!(taken_inside(&text), Ok(Rootless { inside: true, ..seen }));
        let error = taken_inside("{").unwrap_err();
        assert_eq!((error.verb.as_str(), error.path.as_str()), ("parse", VARIABLE));
        assert!(!(is_outside() && geteuid().is_root()), "root has no namespace to get");
    }

    #[test]
    fn the_longest_range_of_each_kind_is_mapped() {
        let mapper = |path: &str| Mapper { path: path.to_owned(), owner: 0, mode: 0o4755, capable: false };
        let both = BTreeMap::from(MAPPERS.map(|name| (name.to_owned(), mapper(&format!("/bin/{name}")))));
        let maps = |mappers: &BTreeMap<String, Mapper>, uids: &Fact<Vec<Range>>, gids: &Fact<Vec<Range>>| {
            maps(Uid::from_raw(7), Gid::from_raw(8), mappers, [uids, gids])
        };
        let map = |name: &str, own, range| probe::Map { program: format!("/bin/{name}"), own, range };
        let (uids, gids) = (Ok(vec![(1, 10), (2, 30), (3, 20)]), Ok(vec![(4, 40)]));
        let [of_uids, of_gids] = [map("newuidmap", 7, (2, 30)), map("newgidmap", 8, (4, 40))];
        assert_eq!(maps(&both, &uids, &gids), [of_uids.clone(), of_gids.clone()]);
        let untold = Err(FactError::new("read", "/etc/subuid", "on purpose"));
        assert_eq!(maps(&both, &untold, &gids), [of_gids]);
        assert_eq!(maps(&both, &uids, &Ok(Vec::new())), [of_uids]);
        assert_eq!(maps(&BTreeMap::new(), &uids, &gids), []);
    }

    #[test]
    fn a_directory_has_to_be_written_to_and_entered() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        // Root may write to it, and no one may run it or go through it.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let refusal = |path: &std::path::Path| refusal(&path.display().to_string());
        assert_eq!(refusal(directory.path()), None);
        assert_eq!(refusal(&file), Some("EACCES: Permission denied".to_owned()));
        assert_eq!(refusal(&directory.path().join("none")), Some("ENOENT: No such file or directory".to_owned()));
        let home = env::var("HOME").unwrap_or_default();
        let named = directories(&Root::new("/captured")).into_iter().map(|own| (own.what, own.path));
        let wanted = [("XDG_RUNTIME_DIR", "/run"), ("HOME", &home), ("the data-root", "/var/lib/docker")];
        assert!(named.eq(wanted.map(|(what, path)| (what.to_owned(), path.to_owned()))));
    }

    #[test]
    fn ranges_are_a_users_by_name_and_by_number() {
        let text = "other:1:2\nrootless:100000:65536\n1000:300000:10\nrootless:x:1\n\n:::\n";
        assert_eq!(parse(text, Some("rootless"), 1000), [(100_000, 65536), (300_000, 10)]);
        assert_eq!(parse(text, None, 1000), [(300_000, 10)]);
        assert_eq!(parse(text, None, 7), []);
    }
}
