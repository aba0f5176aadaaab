//! From the daemon's start to the proof: waits for its API, loads images, runs the test container.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::describe_status;
use super::stage::Stage;
use crate::cli::RunArgs;
use crate::diagnosis;
use crate::engine::api::{self, Api};
use crate::engine::{preload, socket};
use crate::exit;
use crate::init::tell::Phase;
use crate::init::worker::{Sender, Worker};
use crate::init::{Event, asks_to_stop};
use crate::profile::Profile;
use crate::report::{Failure, Launch};
use crate::verification::{self, Options, Verification, drill};

/// How long a daemon whose API cannot be reached any more may take to end by itself.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What came of it.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) launch: Launch,
    pub(super) proof: Option<Verification>,
    /// The signal that asked us to end before it was done.
    pub(super) asked: Option<i32>,
}

/// What is wanted of a daemon whose API answers.
pub(super) enum Job {
    /// Nothing more.
    Answer,
    /// The proof.
    Prove(Profile, Options),
    /// A container that is there when the daemon is killed; the claim that this is for.
    Plant(Profile, &'static str),
    /// What has become of that container.
    Resume(Profile, &'static str),
}

impl Job {
    async fn perform(&self, api: &Api, say: &dyn Fn(&str)) -> Option<Verification> {
        match self {
            Self::Answer => None,
            Self::Prove(profile, options) => Some(verification::verify(api, profile, options, say).await),
            Self::Plant(profile, claim) => {
                let refused = drill::plant(api, profile).await.err()?;
                Some(drill::failed(claim, refused, Duration::ZERO))
            }
            Self::Resume(profile, claim) => Some(drill::prove(api, profile, claim).await),
        }
    }

    /// What is said while it goes on.
    fn progress(&self) -> &'static str {
        match self {
            Self::Answer => "the API answers",
            Self::Prove(..) => "the API answers, running the test container",
            Self::Plant(..) => "restart drill: starting a container",
            Self::Resume(..) => "restart drill: the daemon answers again",
        }
    }
}

/// What the worker is to do.
struct Task {
    socket: String,
    /// For the first answer.
    deadline: Instant,
    /// For each request.
    timeout: Duration,
    job: Job,
    images: Vec<PathBuf>,
}

/// What the worker tells.
enum Step {
    Ready { engine: String, api: String },
    Unreachable(String),
    Loading(PathBuf),
    NotLoaded(String),
    Said(String),
    Proved(Option<Verification>),
}

/// Waits until the API answers, the daemon has ended, or the deadline has come; gives the signal that asked us to end.
pub(super) fn wait_for_answer(stage: &mut Stage, deadline: Instant) -> anyhow::Result<Option<i32>> {
    let Some(daemon) = &stage.daemon else { return Ok(None) };
    let socket = daemon.socket.clone();
    let worker = Worker::start(move |sender| {
        let timeout = deadline.saturating_duration_since(Instant::now());
        // Whoever waits has the same deadline, and later says why nobody can talk to the daemon.
        if socket::wait(&socket, deadline).is_ok()
            && let Ok(Ok(_)) = api::block_on(Api::connect(&socket, timeout))
        {
            sender.send(());
        }
    })?;
    loop {
        match stage.next(Some(&worker), Some(deadline))? {
            Event::Ended(pid, _) if stage.is_daemon(pid) => return Ok(None),
            Event::TimedOut => return Ok(None),
            Event::Signal(signal) if asks_to_stop(signal) => return Ok(Some(signal)),
            Event::Signal(signal) => stage.signal_daemon(signal),
            Event::Message if worker.take().is_some() => {
                stage.answered();
                return Ok(None);
            }
            Event::Ended(..) | Event::Message | Event::Reaped => {}
        }
    }
}

/// Proves the daemon on the stage, with an eye on it and on the signals all the time.
pub(super) fn prove(args: &RunArgs, stage: &mut Stage, job: Job, images: &[PathBuf]) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let Some(daemon) = &stage.daemon else { return Ok(outcome) };
    if let Some(status) = daemon.ended {
        outcome.launch.failure = Some(end_of_daemon(stage, status));
        return Ok(outcome);
    }
    // One that has answered already has that time again.
    let deadline = if stage.answers() { Instant::now() } else { daemon.started } + args.timeout;
    let progress = job.progress();
    let task = Task { socket: daemon.socket.clone(), deadline, timeout: args.timeout, job, images: images.to_vec() };
    let worker = Worker::start(move |sender| work(sender, &task))?;
    // Why nobody can talk to the daemon, and when to believe that it lives on all the same.
    let mut unreachable: Option<(String, Instant)> = None;
    loop {
        let last_words = unreachable.as_ref().map(|(_, until)| *until);
        match stage.next(Some(&worker), last_words.or(Some(deadline).filter(|_| !stage.answers())))? {
            Event::Ended(pid, status) if stage.is_daemon(pid) => {
                outcome.launch.failure = Some(end_of_daemon(stage, status));
                return Ok(outcome);
            }
            Event::TimedOut if unreachable.is_some() => {
                let reason = unreachable.map(|(reason, _)| reason).unwrap_or_default();
                outcome.launch.failure = Some(failure(stage, reason));
                return Ok(outcome);
            }
            Event::TimedOut => {
                let waited = args.timeout.as_secs();
                outcome.launch.failure =
                    Some(failure(stage, format!("the daemon's API did not answer within {waited} s")));
                return Ok(outcome);
            }
            Event::Signal(signal) if asks_to_stop(signal) => {
                let ended = describe_status(exit::of_signal(signal));
                outcome.launch.failure =
                    Some(failure(stage, format!("asked to stop before the daemon was proved ({ended})")));
                outcome.asked = Some(signal);
                return Ok(outcome);
            }
            Event::Signal(signal) => stage.signal_daemon(signal),
            Event::Message => match worker.take() {
                Some(Step::Ready { engine, api }) => {
                    let answered = stage.answered();
                    outcome.launch.ready_ms = answered.and_then(|after| u64::try_from(after.as_millis()).ok());
                    outcome.launch.engine = Some(engine);
                    outcome.launch.api = Some(api);
                    stage.tell.phase(Phase::Verifying);
                    stage.progress.wait_for(progress);
                }
                Some(Step::Loading(path)) => stage.progress.wait_for(&format!("loading {}", path.display())),
                // The daemon is none the worse for it; whoever needs the image will be told by it.
                Some(Step::NotLoaded(text) | Step::Said(text)) => stage.progress.say(&text),
                // A daemon that dies drops its connections first: its end says more than they do.
                Some(Step::Unreachable(reason)) => unreachable = Some((reason, Instant::now() + LAST_WORDS)),
                Some(Step::Proved(proof)) => {
                    stage.progress.done();
                    worker.join();
                    outcome.proof = proof;
                    return Ok(outcome);
                }
                None => {}
            },
            Event::Ended(..) | Event::Reaped => {}
        }
    }
}

