//! Mends of limits: soft ones of the daemon, and sysctls of the host.

use super::step::Step;
use super::{Fix, Scope};
use crate::facts::limits::{Limit, Setting};

/// Gives the daemon another soft limit (`nofile`, `nproc`), within the hard one. None: it is that already.
pub fn set_soft(check: &'static str, name: &str, limit: Limit, most: Option<u64>) -> Option<Fix> {
    let soft = [limit.hard, most].into_iter().flatten().min();
    let title = match soft {
        Some(soft) => format!("start the daemon with a soft limit of {soft} ({name})"),
        None => format!("start the daemon without a soft limit ({name})"),
    };
    let step = Step::SetLimit { name: name.to_owned(), soft, before: limit.soft };
    (soft != limit.soft).then(|| Fix::in_container(check, title, vec![step]))
}

/// Raises settings of the kernel: the host's, but for those of a user namespace of our own.
pub fn raise(check: &'static str, settings: &[(&Setting, u64)]) -> Option<Fix> {
    let steps: Vec<Step> = settings
        .iter()
        .filter_map(|(setting, value)| {
            let (path, before) = (setting.path.clone(), setting.value?.to_string());
            Some(Step::SetSysctl { path, value: value.to_string(), before })
        })
        .collect();
    let own = settings.iter().all(|(setting, _)| setting.path.starts_with("/proc/sys/user/"));
    let (scope, whose) = if own { (Scope::Container, "this user namespace") } else { (Scope::Host, "the host") };
    (!steps.is_empty()).then(|| Fix { check, title: format!("raise the limits of {whose}"), scope, steps })
}
