//! storage.d-type: d_type.

use super::volumes;
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::profile::{DType, Profile};

pub(in crate::check) const CHECK: Check = Check {
    id: "storage.d-type",
    docs: Docs {
        title: "d_type",
        motivation: "On a file system whose directories do not tell the type of their entries (xfs with ftype=0) \
                     overlay shows files that were deleted. Engines ignored it, then warned, then refused it.",
        looks_at: "The entries of a directory made in each place that carries layers.",
        remedy: "A volume on ext4, or on xfs made with ftype=1.",
        since: "1.13",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let storage = facts.storage.as_ref()?;
    let rule = &profile.storage_d_type;
    if rule.value == DType::Ignored {
        return Ok(Verdict::not_applicable("this engine does not look at it"));
    }
    let trials = storage.trials.as_ref()?;
    let Some(without) = trials.iter().find(|trial| trial.d_type == Some(false)) else {
        return Ok(if trials.iter().any(|trial| trial.d_type.is_some()) {
            Verdict::pass("directory entries tell their type")
        } else {
            Verdict::unknown("no directory could be read")
        });
    };
    let fresh = storage.used_drivers.is_empty();
    let severity = match rule.value {
        DType::Fatal => Severity::Blocking,
        DType::FatalNew if fresh => Severity::Blocking,
        _ => Severity::Warning,
    };
    Ok(Verdict::fail(severity, format!("{} has no d_type", without.tried_in))
        .saw_wanted(format!("readdir of {}", without.tried_in), "DT_UNKNOWN", "the type of each entry")
        .because("overlay cannot tell whiteouts from files there.")
        .remedy(volumes(storage))
        .source(rule.source.clone()))
}
