//! What the package manager of an image says about the versions of programs.

use super::{Node, Tree};

/// Where the databases are, and how a package and its version begin a line there.
const DATABASES: [(&str, &str, &str); 3] = [
    ("/var/lib/dpkg/status", "Package: ", "Version: "),
    ("/lib/apk/db/installed", "P:", "V:"),
    ("/usr/lib/apk/db/installed", "P:", "V:"),
];

/// The packages that a program comes in.
fn packages_of(program: &str) -> &'static [&'static str] {
    match program {
        "dockerd" => &["docker.io", "docker-ce", "docker-engine", "moby-engine"],
        "docker" => &["docker-cli", "docker-ce-cli", "docker.io", "docker-engine", "lxc-docker"],
        "containerd" => &["containerd", "containerd.io"],
        // containerd.io has one too, and does not say which.
        "runc" => &["runc"],
        "crun" => &["crun"],
        _ => &[],
    }
}

/// The package that a program comes in, its version, and the database.
pub(super) fn version_of(tree: &Tree, program: &str) -> Option<(String, String, &'static str)> {
    let wanted = packages_of(program);
    DATABASES.iter().find_map(|(path, name, version)| {
        let Node::File { content: Some(content), .. } = tree.resolve(path)?.1 else { return None };
        let text = String::from_utf8_lossy(content);
        text.split("\n\n").find_map(|block| {
            let field = |prefix: &str| block.lines().find_map(|line| line.strip_prefix(prefix));
            let package = field(name)?;
            if !wanted.contains(&package) || field("Status: ").is_some_and(|status| !status.ends_with(" installed")) {
                return None;
            }
            // apk adds the number of its own revision: 28.5.2-r1.
            let version = field(version)?.split("-r").next()?;
            Some((package.to_owned(), version.to_owned(), *path))
        })
    })
}
