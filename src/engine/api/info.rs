//! What the engine says about itself.

use bollard::models::SystemInfoCgroupDriverEnum;

use super::{Api, ApiError};

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
}

impl Api {
    /// Asks the engine about itself.
    ///
    /// # Errors
    /// What the daemon said.
    pub async fn info(&self) -> Result<Info, ApiError> {
        let info = self.docker.info().await.map_err(|error| ApiError::new("ask for the engine's state", error))?;
        Ok(Info {
            storage_driver: info.driver.unwrap_or_default(),
            memory_limit: info.memory_limit,
            cpu_limit: info.cpu_cfs_quota,
            pids_limit: info.pids_limit,
            no_cgroups: info.cgroup_driver == Some(SystemInfoCgroupDriverEnum::NONE),
            security: info.security_options.unwrap_or_default(),
            warnings: info.warnings.unwrap_or_default(),
        })
    }
}
