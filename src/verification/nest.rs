//! What all scenarios share: the daemon, the test image, what is known of both sides, and the names of what they make.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::{join, join_all, join3};

use super::image;
use super::inside;
use super::scenario::{Ledger, Refused, blocking};
use crate::engine::api::container::{Run, Spec, State};
use crate::engine::api::info::Info;
use crate::engine::api::{Api, ApiError};
use crate::engine::ours::{Owner, VERIFICATION, persist};
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
    /// What is there of ours.
    made: RefCell<Vec<Made>>,
    /// What was, when we wanted to remove it.
    gone: RefCell<Vec<Made>>,
}

/// Something that we have made in the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Made {
    Container(String),
    Image(String),
    Network(String),
    Volume(String),
}

impl Made {
    async fn is_there(&self, api: &Api) -> Result<bool, ApiError> {
        match self {
            Self::Container(id) => api.has_container(id).await,
            Self::Image(id) => api.has_image(id).await,
            Self::Network(name) => api.has_network(name).await,
            Self::Volume(name) => api.has_volume(name).await,
        }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Container(id) => ("container", id),
            Self::Image(id) => ("image", id),
            Self::Network(name) => ("network", name),
            Self::Volume(name) => ("volume", name),
        };
        write!(f, "{kind} {}", name.get(..19).filter(|_| name.len() >= 64).unwrap_or(name))
    }
}

impl<'a> Nest<'a> {
    /// Imports the test image.
    pub(super) async fn new(api: &'a Api, profile: &'a Profile, owner: Owner) -> Result<Self, Refused> {
        // A fresh name each time: up to 1.10 a create that failed keeps its name.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{owner}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let tar = image::tar().map_err(|error| blocking(format!("cannot read /proc/self/exe: {error}")))?;
        let image_name = named(&unique, "image");
        let label = owner.to_string();
        let image = api.import(&image_name, (VERIFICATION.label, &label), tar);
        // What the daemon tells of itself it asks several programs for.
        let (image, info, bridge) = join3(image, api.info(), api.has_network("bridge")).await;
        let (image, info, default_network) = (image?, info?, bridge?);
        let made = RefCell::new(vec![Made::Image(image.clone())]);
        let (ledger, gone) = (Ledger::default(), RefCell::default());
        Ok(Self { api, profile, info, image, image_name, default_network, ledger, owner, unique, made, gone })
    }

    /// A name of ours.
    pub(super) fn name(&self, what: &str) -> String {
        named(&self.unique, what)
    }

    /// The labels of what we make.
    pub(super) fn labels(&self) -> HashMap<String, String> {
        HashMap::from([(VERIFICATION.label.to_owned(), self.owner.to_string())])
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

    /// Makes a container of ours.
    pub(super) async fn create(&self, spec: &Spec) -> Result<String, Refused> {
        let container = self.api.create(spec).await?;
        self.made.borrow_mut().push(Made::Container(container.clone()));
        Ok(container)
    }

    /// Makes a network of ours.
    pub(super) async fn create_network(&self, name: &str) -> Result<(), ApiError> {
        self.api.create_network(name, self.labels()).await?;
        self.made.borrow_mut().push(Made::Network(name.to_owned()));
        Ok(())
    }

    /// Makes a volume of ours.
    pub(super) async fn create_volume(&self, name: &str) -> Result<(), ApiError> {
        self.api.create_volume(name, self.labels()).await?;
        self.made.borrow_mut().push(Made::Volume(name.to_owned()));
        Ok(())
    }

    /// Removes a container of ours. One that the daemon does not give up is no failure of what it has proved: it is found
    /// again when we look for what is left.
    pub(super) async fn remove(&self, container: &str) {
        let removed = persist(async || match self.api.remove_container(container).await {
            // Someone else's removal is under way.
            Err(error) if error.status == Some(409) => Ok(false),
            other => other,
        });
        let removed = removed.await;
        let one = Made::Container(container.to_owned());
        self.made.borrow_mut().retain(|made| *made != one);
        if matches!(removed, Ok(false)) {
            self.gone.borrow_mut().push(one);
        }
    }

    /// What of ours someone else has removed so far.
    pub(super) async fn gone(&self) -> Vec<String> {
        let made = self.made.borrow().clone();
        let looked = join_all(made.iter().map(|made| made.is_there(self.api))).await;
        let gone = made.into_iter().zip(looked).filter_map(|(made, there)| (there.ok() == Some(false)).then_some(made));
        self.gone.borrow().iter().cloned().chain(gone).map(|made| made.to_string()).collect()
    }

    /// Runs a container to its end and removes it, whatever its exit status; gives its id, what it printed, and how it
    /// was at its end.
    pub(super) async fn run_any(&self, spec: &Spec) -> Result<(String, Run, State), Refused> {
        let container = self.create(spec).await?;
        let (run, state) = self.run_made(&container).await?;
        Ok((container, run, state))
    }

    /// The same for one that is made already.
    pub(super) async fn run_made(&self, container: &str) -> Result<(Run, State), Refused> {
        let ran = async {
            self.api.start(container).await?;
            let status = self.api.wait(container).await?;
            let (logs, state) = join(self.api.logs(container, None), self.api.state(container)).await;
            Ok((Run { status, ..logs? }, state?))
        }
        .await;
        self.remove(container).await;
        ran
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
                .saw("standard output", run.stdout.text())
                .saw("standard error", run.stderr.text())
                .into()
        })
    }

    /// Whether the profile's engine has an API; what it has not is reported with the reason.
    pub(super) fn has(&self, api: ApiVersion, what: &str) -> Result<(), Refused> {
        let max = &self.profile.api_max;
        if max.value >= api {
            return Ok(());
        }
        let reason = format!("Docker {} has no {what}: API {}, {what} since {api}", self.profile.version, max.value);
        Err(Verdict::not_applicable(reason).saw(format!("{}: api.max", max.from), max.value.to_string()).into())
    }
}

fn named(unique: &str, what: &str) -> String {
    format!("{}{unique}-{what}", VERIFICATION.prefix)
}

/// Whether a test container did its work: then it ends with our status.
pub(super) fn worked(run: &Run) -> Result<(), Refused> {
    if run.status == i64::from(super::STATUS) {
        return Ok(());
    }
    Err(blocking("the test container could not do its work")
        .saw_wanted("exit status", run.status.to_string(), super::STATUS.to_string())
        .saw("standard error", run.stderr.text())
        .into())
}
