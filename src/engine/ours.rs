//! What dindcheck has made in an engine, and who made it.
//!
//! A label proves nothing by itself: a container inherits those of its image, and anybody can set one. Something is taken
//! for ours when its name and its label tell the same owner, the label is not the image's, and that owner has ended, as
//! far as this process can know. All else that carries a label of ours is left, and reported.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::engine::api::{Api, ApiError, Made};
use crate::process::stat::Stat;

/// How long a removal that is refused is tried again, and how often.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(50);

/// How something of ours is named and labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The label; its value is the owner.
    pub(crate) label: &'static str,
    /// What its name begins with; the owner follows.
    pub(crate) prefix: &'static str,
}

/// What the gate makes in the outer engine.
pub(crate) const GATE: Mark = Mark { label: "dindcheck.gate", prefix: "dindcheck-gate-" };
/// What verification makes in the inner engine.
pub(crate) const VERIFICATION: Mark = Mark { label: "dindcheck.verification", prefix: "dindcheck-" };

impl Mark {
    /// Whether this is a name that the owner gives to what it makes.
    fn names(&self, owner: &Owner, name: &str) -> bool {
        let rest = name.strip_prefix(self.prefix).and_then(|rest| rest.strip_prefix(owner.to_string().as_str()));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ':']))
    }

    /// Whether a name tells of an owner that has ended.
    pub(crate) fn maker_has_ended(&self, name: &str, here: &Owner) -> bool {
        self.owner_of(name).is_some_and(|owner| owner.has_ended(here))
    }

    /// The owner that a name tells of.
    fn owner_of(&self, name: &str) -> Option<Owner> {
        let (end, _) = name.strip_prefix(self.prefix)?.match_indices('-').nth(4)?;
        Owner::parse(&name[self.prefix.len()..][..end])
    }
}

/// A process, told apart from all others by the boot, its pid namespace, its number and the time of its start
/// (/proc/PID/stat, field 22, in ticks since boot: proc_pid_stat(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The first eight digits of /proc/sys/kernel/random/boot_id.
    boot: String,
    /// The inode number of the pid namespace.
    namespace: String,
    pid: i32,
    /// In ticks since boot.
    started: u64,
    /// Whether the daemon was a process of the same pid namespace.
    beside_daemon: bool,
}

impl Owner {
    /// This process, at work on the daemon of the connection.
    pub(crate) fn this(api: &Api) -> Self {
        let pid = i32::try_from(std::process::id()).unwrap_or_default();
        let started = started(pid).map_or(0, |(started, _)| started);
        Self { boot: boot(), namespace: namespace(), pid, started, beside_daemon: api.beside_daemon }
    }

    /// Reads what [`Display`](fmt::Display) wrote, and nothing else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let [boot, namespace, pid, started, beside] = parts.as_slice() else { return None };
        let owner = Self {
            boot: (*boot).to_owned(),
            namespace: (*namespace).to_owned(),
            pid: pid.parse().ok().filter(|pid| *pid > 0)?,
            started: started.parse().ok()?,
            beside_daemon: match *beside {
                "n" => true,
                "f" => false,
                _ => return None,
            },
        };
        let whole = boot.len() == 8
            && boot.bytes().all(|byte| byte.is_ascii_hexdigit())
            && namespace.parse::<u64>().is_ok_and(|inode| inode > 0);
        // A number that is written in another way is not ours.
        (whole && owner.to_string() == text).then_some(owner)
    }

    /// Whether it was a process of this boot and this pid namespace, of which alone it can be told whether it lives.
    fn is_of_here(&self, here: &Self) -> bool {
        !here.namespace.is_empty() && (&self.boot, &self.namespace) == (&here.boot, &here.namespace)
    }

    /// Whether it has ended, or can never again reach what it has made.
    ///
    /// A process of this pid namespace is looked for. One of another namespace that was beside its daemon has lost that
    /// daemon when the daemon of the same data root is beside us: a data root has one daemon (moby daemon/daemon.go:
    /// the containerd and bbolt files below it are locked).
    fn has_ended(&self, here: &Self) -> bool {
        if self.is_of_here(here) {
            return !is_alive(self.pid, self.started);
        }
        self.beside_daemon && here.beside_daemon && !here.namespace.is_empty() && !here.boot.is_empty()
    }

    /// Whether both are one process.
    fn is_same(&self, other: &Self) -> bool {
        self.is_of_here(other) && (self.pid, self.started) == (other.pid, other.started)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { boot, namespace, pid, started, beside_daemon } = self;
        write!(f, "{boot}-{namespace}-{pid}-{started}-{}", if *beside_daemon { 'n' } else { 'f' })
    }
}

fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.chars().take_while(char::is_ascii_hexdigit).collect()
}

fn namespace() -> String {
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
}

/// When a process was started, and its state; `None` if it cannot be read.
fn started(pid: i32) -> Option<(u64, char)> {
    let stat = Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    Some((stat.started_ticks()?, stat.state))
}

/// Whether a process of this pid namespace may be at work still. A zombie is not.
fn is_alive(pid: i32, since: u64) -> bool {
    match started(pid) {
        Some((started, state)) => started == since && !matches!(state, 'Z' | 'X'),
        // With hidepid= nothing of it can be read, whether it is there or not.
        None => kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH),
    }
}

/// What of ours is in the engine, by kind, and what only looks like it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Left {
    containers: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
    images: Vec<String>,
    unproved: Vec<String>,
}

/// Whose things are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// This process's own.
    Own,
    /// Those of processes that have ended.
    Dead,
    /// Both.
    OwnAndDead,
}

/// What the marks of one thing prove.
#[derive(Debug, PartialEq, Eq)]
enum Proof {
    Proved,
    /// Of another process, which is at work.
    Busy,
    /// Why it is not proved.
    Unproved(&'static str),
}

impl Mark {
    /// Judges one thing by its name and its label.
    fn judge(&self, made: &Made, here: &Owner, whose: Whose) -> Proof {
        let Some(owner) = Owner::parse(&made.label) else { return Proof::Unproved("the label has another form") };
        if !made.names.iter().any(|name| self.names(&owner, name)) {
            return Proof::Unproved("its name is not one that goes with the label");
        }
        let own = owner.is_same(here);
        let dead = !own && owner.has_ended(here);
        match whose {
            Whose::Own | Whose::OwnAndDead if own => Proof::Proved,
            Whose::Dead | Whose::OwnAndDead if dead => Proof::Proved,
            _ if own || dead || owner.is_of_here(here) => Proof::Busy,
            _ => Proof::Unproved("its maker, in another pid namespace, may be at work"),
        }
    }
}

impl Left {
    /// Looks for what carries a mark.
    ///
    /// # Errors
    /// The daemon's error.
    pub(crate) async fn find(api: &Api, mark: Mark, here: &Owner, whose: Whose) -> Result<Self, ApiError> {
        let (containers, networks, volumes, images) = futures_util::future::join4(
            api.labelled_containers(mark.label),
            api.labelled_networks(mark.label),
            api.labelled_volumes(mark.label),
            api.labelled_images(mark.label),
        )
        .await;
        let mut left = Self::default();
        for made in containers? {
            match mark.judge(&made, here, whose) {
                Proof::Proved if inherits(api, mark, &made).await? => {
                    left.report("container", mark, &made, "the label is its image's");
                }
                Proof::Proved => left.containers.push(made.id),
                Proof::Unproved(why) => left.report("container", mark, &made, why),
                Proof::Busy => {}
            }
        }
        for (kind, made) in [("network", networks?), ("volume", volumes?)] {
            for made in made {
                match mark.judge(&made, here, whose) {
                    Proof::Proved if kind == "network" => left.networks.push(made.id),
                    Proof::Proved => left.volumes.push(made.id),
                    Proof::Unproved(why) => left.report(kind, mark, &made, why),
                    Proof::Busy => {}
                }
            }
        }
        let mut images = images?;
        // Where images have no labels, the name alone tells: it is as long.
        if !api.labels_images() {
            images.retain_mut(|made| {
                made.label = made
                    .names
                    .iter()
                    .find_map(|name| mark.owner_of(name))
                    .map(|owner| owner.to_string())
                    .unwrap_or_default();
                !made.label.is_empty()
            });
        }
        for made in &images {
            match mark.judge(named_ancestor(&images, made), here, whose) {
                // A step of a build that was broken off.
                Proof::Proved if made.names.is_empty() => left.images.push(made.id.clone()),
                // By our name: an image that someone has named too loses that name alone.
                Proof::Proved => {
                    let owner = Owner::parse(&made.label);
                    let ours = |name: &&String| owner.as_ref().is_some_and(|owner| mark.names(owner, name));
                    left.images.extend(made.names.iter().filter(ours).cloned());
                }
                Proof::Unproved(why) => left.report("image", mark, made, why),
                Proof::Busy => {}
            }
        }
        Ok(left)
    }

