//! Where a daemon keeps what it keeps unless told otherwise: root's places, or those of the user that it runs for.

use std::env;

use super::Root;

/// The socket of a daemon that runs as root.
pub const ROOT_SOCKET: &str = "/var/run/docker.sock";
/// The variable by which a daemon knows that RootlessKit has started it (moby pkg/rootless).
pub const INSIDE_VARIABLE: &str = "ROOTLESSKIT_STATE_DIR";

/// The places of one daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Of a rootless daemon: what stands for /run, for /var/lib and for /etc.
    user: Option<[String; 3]>,
}

impl Places {
    /// Those of the daemon of this machine; of a captured one, root's.
    pub fn of(root: &Root) -> Self {
        let rootless = env::var_os(INSIDE_VARIABLE).is_some() || !nix::unistd::geteuid().is_root();
        Self { user: (rootless && root.is_live()).then(|| Self::of_user(&|name| env::var(name).ok())) }
    }

    /// As the daemon finds them (moby pkg/homedir), with the default that images have for XDG_RUNTIME_DIR
    /// (docker-library/docker, dockerd-entrypoint.sh).
    fn of_user(variable: &dyn Fn(&str) -> Option<String>) -> [String; 3] {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let home = set("HOME").unwrap_or_default();
        [
            set("XDG_RUNTIME_DIR").unwrap_or_else(|| format!("/run/user/{}", nix::unistd::getuid())),
            set("XDG_DATA_HOME").unwrap_or_else(|| format!("{home}/.local/share")),
            set("XDG_CONFIG_HOME").unwrap_or_else(|| format!("{home}/.config")),
        ]
    }

    /// Where this daemon has what root's has at `path`.
    pub fn translate(&self, path: &str) -> String {
        let Some([run, data, configuration]) = &self.user else { return path.to_owned() };
        [("/var/run/", run), ("/run/", run), ("/var/lib/", data), ("/etc/", configuration)]
            .into_iter()
            .find_map(|(prefix, own)| Some(format!("{own}/{}", path.strip_prefix(prefix)?)))
            .unwrap_or_else(|| path.to_owned())
    }

    /// What lives as long as the daemon.
    pub fn run(&self) -> &str {
        self.user.as_ref().map_or("/run", |[run, ..]| run)
    }

    /// Those of a daemon that runs as root.
    pub fn of_root() -> Self {
        Self { user: None }
    }

    /// Those of the daemon that this process is a client of: a user may be a client of root's daemon, by its group.
    pub fn of_served(root: &Root) -> Self {
        Self::of(root).served(&|path| root.exists(path))
    }

    /// Root's, where only root's has a socket.
    fn served(self, is_there: &dyn Fn(&str) -> bool) -> Self {
        if is_there(&self.socket()) || !is_there(ROOT_SOCKET) { self } else { Self::of_root() }
    }

    /// Its socket.
    pub fn socket(&self) -> String {
        self.translate(ROOT_SOCKET)
    }

    /// Its configuration.
    pub fn daemon_json(&self) -> String {
        self.translate("/etc/docker/daemon.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rootless_daemon_has_the_same_places_elsewhere() {
        let user = ["/run/user/7", "/home/u/.local/share", "/home/u/.config"].map(str::to_owned);
        let places = Places { user: Some(user) };
        assert_eq!(places.socket(), "/run/user/7/docker.sock");
        assert_eq!(places.daemon_json(), "/home/u/.config/docker/daemon.json");
        assert_eq!(places.translate("/var/lib/docker/overlay2"), "/home/u/.local/share/docker/overlay2");
        assert_eq!(places.translate("/run/docker.pid"), "/run/user/7/docker.pid");
        assert_eq!(places.translate("/proc/x"), "/proc/x");
        assert_eq!(places.run(), "/run/user/7");
        let served = |there: &[&str]| places.clone().served(&|path| there.contains(&path)).socket();
        let own = "/run/user/7/docker.sock";
        assert_eq!([served(&[]), served(&[own]), served(&[own, ROOT_SOCKET])], [own; 3]);
        assert_eq!(served(&[ROOT_SOCKET]), ROOT_SOCKET);
        assert_eq!(Places::of(&Root::new("/captured")), Places::of_root());
        assert_eq!((Places::of_root().run(), Places::of_root().socket().as_str()), ("/run", ROOT_SOCKET));
    }

    #[test]
    fn a_user_s_places_are_where_variables_have_them_or_below_home() {
        let of_user = |variables: &[(&str, &str)]| {
            let found =
                |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
            Places::of_user(&found)
        };
        let run = format!("/run/user/{}", nix::unistd::getuid());
        let home = [run.clone(), "/home/u/.local/share".to_owned(), "/home/u/.config".to_owned()];
        assert_eq!(of_user(&[("HOME", "/home/u")]), home);
        let empty = [("HOME", "/home/u"), ("XDG_RUNTIME_DIR", ""), ("XDG_DATA_HOME", ""), ("XDG_CONFIG_HOME", "")];
        assert_eq!(of_user(&empty), home);
        let all = [("HOME", "/home/u"), ("XDG_RUNTIME_DIR", "/r"), ("XDG_DATA_HOME", "/d"), ("XDG_CONFIG_HOME", "/c")];
        assert_eq!(of_user(&all), ["/r", "/d", "/c"]);
        assert_eq!(of_user(&[]), [run.as_str(), "/.local/share", "/.config"]);
    }
}
