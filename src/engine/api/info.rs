//! What the engine says about itself.

use serde::Deserialize;

use super::{Api, ApiError};

/// The part of `GET /info` that is read; what an engine does not know of is missing, an empty list is null.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    driver: Option<String>,
    memory_limit: Option<bool>,
    cpu_cfs_quota: Option<bool>,
    pids_limit: Option<bool>,
    cgroup_driver: Option<String>,
    security_options: Option<Vec<String>>,
    warnings: Option<Vec<String>>,
    live_restore_enabled: Option<bool>,
    docker_root_dir: Option<String>,
}

/// What the engine says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    /// The storage driver, or snapshotter, in use.
    pub storage_driver: String,
    /// Whether memory can be limited; `None` if it does not say.
    pub memory_limit: Option<bool>,
    /// Whether CPU time can be limited.
    pub cpu_limit: Option<bool>,
    /// Whether processes can be limited.
    pub pids_limit: Option<bool>,
    /// Whether containers get no cgroups at all.
    pub no_cgroups: bool,
    /// Security modules and namespaces that it uses, as it names them.
    pub security: Vec<String>,
    /// What it warns of.
    pub warnings: Vec<String>,
    /// Whether containers go on without the daemon.
    pub live_restore: bool,
    /// Its data-root.
    pub data_root: String,
}

impl Info {
    /// The user and the group that root of a container is, where the daemon maps users (`--userns-remap`): the data-root
    /// is named after them then (moby v1.10.0 daemon/daemon_unix.go, setupDaemonRoot; since 17.03 they are in
    /// SecurityOptions too).
    pub fn remapped_root(&self) -> Option<(u32, u32)> {
        let (user, group) = self.data_root.rsplit('/').next()?.split_once('.')?;
        Some((user.parse().ok()?, group.parse().ok()?))
    }
}

impl Api {
    /// Asks the engine about itself.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn info(&self) -> Result<Info, ApiError> {
        let info: Answer = self.get("ask for the engine's state", "/info").await?;
        Ok(Info {
            storage_driver: info.driver.unwrap_or_default(),
            memory_limit: info.memory_limit,
            cpu_limit: info.cpu_cfs_quota,
            pids_limit: info.pids_limit,
            no_cgroups: info.cgroup_driver.as_deref() == Some("none"),
            security: info.security_options.unwrap_or_default(),
            warnings: info.warnings.unwrap_or_default(),
            live_restore: info.live_restore_enabled.unwrap_or(false),
            data_root: info.docker_root_dir.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remapped_root_is_in_the_name_of_the_data_root() {
        let root = |path: &str| Info { data_root: path.to_owned(), ..Info::default() }.remapped_root();
        assert_eq!(root("/var/lib/docker/165536.165537"), Some((165_536, 165_537)));
        assert_eq!(root("/var/lib/docker"), None);
        assert_eq!(root("/data.1/docker-20.10"), None);
        assert_eq!(root(""), None);
    }
}
