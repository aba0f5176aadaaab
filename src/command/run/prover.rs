//! The prover: a process of this same binary that talks to the daemon. It may die of anything, and be asked again.

use std::fs::File;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cli::RunArgs;
use crate::command::verify::asked;
use crate::engine::api::{self, Api};
use crate::engine::{preload, socket};
use crate::exit;
use crate::process;
use crate::profile::{Profile, Profiles};
use crate::verification::{self, Around, Options, Verification, drill};
use crate::version::EngineVersion;

/// The longest line that it tells, in bytes.
const MAX_LINE: usize = 16 << 20;

/// What the prover is asked for, a line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// To wait for the API's first answer.
    Answer {
        /// Where it will be.
        socket: String,
        /// For how long, in milliseconds; and for each request from then on.
        within_ms: u64,
        /// Whether it will be asked for a proof, too.
        will_prove: bool,
    },
    /// To prove the daemon.
    Prove {
        /// The engine's version, for its profile.
        version: String,
        /// What to prove.
        options: Options,
    },
    /// To load images.
    Load(Vec<PathBuf>),
    /// To start a container that is there when the daemon is killed.
    Plant {
        /// The engine's version.
        version: String,
        /// The claim that this is for.
        claim: String,
    },
    /// To say what has become of that container.
    Resume {
        /// The engine's version.
        version: String,
        /// The claim.
        claim: String,
    },
}

impl Ask {
    /// To wait for the API at a socket.
    pub(super) fn answer(args: &RunArgs, socket: &str, within: Duration) -> Self {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        Self::Answer { socket: socket.to_owned(), within_ms, will_prove: asked(args).is_some() }
    }
}

/// What it tells, likewise.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// The API answers.
    Ready {
        /// The engine's version.
        engine: String,
        /// The API version that both sides speak.
        api: String,
    },
    /// No one can talk to the daemon, and why.
    Unreachable(String),
    /// Something that takes its time.
    Said(String),
    /// What was proved; nothing, where that is only of interest if it failed.
    Proved(Option<Verification>),
    /// All images are loaded, but for these: and why.
    Loaded(Vec<String>),
}

/// The look process' side.
pub(super) struct Prover {
    child: Child,
    output: File,
    text: Vec<u8>,
}

impl Prover {
    /// Starts it.
    pub(super) fn start(args: &RunArgs) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.args(["part", "prove"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(directory) = &args.look.profile_dir {
            command.arg(directory);
        }
        process::dies_with_us(&mut command);
        let mut child = command.spawn()?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("its output is not connected"))?;
        Ok(Self { child, output: File::from(OwnedFd::from(output)), text: Vec::new() })
    }

    /// Asks it. One that has ended is heard of by its output.
    pub(super) fn ask(&mut self, ask: &Ask) -> io::Result<()> {
        let Some(stdin) = &mut self.child.stdin else { return Ok(()) };
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        match stdin.write_all(&line) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }

    /// Takes what it has told; false at the end.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 << 10];
        let count = self.output.read(&mut buffer)?;
        self.text.extend_from_slice(&buffer[..count]);
        if self.text.len() > MAX_LINE {
            return Err(io::Error::other("the prover tells too much"));
        }
        Ok(count > 0)
    }

    /// The next thing that was told whole.
    pub(super) fn next(&mut self) -> Option<Told> {
        let end = self.text.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.text.drain(..=end).collect();
        serde_json::from_slice(&line).ok()
    }

    /// How it ended.
    pub(super) fn end(&mut self) -> String {
        let _ = self.child.kill();
        self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Drop for Prover {
    fn drop(&mut self) {
        self.end();
    }
}

/// The prover's own side: answers until nothing asks any more.
pub(in crate::command) fn serve(profile_dir: Option<PathBuf>) -> anyhow::Result<u8> {
    // Read while the daemon starts.
    let profiles = Profiles::load(profile_dir.as_deref())?;
    let profile = |version: &str| -> anyhow::Result<Profile> {
        Ok(profiles
            .resolve(&version.parse::<EngineVersion>().map_err(|error| anyhow::anyhow!("{version}: {error}"))?)?)
    };
    let mut connected: Option<Api> = None;
    let mut around = None;
    for line in io::stdin().lock().lines() {
        let ask: Ask = serde_json::from_str(&line?)?;
        match ask {
            Ask::Answer { socket, within_ms, will_prove } => {
                // Who does not answer there costs half a second, which the daemon takes for its start anyway.
                around = will_prove.then(Around::look);
                let within = Duration::from_millis(within_ms);
                connected = wait(&socket, within)?;
            }
            Ask::Prove { version, options } => {
                let profile = profile(&version)?;
                let around = around.take().unwrap_or_else(Around::look);
                talk(&connected, async |api| {
                    let say = |text: &str| drop(tell(&Told::Said(text.to_owned())));
                    Told::Proved(Some(verification::verify(api, &profile, &options, around, &say).await))
                })?;
            }
            Ask::Load(images) => talk(&connected, async |api| {
                let mut failed = Vec::new();
                for image in &images {
                    let _ = tell(&Told::Said(format!("loading {}", image.display())));
                    if let Err(error) = preload::load(api, image).await {
                        failed.push(error.to_string());
                    }
                }
                Told::Loaded(failed)
            })?,
            Ask::Plant { version, claim } => {
                let (profile, claim) = (profile(&version)?, known(&claim)?);
                talk(&connected, async |api| {
                    let refused = drill::plant(api, &profile).await.err();
                    Told::Proved(refused.map(|refused| drill::failed(claim, refused, Duration::ZERO)))
                })?;
            }
            Ask::Resume { version, claim } => {
                let (profile, claim) = (profile(&version)?, known(&claim)?);
                talk(&connected, async |api| Told::Proved(Some(drill::prove(api, &profile, claim).await)))?;
            }
        }
    }
    Ok(exit::OK)
}

fn known(claim: &str) -> anyhow::Result<&'static str> {
    Ok(verification::scenario::find(claim).ok_or_else(|| anyhow::anyhow!("there is no claim {claim}"))?.id)
}

/// Waits for the first answer; gives who answered.
fn wait(path: &str, within: Duration) -> io::Result<Option<Api>> {
    let deadline = Instant::now() + within;
    // Who asked has the same deadline, and says more about it.
    if let Err(error) = socket::wait(path, deadline) {
        if error.kind() != io::ErrorKind::TimedOut {
            tell(&Told::Unreachable(format!("cannot watch for {path}: {error}")))?;
        }
        return Ok(None);
    }
    match api::block_on(Api::connect(path, within))? {
        Ok(api) => {
            tell(&Told::Ready { engine: api.engine.clone(), api: api.version.clone() })?;
            Ok(Some(api))
        }
        Err(error) => {
            tell(&Told::Unreachable(error.to_string()))?;
            Ok(None)
        }
    }
}

/// Does something with the daemon that has answered, in a runtime that ends with its work.
fn talk(connected: &Option<Api>, work: impl AsyncFnOnce(&Api) -> Told) -> io::Result<()> {
    let Some(api) = connected else {
        return tell(&Told::Unreachable("no daemon has answered".to_owned()));
    };
    let told = api::block_on(async {
        match api.ping().await {
            Ok(()) => work(api).await,
            Err(error) => Told::Unreachable(error.to_string()),
        }
    })?;
    tell(&told)
}

fn tell(told: &Told) -> io::Result<()> {
    let mut line = serde_json::to_vec(told)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
