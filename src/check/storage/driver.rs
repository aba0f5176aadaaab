//! storage.driver: what the data-root was made with.

use super::prior;
use crate::check::{Check, Docs};
use crate::configuration::Origin;
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::storage::Storage;
use crate::finding::{Evidence, Severity, Verdict};
use crate::profile::{ImageStore, Profile};

pub(in crate::check) const CHECK: Check = Check {
    id: "storage.driver",
    docs: Docs {
        title: "what the data-root was made with",
        motivation: "An engine goes on with the driver that a data-root was made with. Where two have left \
                     something it dies; where another one is asked for, or the version no longer has it, the images \
                     of the old one are not seen.",
        looks_at: "The directories of drivers in the data-root, and the driver that the user asks for.",
        remedy: "Choose one with --storage-driver, or give the daemon a fresh data-root.",
        since: "1.0",
    },
    run,
    mend: None,
};

/// What the images of the store that will not be used are: in containerd's, where a storage driver will be asked, or the
/// other way round.
fn unseen(facts: &Facts, storage: &Storage, profile: &Profile, used: &[&str]) -> Option<Verdict> {
    let root = &storage.data_root;
    let by = &storage.store_said_by;
    match (storage.image_store, &storage.containerd_content) {
        (ImageStore::Graphdriver, Some(content)) => {
            let knows = facts.configuration.as_ref().is_ok_and(|configuration| configuration.knows_snapshotter);
            let verdict = Verdict::fail(
                Severity::Warning,
                format!("{root} has images in containerd, which are not seen"),
            )
            .saw_wanted(content.clone(), "not empty", "empty, where images are kept by a storage driver")
            .saw("where images will be kept", format!("by a storage driver: {by}"))
            .because(
                "An engine that kept them there (29.0 and later by default) has left them. This one starts without \
                     them and their containers; and once it has made its own, later engines go on with those.",
            );
            Some(
                match knows {
                    true => {
                        verdict.remedy("{\"features\": {\"containerd-snapshotter\": true}} in daemon.json, to see them")
                    }
                    false => {
                        verdict.remedy("an engine from 24.0 on with the feature containerd-snapshotter, to see them")
                    }
                }
                .remedy("or give the daemon a data-root of its own")
                .source("moby docker-v29.0.0 daemon/image_store_choice.go; v23.0.18 knows no other store"),
            )
        }
        (ImageStore::Containerd, _) => {
            let (first, rest) = used.split_first()?;
            let names = used.join(", ");
            let verdict = Verdict::fail(
                Severity::Warning,
                format!("{root} was made with {names}, and images live in containerd now"),
            )
            .saw_wanted(format!("{root}/{first}"), "not empty", "nothing of a storage driver")
            .saw("where images will be kept", format!("in containerd: {by}"));
            Some(
                match (*first, rest) {
                    ("vfs", []) if *by == Origin::Default.to_string() => verdict
                        .because("The engine goes on with an old data-root, but not for vfs: its images are not seen.")
                        .remedy("dindcheck -- --storage-driver vfs, to see them"),
                    _ => verdict
                        .because("The images and containers of the storage driver are not seen.")
                        .remedy("leave the feature containerd-snapshotter out, to see them"),
                }
                .source(profile.storage_image_store.source.clone()),
            )
        }
        _ => None,
    }
}

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let storage = facts.storage.as_ref()?;
    let known = &profile.storage_drivers;
    let root = &storage.data_root;
    // The daemon's containerd keeps its own state there whatever the driver.
    let used: Vec<&str> =
        storage.used_drivers.iter().map(String::as_str).filter(|name| *name != "containerd").collect();
    if let Some((name, by)) = &storage.driver {
        let is_left_out = storage.left_out.contains(name) && storage.image_store == ImageStore::Graphdriver;
        if !known.value.contains(name) || is_left_out {
            let known: Vec<&str> = known.value.iter().filter(|own| *own != name).map(String::as_str).collect();
            return Ok(Verdict::fail(Severity::Blocking, format!("this engine has no driver {name}"))
                .saw_wanted(by.clone(), name.clone(), known.join(", "))
                .because(format!("Docker {} dies of a driver that it does not know.", profile.version))
                .remedy(format!("ask for one of {}", known.join(", ")))
                .source(profile.storage_drivers.source.clone()));
        }
        let others: Vec<&str> = used.iter().copied().filter(|used| used != name).collect();
        if !others.is_empty() && !used.contains(&name.as_str()) {
            return Ok(Verdict::fail(
                Severity::Warning,
                format!("{root} was made with {}, and {name} is asked for", others.join(", ")),
            )
            .saw_wanted(format!("{root}/{}", others[0]), "not empty", format!("{root}/{name}"))
            .because("The images and containers of the other driver are not seen.")
            .remedy(format!("leave {by} out, or give the daemon a fresh data-root"))
            .source("moby daemon/graphdriver/driver.go: New"));
        }
        let unseen = unseen(facts, storage, profile, &used).filter(|_| storage.image_store == ImageStore::Graphdriver);
        return Ok(unseen.unwrap_or_else(|| Verdict::pass(format!("{name}, as {by} says"))));
    }
    let unseen = unseen(facts, storage, profile, &used);
    if storage.image_store == ImageStore::Containerd
        && let Some(verdict) = unseen
    {
        return Ok(verdict);
    }
    let prior = prior(storage, profile);
    if prior.len() > 1 {
        return Ok(Verdict::fail(Severity::Blocking, format!("{root} has layers of {}", prior.join(" and ")))
            .evidence(prior.iter().map(|name| Evidence {
                location: format!("{root}/{name}"),
                value: "not empty".to_owned(),
                wanted: Some("one of them alone".to_owned()),
            }))
            .because("The daemon dies: \"contains several valid graphdrivers\".")
            .remedy(format!("dindcheck -- --storage-driver {}", prior[0]))
            .source("moby daemon/graphdriver/driver.go: New"));
    }
    let has = |name: &str| known.value.iter().chain(&storage.left_out).filter(|own| *own == name).count() == 1;
    if let Some(name) = used.iter().find(|name| !has(name)) {
        return Ok(Verdict::fail(
            Severity::Warning,
            format!("{root} was made with {name}, which this engine does not have"),
        )
        .saw_wanted(format!("{root}/{name}"), "not empty", known.value.join(", "))
        .because("The images and containers of that driver are not seen.")
        .remedy("save the images with an older engine, or give the daemon a fresh data-root")
        .source(known.source.clone()));
    }
    if let Some(verdict) = unseen {
        return Ok(verdict);
    }
    Ok(match used.as_slice() {
        [] => Verdict::pass("a fresh data-root"),
        used => Verdict::pass(format!("made with {}", used.join(", "))),
    })
}
