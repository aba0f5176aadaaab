//! What all scenarios share: the daemon, the test image, what is known of both sides, and the names of what they make.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use super::image;
use super::inside;
use super::owner::{LABEL, Owner};
use super::scenario::{Ledger, Refused, blocking};
use super::scratch::PREFIX;
use crate::engine::api::Api;
use crate::engine::api::container::{Run, Spec, State};
use crate::engine::api::image::{ONLY_TAG, REPOSITORY};
use crate::engine::api::info::Info;
use crate::finding::Verdict;
use crate::profile::Profile;
use crate::version::ApiVersion;

/// The network of a container that needs none.
pub(super) const NO_NETWORK: &str = "none";

/// What all scenarios share.
pub(super) struct Nest<'a> {
    pub(super) api: &'a Api,
    pub(super) profile: &'a Profile,
    pub(super) info: Info,
    pub(super) image: String,
    /// The same image by its name.
    pub(super) image_name: String,
    /// Whether containers have a network unless told otherwise.
    pub(super) default_network: bool,
    pub(super) ledger: Ledger,
    owner: Owner,
    unique: String,
}

impl<'a> Nest<'a> {
    /// Imports the test image.
    pub(super) async fn new(api: &'a Api, profile: &'a Profile, owner: Owner) -> Result<Self, Refused> {
        let (info, bridge) = futures_util::future::join(api.info(), api.has_network("bridge")).await;
        let (info, default_network) = (info?, bridge?);
        // A fresh name each time: up to 1.10 a create that failed keeps its name.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{owner}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let tar = image::tar().map_err(|error| blocking(format!("cannot read /proc/self/exe: {error}")))?;
        let tag = if api.labels_images() { unique.as_str() } else { ONLY_TAG };
        let image = api.import(REPOSITORY, tag, (LABEL, &owner.to_string()), tar).await?;
        let image_name = format!("{REPOSITORY}:{tag}");
        Ok(Self { api, profile, info, image, image_name, default_network, ledger: Ledger::default(), owner, unique })
    }

    /// A name of ours.
    pub(super) fn name(&self, what: &str) -> String {
        format!("{PREFIX}{}-{what}", self.unique)
    }

    /// The labels of what we make.
    pub(super) fn labels(&self) -> HashMap<String, String> {
        HashMap::from([(LABEL.to_owned(), self.owner.to_string())])
    }

    /// A container of the test image that does what the words say.
    pub(super) fn spec(&self, what: &str, words: &[&str]) -> Spec {
        let command = [image::PATH, inside::COMMAND].iter().chain(words).map(|word| (*word).to_owned()).collect();
        Spec {
            name: self.name(what),
            image: self.image.clone(),
            command: Some(command),
            labels: self.labels(),
            ..Spec::default()
        }
    }

    /// Runs a container to its end and removes it, whatever its exit status; gives its id, what it printed, and how it
    /// was at its end.
    pub(super) async fn run_any(&self, spec: &Spec) -> Result<(String, Run, State), Refused> {
        let container = self.api.create(spec).await?;
        let ran = async {
            let ran = self.api.run(&container).await?;
            Ok::<_, Refused>((ran, self.api.state(&container).await?))
        }
        .await;
        let removed = self.api.remove_container(&container).await;
        let (ran, state) = ran?;
        removed?;
        Ok((container, ran, state))
    }

    /// The same; one that did not do its work is a failure.
    pub(super) async fn run(&self, spec: &Spec) -> Result<(Run, State), Refused> {
        let (_, ran, state) = self.run_any(spec).await?;
        worked(&ran)?;
        Ok((ran, state))
    }

    /// What was told of a subject in a container's output.
    pub(super) fn told(&self, run: &Run, subject: &str) -> Result<inside::Told, Refused> {
        inside::told(&run.stdout, subject).ok_or_else(|| {
            blocking(format!("the test container said nothing of {subject}"))
                .saw("standard output", run.stdout.trim())
                .saw("standard error", run.stderr.trim())
                .into()
        })
    }

    /// Whether the profile's engine has an API; what it has not is said with the reason.
    pub(super) fn has(&self, api: ApiVersion, what: &str) -> Result<(), Refused> {
        let max = &self.profile.api_max;
        if max.value >= api {
            return Ok(());
        }
        let reason = format!("Docker {} has no {what}: API {}, {what} since {api}", self.profile.version, max.value);
        Err(Verdict::not_applicable(reason).saw(format!("{}: api.max", max.from), max.value.to_string()).into())
    }
}

/// Whether a test container did its work: then it ends with our status.
pub(super) fn worked(run: &Run) -> Result<(), Refused> {
    if run.status == i64::from(super::STATUS) {
        return Ok(());
    }
    Err(blocking("the test container could not do its work")
        .saw_wanted("exit status", run.status.to_string(), super::STATUS.to_string())
        .saw("standard error", run.stderr.trim())
        .into())
}