    fn report(&mut self, kind: &str, mark: Mark, made: &Made, why: &str) {
        let name = made.names.first().unwrap_or(&made.id);
        self.unproved.push(format!("{kind} {name} has the label {}={}, but {why}", mark.label, made.label));
    }

    /// Removes as much as it can, the users of a thing before the thing; gives the first error.
    ///
    /// # Errors
    /// The daemon's error.
    pub(crate) async fn remove(&self, api: &Api) -> Result<(), ApiError> {
        let containers = self.containers.iter().map(|id| persist(async || api.remove_container(id).await.map(drop)));
        let containers = join_all(containers).await;
        let networks = join_all(self.networks.iter().map(|id| persist(async || api.remove_network(id).await))).await;
        let volumes = join_all(self.volumes.iter().map(|id| persist(async || api.remove_volume(id).await))).await;
        let images = persist(async || remove_images(api, self.images.clone()).await).await;
        containers.into_iter().chain(networks).chain(volumes).chain([images]).collect()
    }

    /// Whether nothing of ours was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    /// The ids of the containers.
    pub(crate) fn containers(&self) -> &[String] {
        &self.containers
    }

    /// What carries the label and is not proved to be ours, with the reason: nothing touches it.
    pub(crate) fn unproved(&self) -> &[String] {
        &self.unproved
    }

    /// What it is, for a report.
    pub(crate) fn names(&self) -> Vec<String> {
        [
            ("container", &self.containers),
            ("network", &self.networks),
            ("volume", &self.volumes),
            ("image", &self.images),
        ]
        .into_iter()
        .flat_map(|(kind, ids)| ids.iter().map(move |id| format!("{kind} {id}")))
        .collect()
    }
}

/// The image by whose name an image is judged: its own if it has one, else that of the one it was made from, with the same
/// label (the steps of a build in the engine itself have their parent's labels and no name).
fn named_ancestor<'a>(images: &'a [Made], made: &'a Made) -> &'a Made {
    let mut ancestor = made;
    // No chain is longer than all of them.
    for _ in images {
        if !ancestor.names.is_empty() {
            break;
        }
        let parent = |one: &&Made| Some(&one.id) == ancestor.parent.as_ref() && one.label == made.label;
        let Some(parent) = images.iter().find(parent) else { break };
        ancestor = parent;
    }
    ancestor
}

/// Whether a container has its label from an image that is not ours.
async fn inherits(api: &Api, mark: Mark, made: &Made) -> Result<bool, ApiError> {
    let Some(image) = api.image_of(&made.id, mark.label).await? else { return Ok(false) };
    let ours = Owner::parse(&image.label).is_some_and(|owner| image.names.iter().any(|name| mark.names(&owner, name)));
    Ok(image.label == made.label && !ours)
}

/// Tries a removal again that was refused: for a moment an engine, above all an old one, may still be busy with the thing.
pub(crate) async fn persist<T>(remove: impl AsyncFn() -> Result<T, ApiError>) -> Result<T, ApiError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match remove().await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            removed => return removed,
        }
    }
}

