//! image.tls-directory: directory of the daemon's certificates.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};
use crate::gate::image::{Image, Node};

pub(super) const CHECK: Check = Check {
    id: "image.tls-directory",
    docs: Docs {
        title: "directory of the daemon's certificates",
        motivation: "A rootless daemon makes its certificates as its user. Where that user cannot write to the directory \
                     that DOCKER_TLS_CERTDIR names, no start of the image gets further.",
        looks_at: "Owner and mode of that directory and of ca, server and client in it, for the user of a rootless image.",
        remedy: "RUN install -d -m 1777 /certs /certs/client, as docker:dind has it.",
        since: "19.03",
    },
    run,
};

fn run(Subject { image, .. }: Subject<'_>) -> Verdict {
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
    /// By its name or number; `None` if it is a name that /etc/passwd does not have.
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
