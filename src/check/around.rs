//! What the engine around us has to do with a finding: what it gives by itself, and what to change in it.

use crate::facts;
use crate::finding::{Evidence, Finding, Outcome, Severity};
use crate::profile::outer::Kind;
use crate::profile::{LoadError, Outer, Profile, Profiles};

/// The layers around the inner daemon, as `profiles/` knows them.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// What was recognised, the nearest one first; without Docker, whose remedies the checks themselves know.
    layers: Vec<Outer>,
    /// What a Docker of the version that the user said gives to its containers.
    docker: Option<Profile>,
}

impl Around {
    /// Finds the layers among the known ones.
    ///
    /// # Errors
    /// There is no profile of the version that the user said.
    pub fn new(outer: &facts::outer::Outer, known: &[Outer], profiles: &Profiles) -> Result<Self, LoadError> {
        let layers = outer.layers().filter_map(|id| known.iter().find(|outer| outer.id == id));
        let is_docker = outer.engine.as_deref() == Some(DOCKER);
        let docker =
            outer.version.as_ref().filter(|_| is_docker).map(|version| profiles.resolve(version)).transpose()?;
        Ok(Self { layers: layers.filter(|outer| outer.id != DOCKER).cloned().collect(), docker })
    }

    /// Adds to a finding that is no pass what these layers have to do with it.
    pub fn advise(&self, finding: &mut Finding) {
        if finding.outcome != Outcome::Fail {
            return;
        }
        // Where nothing is wrong, no setting of the engine's is.
        let layers = self.layers.iter().filter(|_| finding.severity != Severity::Info);
        let remedies: Vec<String> =
            layers.filter_map(|outer| Some(format!("{}: {}", outer.title, outer.remedy_of(finding.id)?))).collect();
        // Under another engine than Docker its command line is of no use.
        if !remedies.is_empty() && self.layers.iter().any(|outer| outer.kind == Kind::Engine) {
            finding.remedy.retain(|remedy| !remedy.contains("docker run"));
        }
        finding.remedy.splice(0..0, remedies);
        if let Some(docker) = self.docker.as_ref().filter(|_| finding.id.starts_with("cgroup.")) {
            let (mounts, namespace) = (&docker.outer_cgroup_mounts, &docker.outer_cgroup_namespace);
            finding.evidence.push(Evidence {
                location: format!("what Docker {} gives to a container ({})", docker.version, mounts.from),
                value: format!("cgroup mounts: {}; cgroup namespace: {}", word(&mounts.value), word(&namespace.value)),
                wanted: None,
            });
            finding.source.extend([mounts.source.clone(), namespace.source.clone()]);
        }
    }
}

/// Its id in `profiles/outer`.
const DOCKER: &str = "docker";

/// A value as the profile file has it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