/// Removes images. One from which another was made goes after that one, so that it is tried again.
async fn remove_images(api: &Api, mut images: Vec<String>) -> Result<(), ApiError> {
    while !images.is_empty() {
        let (mut left, mut refusal) = (Vec::new(), None);
        for image in &images {
            if let Err(error) = api.remove_image(image).await {
                left.push(image.clone());
                refusal = Some(error);
            }
        }
        match refusal {
            Some(error) if left.len() == images.len() => return Err(error),
            _ => images = left,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Owner {
        let pid = i32::try_from(std::process::id()).unwrap();
        let (started, _) = started(pid).unwrap();
        Owner { boot: boot(), namespace: namespace(), pid, started, beside_daemon: true }
    }

    fn made(label: &str, name: &str) -> Made {
        Made { id: "1".to_owned(), names: vec![name.to_owned()], label: label.to_owned(), parent: None }
    }

    #[test]
    fn the_living_are_told_from_the_dead() {
        let own = here();
        assert!(!own.has_ended(&own) && own.is_same(&own));
        assert!(Owner { started: 1, ..own.clone() }.has_ended(&own));
        // Of another pid namespace nothing can be told, unless its daemon can only have ended.
        let far = Owner { namespace: "1".to_owned(), beside_daemon: false, ..own.clone() };
        assert!(!far.has_ended(&own));
        assert!(Owner { beside_daemon: true, ..far.clone() }.has_ended(&own));
        assert!(!Owner { beside_daemon: true, ..far }.has_ended(&Owner { beside_daemon: false, ..own }));
    }

    #[test]
    fn only_what_this_program_writes_is_an_owner() {
        let own = here();
        assert_eq!(Owner::parse(&own.to_string()), Some(own));
        for odd in [
            "",
            "x",
            "mine",
            "-",
            "----",
            "1-1-1-1-n",
            "0123456-1-1-1-n",
            "012345678-1-1-1-n",
            "0123456g-1-1-1-n",
            "01234567--1-1-n",
            "01234567-1-0-1-n",
            "01234567-1--1-1-n",
            "01234567-1-1-1-x",
            "01234567-1-1-1-n-2",
            "01234567-1-01-1-n",
            "01234567-1-+1-1-n",
            "01234567-0-1-1-n",
        ] {
            assert_eq!(Owner::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn name_and_label_have_to_tell_the_same_owner() {
        let own = here();
        let dead = Owner { started: 1, ..own.clone() };
        let other = Owner { started: 2, ..own.clone() };
        for mark in [GATE, VERIFICATION] {
            let judge = |label: &str, name: &str| mark.judge(&made(label, name), &own, Whose::Dead);
            assert_eq!(judge(&dead.to_string(), &format!("{}{dead}-work", mark.prefix)), Proof::Proved);
            assert_eq!(judge(&own.to_string(), &format!("{}{own}-work", mark.prefix)), Proof::Busy);
            for (label, name) in [
                ("x", format!("{}{dead}-work", mark.prefix)),
                (&dead.to_string(), "db".to_owned()),
                (&dead.to_string(), format!("{}{other}-work", mark.prefix)),
                (&dead.to_string(), format!("{}{dead}0", mark.prefix)),
                (&dead.to_string(), mark.prefix.to_owned()),
            ] {
                assert!(matches!(judge(label, &name), Proof::Unproved(_)), "{label} {name}");
            }
        }
    }

    #[test]
    fn an_image_without_labels_is_known_by_its_name() {
        let own = here();
        let owner_of = |name: &str| VERIFICATION.owner_of(name);
        assert_eq!(owner_of(&format!("dindcheck-{own}-0-image:latest")), Some(own));
        assert_eq!(owner_of("dindcheck-verification:only"), None);
        assert_eq!(owner_of("debian:12"), None);
    }

    #[test]
    fn a_step_of_a_build_is_its_named_ancestors() {
        let own = here();
        let label = Owner { started: 1, ..own.clone() }.to_string();
        let image = |id: &str, names: &[&str], label: &str, parent: &str| Made {
            id: id.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            label: label.to_owned(),
            parent: Some(parent.to_owned()),
        };
        let name = format!("dindcheck-{label}-0-image:latest");
        let images = [
            image("1", &[], &label, "2"),
            image("2", &[], &label, "3"),
            image("3", &[&name], &label, ""),
            // Made from ours, with another label, or from an image that is not here.
            image("4", &[], "x", "3"),
            image("5", &[], &label, "6"),
            image("7", &[], &label, "7"),
        ];
        let judge = |made: &Made| VERIFICATION.judge(named_ancestor(&images, made), &own, Whose::Dead) == Proof::Proved;
        let proved: Vec<&str> = images.iter().filter(|made| judge(made)).map(|made| made.id.as_str()).collect();
        assert_eq!(proved, ["1", "2", "3"]);
    }
}
