//! What a package manager's database says about the versions of programs, here and in images.

use crate::version::EngineVersion;

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

/// The version of a program, and whose word it is.
pub fn version_of(program: &str, read: &dyn Fn(&str) -> Option<String>) -> Option<(EngineVersion, String)> {
    let wanted = packages_of(program);
    DATABASES.iter().find_map(|(path, name, version)| {
        let text = read(path)?;
        text.split("\n\n").find_map(|block| {
            let field = |prefix: &str| block.lines().find_map(|line| line.strip_prefix(prefix));
            let package = field(name)?;
            if !wanted.contains(&package) || field("Status: ").is_some_and(|status| !status.ends_with(" installed")) {
                return None;
            }
            // apk adds the number of its own revision: 28.5.2-r1.
            let version = field(version)?.split("-r").next()?;
            Some((version.parse().ok()?, format!("{path}: {package}")))
        })
    })
}
