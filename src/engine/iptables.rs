//! DOCKER_IPTABLES_LEGACY: which of the two iptables the daemon finds first. Nothing of the image is changed: links
//! in a directory under /run, which goes in front of PATH.

use std::io;
use std::path::Path;

use crate::fact::Root;
use crate::facts::engine::find;
use crate::state::{self, State};

/// Where the official image keeps links to the legacy programs (docker-library/docker, Dockerfile-dind.template).
const OFFICIAL_LEGACY: &str = "/usr/local/sbin/.iptables-legacy";
/// Where ours are, in the directory of state.
const SHIM: &str = "iptables";
/// The programs that an engine or its network library runs.
const FAMILIES: [&str; 2] = ["iptables", "ip6tables"];
const VERBS: [&str; 3] = ["", "-save", "-restore"];

/// Gives the PATH with which the chosen programs are found; `choice` is the variable's value, empty for nftables.
///
/// # Errors
/// There are no such programs, or the links cannot be made.
pub fn path_for(choice: &str, path: &str) -> io::Result<String> {
    let root = Root::new("/");
    let flavour = if choice.is_empty() { "nft" } else { "legacy" };
    if flavour == "legacy" && Path::new(OFFICIAL_LEGACY).join("iptables").exists() {
        return Ok(format!("{OFFICIAL_LEGACY}:{path}"));
    }
    let mut links = Vec::new();
    for family in FAMILIES {
        for verb in VERBS {
            if let Some(program) = find(&root, path, &format!("{family}-{flavour}{verb}")) {
                links.push((format!("{family}{verb}"), program));
            }
        }
    }
    if links.is_empty() {
        // Built for one interface only, iptables needs no choice; which one it is, a check says.
        let reason = format!("DOCKER_IPTABLES_LEGACY: there is no iptables-{flavour} in {path}");
        return Err(io::Error::new(io::ErrorKind::NotFound, reason));
    }
    let shims = State::make(Path::new(state::DIRECTORY))?.make_below(SHIM)?;
    for (link, program) in links {
        shims.link(&link, &program)?;
    }
    Ok(format!("{}:{path}", shims.path().display()))
}
