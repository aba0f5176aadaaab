//! The facts of a captured machine, with an engine of a profile in it.

use std::collections::BTreeMap;

use dindcheck::configuration::Configuration;
use dindcheck::fact::Root;
use dindcheck::facts::engine::Engine;
use dindcheck::facts::netfilter::Wanted;
use dindcheck::facts::{EarlyProbes, Facts, Request, outer};
use dindcheck::profile::{Profile, outers};

/// Reads them; of the firewall nothing is wanted, since nothing can be tried there.
pub(crate) fn facts(root: Root, profile: &Profile, configuration: Configuration) -> Facts {
    let outer = outer::read(&root, &outers().expect("the built-in profiles"));
    let binaries: BTreeMap<_, _> = [&profile.binaries_required.value, &profile.binaries_optional.value]
        .into_iter()
        .flatten()
        .map(|name| (name.clone(), Some(format!("/usr/bin/{name}"))))
        .collect();
    let engine = Engine {
        version: profile.version.clone(),
        said_by: "dockerd --version".to_owned(),
        binaries,
        path: "/usr/bin".to_owned(),
        companions: BTreeMap::new(),
    };
    let request = Request { configuration: Ok(configuration), ..request(root, profile) };
    let early = EarlyProbes::start(&request.root);
    Facts::read(&request, Ok(engine), outer).finish(Some(early), &request)
}

/// What is asked of it for an engine that is told nothing.
pub(crate) fn request(root: Root, profile: &Profile) -> Request {
    Request {
        root,
        configuration: Ok(Configuration::of_words(&[])),
        soft_limits: Vec::new(),
        pidfiles: profile.pidfiles.value.clone(),
        sockets: profile.sockets.value.clone(),
        directories: profile.storage_directories.value.clone(),
        image_store: profile.storage_image_store.value,
        drivers: profile.graph_drivers().map(str::to_owned).collect(),
        netfilter: Wanted::default(),
        daemon: profile.launch_command.value.clone(),
        can_validate: true,
        ask_client: false,
    }
}
