//! The unix socket of the daemon, as it would have made it.

use crate::configuration::Configuration;
use crate::fact::Root;

/// Its mode (docker/go-connections sockets/unix_socket_unix.go).
pub const MODE: u32 = 0o660;
/// Beside it below XDG_RUNTIME_DIR, so that no one clears it away (moby pkg/homedir).
pub const STICKY: u32 = 0o1000;
/// Its group unless one is named (moby cmd/dockerd/config_unix.go).
const GROUP: &str = "docker";

/// The group that it gets; `None` for ours.
///
/// # Errors
/// A group that is asked for, and is not there.
pub fn group(root: &Root, configuration: &Configuration) -> Result<Option<u32>, String> {
    let named = configuration.group();
    let name = named.unwrap_or(GROUP);
    if name.is_empty() {
        return Ok(None);
    }
    let groups = root.read("/etc/group").unwrap_or_default();
    let number = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    match (number.or_else(|| name.parse().ok()), named) {
        (Some(number), _) => Ok(Some(number)),
        (None, None) => Ok(None),
        (None, Some(named)) => Err(format!("--group: there is no group {named} in /etc/group")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::configuration;
    use crate::facts::places::Places;

    fn group_of(groups: &str, args: &[&str]) -> Result<Option<u32>, String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("etc")).unwrap();
        std::fs::write(directory.path().join("etc/group"), groups).unwrap();
        let root = Root::new(directory.path());
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        group(&root, &configuration::read(&root, &Places::of_root(), &args, &[], None).unwrap())
    }

    #[test]
    fn the_group_is_the_one_that_is_asked_for_or_docker_where_there_is_one() {
        let groups = "root:x:0:\ndocker:x:998:\nci:x:7:u\n";
        assert_eq!(group_of(groups, &[]), Ok(Some(998)));
        assert_eq!(group_of(groups, &["-G", "ci"]), Ok(Some(7)));
        assert_eq!(group_of(groups, &["--group=12"]), Ok(Some(12)));
        assert_eq!(group_of(groups, &["--group="]), Ok(None));
        assert_eq!(group_of(groups, &["--group=no"]).unwrap_err(), "--group: there is no group no in /etc/group");
        assert_eq!(group_of("", &[]), Ok(None));
    }
}
