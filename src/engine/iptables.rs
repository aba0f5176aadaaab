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
    path_in(&Root::new("/"), Path::new(state::DIRECTORY), choice, path)
}

fn path_in(root: &Root, directory: &Path, choice: &str, path: &str) -> io::Result<String> {
    let links = match choose(root, choice, path)? {
        Chosen::Official => return Ok(format!("{OFFICIAL_LEGACY}:{path}")),
        Chosen::Links(links) => links,
    };
    let shims = State::make(directory)?.make_below(SHIM)?;
    for (link, program) in links {
        shims.link(&link, &program)?;
    }
    Ok(format!("{}:{path}", shims.path().display()))
}

/// How the chosen programs are found.
#[derive(Debug, PartialEq, Eq)]
enum Chosen {
    /// By the links of the official image.
    Official,
    /// By links of our own: name and program.
    Links(Vec<(String, String)>),
}

fn choose(root: &Root, choice: &str, path: &str) -> io::Result<Chosen> {
    let flavour = if choice.is_empty() { "nft" } else { "legacy" };
    if flavour == "legacy" && root.exists(&format!("{OFFICIAL_LEGACY}/iptables")) {
        return Ok(Chosen::Official);
    }
    let mut links = Vec::new();
    for family in FAMILIES {
        for verb in VERBS {
            if let Some(program) = find(root, path, &format!("{family}-{flavour}{verb}")) {
                links.push((format!("{family}{verb}"), program));
            }
        }
    }
    if links.is_empty() {
        // Built for one interface only, iptables needs no choice; which one it is, a check says.
        let reason = format!("DOCKER_IPTABLES_LEGACY: there is no iptables-{flavour} in {path}");
        return Err(io::Error::new(io::ErrorKind::NotFound, reason));
    }
    Ok(Chosen::Links(links))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(root: &Root, path: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = root.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_programs_of_the_choice_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path());
        let make = |path: &str| make(&root, path);
        let chosen = |choice: &str| choose(&root, choice, "/sbin").map_err(|error| error.kind());
        let links = |flavour: &str, names: &[(&str, &str)]| {
            let link =
                |(family, verb): &(&str, &str)| (format!("{family}{verb}"), format!("/sbin/{family}-{flavour}{verb}"));
            Ok(Chosen::Links(names.iter().map(link).collect()))
        };
        assert_eq!([chosen(""), chosen("1")], [Err(io::ErrorKind::NotFound), Err(io::ErrorKind::NotFound)]);
        make("/sbin/iptables-legacy");
        make("/sbin/ip6tables-legacy-restore");
        assert_eq!(chosen(""), Err(io::ErrorKind::NotFound));
        assert_eq!(chosen("1"), links("legacy", &[("iptables", ""), ("ip6tables", "-restore")]));
        make("/sbin/iptables-nft-save");
        make(&format!("{OFFICIAL_LEGACY}/iptables"));
        assert_eq!(chosen(""), links("nft", &[("iptables", "-save")]));
        assert_eq!(chosen("1"), Ok(Chosen::Official));
    }

    #[test]
    fn the_directory_with_the_programs_of_the_choice_goes_in_front_of_path() {
        let (directory, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = Root::new(directory.path());
        make(&root, "/sbin/iptables-legacy");
        let shims = state.path().join(SHIM);
        let path = |choice: &str| path_in(&root, state.path(), choice, "/bin:/sbin").map_err(|error| error.to_string());
        let none = "DOCKER_IPTABLES_LEGACY: there is no iptables-nft in /bin:/sbin";
        assert_eq!(path(""), Err(none.to_owned()));
        assert!(!shims.exists());
        assert_eq!(path("1"), Ok(format!("{}:/bin:/sbin", shims.display())));
        assert_eq!(std::fs::read_link(shims.join("iptables")).unwrap(), Path::new("/sbin/iptables-legacy"));
        make(&root, &format!("{OFFICIAL_LEGACY}/iptables"));
        assert_eq!(path("1"), Ok(format!("{OFFICIAL_LEGACY}:/bin:/sbin")));
        assert_eq!(path_for("", "/nowhere").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
