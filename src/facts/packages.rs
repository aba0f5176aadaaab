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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the database at `path` with this text says of the daemon.
    fn said(path: &str, text: &str) -> Option<(String, String)> {
        let read = |asked: &str| (asked == path).then(|| text.to_owned());
        version_of("dockerd", &read).map(|(version, by)| (format!("{:?}", version.release()), by))
    }

    #[test]
    fn dpkg_and_apk_are_understood() {
        let dpkg = "Package: docker\nStatus: install ok installed\nVersion: 1.5-2\n\n\
            Package: docker-ce\nStatus: install ok installed\nVersion: 5:28.5.2-1~debian.12~bookworm\n";
        let by = |text: &str| Some(("[28, 5, 2]".to_owned(), text.to_owned()));
        assert_eq!(said("/var/lib/dpkg/status", dpkg), by("/var/lib/dpkg/status: docker-ce"));
        let apk = "P:docker\nV:1.0.0-r0\n\nC:Q1\nP:docker-engine\nV:28.5.2-r1\nA:x86_64\n";
        assert_eq!(said("/usr/lib/apk/db/installed", apk), by("/usr/lib/apk/db/installed: docker-engine"));
    }

    #[test]
    fn each_program_is_known_by_each_of_its_packages_alone() {
        let all: [(&str, &[&str]); 6] = [
            ("dockerd", &["docker.io", "docker-ce", "docker-engine", "moby-engine"]),
            ("docker", &["docker-cli", "docker-ce-cli", "docker.io", "docker-engine", "lxc-docker"]),
            ("containerd", &["containerd", "containerd.io"]),
            ("runc", &["runc"]),
            ("crun", &["crun"]),
            ("tini", &[]),
        ];
        for (program, package) in all.iter().flat_map(|(_, packages)| all.map(|(program, _)| (program, packages))) {
            for package in *package {
                let text = format!("Package: {package}\nStatus: install ok installed\nVersion: 1.2.3-4\n");
                let found = version_of(program, &|_| Some(text.clone())).is_some();
                let own = all.iter().any(|(known, packages)| *known == program && packages.contains(package));
                assert_eq!(found, own, "{program} in {package}");
            }
        }
    }

    #[test]
    fn a_package_that_was_removed_says_nothing() {
        let text = "Package: docker.io\nStatus: deinstall ok config-files\nVersion: 20.10.24-1\n";
        assert_eq!(said("/var/lib/dpkg/status", text), None);
        assert_eq!(said("/var/lib/dpkg/status", "no database"), None);
    }
}
