//! How the daemon is started, and where its API will be.

use crate::configuration::{ComposeError, Configuration, Copy, Overrides};
use crate::profile::Profile;

/// How the daemon is started, and where its API will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program and its arguments: the version's own words, what variables ask for, then the user's.
    pub words: Vec<String>,
    /// The unix socket of the API.
    pub socket: String,
    /// A configuration file that the words name and that has to be written first.
    pub copy: Option<Copy>,
    /// Soft limits that are not ours: name (`nofile`, `nproc`), and value or none for unlimited.
    pub soft_limits: Vec<(String, Option<u64>)>,
}

/// Puts the command line together. `hosts` are the addresses that the daemon is told, in place of all that were asked
/// for; `copy` is where a configuration file may be put.
///
/// # Errors
/// As [`Configuration::compose`].
pub fn command_line(
    profile: &Profile,
    configuration: &Configuration,
    hosts: &[String],
    copy: &str,
) -> Result<CommandLine, ComposeError> {
    let overrides = Overrides { hosts: Some(hosts), copy: Some(copy), ..Overrides::default() };
    let composed = configuration.compose(&profile.launch_command.value, &overrides)?;
    let socket = configuration.socket();
    Ok(CommandLine { words: composed.words, socket, copy: composed.copy, soft_limits: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Root;
    use crate::facts::configuration;
    use crate::facts::places::Places;
    use crate::profile::Profiles;

    fn line(version: &str, json: Option<&str>, args: &[&str]) -> CommandLine {
        let directory = tempfile::tempdir().unwrap();
        if let Some(json) = json {
            std::fs::create_dir_all(directory.path().join("etc/docker")).unwrap();
            std::fs::write(directory.path().join("etc/docker/daemon.json"), json).unwrap();
        }
        let profile = Profiles::load(None).unwrap().resolve(&version.parse().unwrap()).unwrap();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let root = Root::new(directory.path());
        let configuration = configuration::read(&root, &Places::of_root(), &args, &[], Some(&profile.version)).unwrap();
        command_line(&profile, &configuration, &["fd://".to_owned()], "/run/copy").unwrap()
    }

    #[test]
    fn each_era_has_its_own_words() {
        assert_eq!(line("1.7.1", None, &["-D"]).words, ["docker", "-d", "--host=fd://", "-D"]);
        assert_eq!(line("1.9.1", None, &[]).words, ["docker", "daemon", "--host=fd://"]);
        assert_eq!(line("20.10.24", None, &[]).words, ["dockerd", "--host=fd://"]);
    }

    #[test]
    fn the_socket_is_where_the_user_says() {
        assert_eq!(line("28.5.2", None, &["-Hunix:///x.sock"]).socket, "/x.sock");
        assert_eq!(line("28.5.2", Some(r#"{"hosts": ["unix:///y.sock"]}"#), &[]).socket, "/y.sock");
        let tcp = line("28.5.2", None, &["--host=tcp://0.0.0.0:2375"]);
        assert_eq!(tcp.words, ["dockerd", "--host=fd://"]);
        assert_eq!(tcp.socket, "/var/run/docker.sock");
    }

    #[test]
    fn addresses_of_the_file_go_to_the_command_line() {
        let tcp = line("28.5.2", Some(r#"{"hosts": ["tcp://0.0.0.0:2375"], "mtu": 1400}"#), &[]);
        assert_eq!(tcp.words, ["dockerd", "--host=fd://", "--config-file=/run/copy"]);
        assert_eq!(tcp.copy.unwrap().content, r#"{"mtu":1400}"#);
    }
}
