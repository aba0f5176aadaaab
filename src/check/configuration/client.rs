//! configuration.client: the client's API.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "configuration.client",
    docs: Docs {
        title: "the client's API",
        motivation: "A daemon refuses clients that are too old for it, 29.0 all those before 25.0 (API 1.44): an \
                 image that has its engine from one place and its client from another, or that sets \
                 DOCKER_API_VERSION, has a daemon that no client can talk to.",
        looks_at: "The API version that `docker version` says of the client, with DOCKER_API_VERSION and \
               DOCKER_MIN_API_VERSION, against what this version takes.",
        remedy: "A newer client, no DOCKER_API_VERSION, or DOCKER_MIN_API_VERSION for the daemon.",
        since: "25.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let client = facts.client.as_ref()?;
    let Some(api) = client.api else {
        return Ok(Verdict::pass(format!("this version takes every client from {} on", profile.api_min.value)));
    };
    // The variable raises the minimum as well as it lowers it, in the versions that read it.
    let is_read = profile.launch_environment.value.iter().any(|name| name == "DOCKER_MIN_API_VERSION");
    let least = client.daemon_takes.filter(|_| is_read).unwrap_or(profile.api_min.value);
    if api >= least {
        return Ok(Verdict::pass(format!("the client speaks {api}, and {least} is enough")));
    }
    let mut verdict =
        Verdict::fail(Severity::Warning, format!("the client speaks {api}, and the daemon takes {least} and later"))
            .saw_wanted("docker version: API version of the client", api.to_string(), format!("{least} or later"));
    if let Some(held_to) = &client.held_to {
        verdict = verdict.saw("DOCKER_API_VERSION", held_to.clone()).remedy("leave DOCKER_API_VERSION out");
    }
    Ok(verdict
        .because("The daemon answers it with \"client version … is too old\".")
        .remedy("a client that is as new as the daemon")
        .remedy(format!("or DOCKER_MIN_API_VERSION={api} for the daemon, from 24.0 on"))
        .source(profile.api_min.source.clone()))
}