/// The worker: the socket, the first answer, the test container, the images.
fn work(sender: &Sender<Step>, task: &Task) {
    if let Err(error) = socket::wait(&task.socket, task.deadline) {
        // The loop has the same deadline and says more about it.
        if error.kind() != std::io::ErrorKind::TimedOut {
            sender.send(Step::Unreachable(format!("cannot watch for {}: {error}", task.socket)));
        }
        return;
    }
    let result = api::block_on(async {
        let api = match Api::connect(&task.socket, task.timeout).await {
            Ok(api) => api,
            Err(error) => return sender.send(Step::Unreachable(error.to_string())),
        };
        sender.send(Step::Ready { engine: api.engine.clone(), api: api.version.clone() });
        let say = |text: &str| sender.send(Step::Said(text.to_owned()));
        let proof = task.job.perform(&api, &say).await;
        if proof.as_ref().is_none_or(Verification::passed) {
            for image in &task.images {
                sender.send(Step::Loading(image.clone()));
                if let Err(error) = preload::load(&api, image).await {
                    sender.send(Step::NotLoaded(error.to_string()));
                }
            }
        }
        sender.send(Step::Proved(proof));
    });
    if let Err(error) = result {
        sender.send(Step::Unreachable(format!("cannot talk to the daemon: {error}")));
    }
}

fn end_of_daemon(stage: &Stage, status: u8) -> Failure {
    let what = if stage.answers() { "before it was proved" } else { "before its API answered" };
    failure(stage, format!("the daemon ended {what}, with {}", describe_status(status)))
}

fn failure(stage: &Stage, summary: String) -> Failure {
    let log = stage.daemon.as_ref().map(|daemon| daemon.log.text()).unwrap_or_default();
    // A log that cannot be diagnosed tells nothing more, and stands on standard error anyway.
    match diagnosis::diagnose(log.as_bytes(), stage.beside_log.clone()) {
        Ok(diagnosis) => Failure::diagnosed(summary, diagnosis),
        Err(_) => Failure::new(summary),
    }
}
