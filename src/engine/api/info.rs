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
}

/// What the engine says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    /// The storage driver, or snapshotter, in use.
    pub storage_driver: String,
    /// Whether memory can be limited; none: it does not say.
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
}

impl Api {
    /// Asks the engine about itself.
    ///
    /// # Errors
    /// What the daemon said.
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
        })
    }
}
