//! `dindcheck gate`: from the host, whether an image with an engine in it is fit to ship.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::{Either, select};
use nix::sys::signal::{SigSet, Signal};

use super::look::choose;
use super::progress::Progress;
use super::{Misuse, output};
use crate::check::Selection;
use crate::cli::{Format, GateArgs, LookArgs};
use crate::engine::api;
use crate::exit;
use crate::facts::places::ROOT_SOCKET;
use crate::finding::{Evidence, Outcome, Severity};
use crate::foreign::{self, Filtered, Form};
use crate::gate::baseline::{self, Baseline};
use crate::gate::check::{self, Subject};
use crate::gate::image::{Image, ImageError, Limits, Said, archive};
use crate::gate::matrix::{self, CellSpec};
use crate::gate::report::{Cell, FailOn, GateReport, ImageSummary, OuterEngine, SCHEMA};
use crate::gate::run::{GateError, Order, Outer};
use crate::process::level::Level;
use crate::profile::Profiles;
use crate::report::document::{Document, Item};
use crate::report::{Inner, Program, table};
use crate::state;

/// How long the outer engine may take to answer a request.
const API_TIMEOUT: Duration = Duration::from_secs(300);
/// How long it may take to remove what was made.
const CLEANING: Duration = Duration::from_secs(60);

/// Reads, judges, runs, reports.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &GateArgs) -> anyhow::Result<u8> {
    let baseline = args.baseline.as_deref().map(read_baseline).transpose()?;
    let mut report = match (&args.archive, &args.image) {
        (Some(file), _) => judge(args, &archive::read(file, host_architecture(), limits(args)).map_err(misuse)?, None)?,
        (None, Some(image)) => {
            // Before any thread exists, so that all of them hold back the signals but the one that waits for them.
            let asked = Asked::begin()?;
            match api::block_on(through_engine(args, image, asked))?? {
                Ended::Done(report) => *report,
                Ended::Asked(signal) => return Ok(exit::of_signal(signal)),
            }
        }
        (None, None) => return Err(Misuse("there is nothing to judge: give IMAGE or --archive".to_owned()).into()),
    };
    if let Some(baseline) = &baseline {
        baseline.apply(&mut report, &baseline::today());
    }
    report.exit_status = report.verdict();
    if let Some(directory) = &args.artifacts {
        keep(&report.cells, directory).with_context(|| format!("cannot write to {}", directory.display()))?;
    }
    emit(&report, args)?;
    Ok(report.exit_status)
}

/// What may be read of an image, and for how long.
fn limits(args: &GateArgs) -> Limits {
    Limits { until: Instant::now().checked_add(args.timeout), ..Limits::default() }
}

/// How the work with the outer engine ended.
enum Ended {
    Done(Box<GateReport>),
    /// By a signal.
    Asked(i32),
}

/// Reads and runs the image. Whatever happens, nothing of ours is left.
async fn through_engine(args: &GateArgs, image: &str, mut asked: Asked) -> anyhow::Result<Ended> {
    let cells = if args.only_static { Vec::new() } else { cells(&args.matrix)? };
    let socket = socket()?;
    let connecting = Box::pin(tokio::time::timeout(API_TIMEOUT, Outer::connect(&socket, API_TIMEOUT)));
    let outer = match select(connecting, Box::pin(asked.signal())).await {
        Either::Left((Ok(connected), _)) => connected?,
        Either::Left((Err(_), _)) => anyhow::bail!("the daemon at {socket} does not answer in time"),
        Either::Right((signal, _)) => return Ok(Ended::Asked(signal?)),
    };
    let work = Box::pin(read_and_run(args, &outer, image, &cells));
    let ended = match select(work, Box::pin(asked.signal())).await {
        Either::Left((done, _)) => done.map(|report| Ended::Done(Box::new(report))),
        Either::Right((signal, _)) => signal.map(Ended::Asked).map_err(anyhow::Error::from),
    };
    // What was in the middle of being made when the work was dropped may only now be there: looked for twice.
    let clean = async {
        match outer.clean().await {
            Ok(left) if left.is_empty() => Ok(left),
            _ => outer.clean().await,
        }
    };
    let left = tokio::time::timeout(CLEANING, clean).await;
    let left =
        left.map_err(|_| anyhow::anyhow!("the outer engine does not answer; what is left is removed next time"))??;
    if !left.is_empty() {
        anyhow::bail!("left in the outer engine: {}", left.join(", "));
    }
    ended
}

async fn read_and_run(args: &GateArgs, outer: &Outer, image: &str, cells: &[CellSpec]) -> anyhow::Result<GateReport> {
    let tell = |text: &str| Progress::new(&args.look.output).say(Level::Info, text);
    tell(&format!("reading {image}"));
    let read = outer.read(image, limits(args)).await.map_err(|error| match error {
        GateError::NoImage(_) => anyhow::Error::from(Misuse(error.to_string())),
        other => other.into(),
    })?;
    let mut report = judge(args, &read, None)?;
    let (version, api) = outer.versions();
    report.outer = Some(OuterEngine { version, api });
    if !outer.unproved().is_empty() {
        let summary = "what carries the gate's label without being proved to be its own was left";
        let mut item = Item::new("gate.leftovers", Outcome::Pass, Severity::Info, summary);
        let seen = |what: &String| Evidence { location: "outer engine".to_owned(), value: what.clone(), wanted: None };
        item.evidence.extend(outer.unproved().iter().map(seen));
        report.findings.push(item);
    }
    if !cells.is_empty() {
        let order = Order {
            image: image.to_owned(),
            entrypoint: args.entrypoint,
            daemon_flags: read.daemon_flags(),
            look: look_words(&args.look),
            timeout: args.timeout,
            jobs: usize::from(args.jobs),
        };
        let cells = outer.run(&order, cells, &tell).await.map_err(|error| match error {
            GateError::NoVolumes(_) => Misuse(error.to_string()).into(),
            other => anyhow::Error::from(other),
        })?;
        if report.inner.said_by.is_none()
            && let Some(said) = cells.iter().find_map(engine_of)
        {
            let GateReport { findings, inner, .. } = judge(args, &read, Some(said))?;
            // What is not about the image itself stays.
            report.findings.retain(|own| findings.iter().all(|new| new.id != own.id));
            report.findings.splice(0..0, findings);
            report.inner = inner;
        }
        report.cells = cells;
    }
    Ok(report)
}

/// The engine that ran in a cell, as it said itself; `None` if it did not.
fn engine_of(cell: &Cell) -> Option<Said> {
    let inner = cell.report.as_ref()?.get("inner")?;
    inner.get("said_by")?.as_str()?;
    let version = inner.get("version")?.as_str()?.parse().ok()?;
    Some(Said { version, by: format!("the engine itself, in the run {}", cell.name) })
}

/// What of our own options holds in the cells too.
fn look_words(args: &LookArgs) -> Vec<String> {
    let skips = args.skip.iter().flat_map(|id| ["--skip".to_owned(), id.clone()]);
    let inner = args.inner.iter().flat_map(|version| ["--inner".to_owned(), version.to_string()]);
    skips.chain(inner).collect()
}

fn cells(matrix: &str) -> Result<Vec<CellSpec>, Misuse> {
    if let Some(cells) = matrix::built_in(matrix).map_err(Misuse)? {
        return Ok(cells);
    }
    let text = state::read_text(Path::new(matrix), state::MAX_SETTINGS).map_err(|error| {
        Misuse(format!("--matrix: neither `default` nor `full`, and cannot read {matrix}: {error}"))
    })?;
    matrix::parse(&text).map_err(|error| Misuse(format!("{matrix}: {error}")))
}

/// The outer engine's socket, where its own client would look.
fn socket() -> Result<String, Misuse> {
    match foreign::variable("DOCKER_HOST") {
        None => Ok(ROOT_SOCKET.to_owned()),
        Some(host) => match host.raw().strip_prefix("unix://") {
            Some(path) => Ok(path.to_owned()),
            None => Err(Misuse(format!("DOCKER_HOST={}: only unix:// addresses are spoken", host.line()))),
        },
    }
}

/// A request to end: SIGINT, SIGTERM or SIGHUP, which a thread of its own waits for.
struct Asked(UnixStream);

impl Asked {
    fn begin() -> anyhow::Result<Self> {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        signals.thread_block().context("cannot hold back signals")?;
        let (mut tell, hear) = UnixStream::pair().context("cannot make a pair of sockets")?;
        hear.set_nonblocking(true).context("cannot make a pair of sockets")?;
        std::thread::spawn(move || {
            if let Ok(signal) = signals.wait() {
                let _ = tell.write_all(&[u8::try_from(signal as i32).unwrap_or_default()]);
            }
        });
        Ok(Self(hear))
    }

    async fn signal(&mut self) -> std::io::Result<i32> {
        let hear = tokio::net::UnixStream::from_std(self.0.try_clone()?)?;
        loop {
            hear.readable().await?;
            let mut number = [0];
            match hear.try_read(&mut number) {
                // The thread is gone without a word: no one will ask.
                Ok(0) => std::future::pending().await,
                Ok(_) => return Ok(i32::from(number[0])),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Writes what each cell said to files of its own.
fn keep(cells: &[Cell], directory: &Path) -> std::io::Result<()> {
    for cell in cells {
        let own = directory.join(&cell.name);
        std::fs::create_dir_all(&own)?;
        std::fs::write(own.join("log.txt"), cell.log.text())?;
        if let Some(said) = &cell.report {
            let mut file = Filtered::new(Form::Json, File::create(own.join("report.json"))?);
            serde_json::to_writer_pretty(&mut file, said)?;
            file.flush()?;
        }
    }
    Ok(())
}

/// The static part: what is in the image, by the profile of the engine in it. `seen` is the engine that ran, where the
/// image does not say which it has.
fn judge(args: &GateArgs, image: &Image, seen: Option<Said>) -> anyhow::Result<GateReport> {
    let given = args.look.inner.clone().map(|version| Said { version, by: "--inner".to_owned() });
    let engine = given.or_else(|| image.engine()).or(seen);
    let profiles = Profiles::load(args.look.profile_dir.as_deref())?;
    let profile = choose(&profiles, engine.as_ref().map(|said| &said.version))?;
    let selection = Selection { only: args.look.only.clone(), skip: args.look.skip.clone() };
    let subject = Subject { image, engine: engine.as_ref(), profile: &profile };
    let findings = check::run(subject, |id| selection.has(id));
    let config = &image.config;
    Ok(GateReport {
        schema: SCHEMA,
        dindcheck: Program::THIS,
        image: ImageSummary {
            name: image.name.clone(),
            architecture: config.architecture.clone(),
            entrypoint: config.entrypoint.clone(),
            command: config.command.clone(),
            user: config.user.clone(),
            volumes: config.volumes.clone(),
        },
        inner: Inner {
            version: profile.version.to_string(),
            said_by: engine.map(|said| said.by),
            profile: profile.profile.clone(),
        },
        outer: None,
        findings: findings.iter().map(Item::from).collect(),
        cells: Vec::new(),
        baseline: None,
        fail_on: if args.look.strict { FailOn::Warning } else { args.fail_on },
        exit_status: 0,
    })
}

fn emit(report: &GateReport, args: &GateArgs) -> anyhow::Result<()> {
    let options = &args.look.output;
    let mut out = output::open(options.output.as_deref(), output::form(options.format))?;
    match options.format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Format::Table => table::write_document(&Document::from(report).visible(), output::layout(options), &mut out)?,
        format => output::write_document(&Document::from(report), format, &mut out)?,
    }
    Ok(out.flush()?)
}

fn read_baseline(path: &Path) -> Result<Baseline, Misuse> {
    let name = path.display();
    let text = state::read_text(path, state::MAX_SETTINGS);
    let text = text.map_err(|error| Misuse(format!("cannot read {name}: {error}")))?;
    Baseline::parse(&text).map_err(|error| Misuse(format!("{name}: {error}")))
}

/// A file that is no image is the user's mistake.
fn misuse(error: ImageError) -> Misuse {
    Misuse(error.to_string())
}

/// This machine's processor in Go's words, which images use.
fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::{Cli, Command};

    fn cell(name: &str, report: Option<Value>) -> Cell {
        let log = format!("log of {name}").into();
        Cell { name: name.to_owned(), title: String::new(), items: vec![], spans: vec![], status: Some(0), report, log }
    }

    #[test]
    fn the_engine_of_a_run_is_what_it_has_told_itself() {
        let engine = |inner: Value| engine_of(&cell("plain", Some(json!({"inner": inner}))));
        let told = engine(json!({"version": "28.5.2", "said_by": "dockerd --version"})).unwrap();
        assert_eq!(told.version.to_string(), "28.5.2");
        assert_eq!(told.by, "the engine itself, in the run plain");
        // One that is guessed, or not told, is none.
        assert!(engine(json!({"version": "28.5.2", "said_by": null})).is_none());
        assert!(engine(json!({"version": "x", "said_by": "dockerd --version"})).is_none());
        assert!(engine_of(&cell("plain", None)).is_none() && engine_of(&cell("plain", Some(json!({})))).is_none());
    }

    #[test]
    fn what_is_left_out_and_the_version_hold_in_the_runs_too() {
        let words = |given: &[&str]| {
            let line = ["dindcheck", "gate", "image"].iter().chain(given);
            match Cli::try_parse_from(line).unwrap().command {
                Some(Command::Gate(args)) => look_words(&args.look),
                other => panic!("{other:?}"),
            }
        };
        let given = ["--skip", "network.mtu,network.arp", "--inner", "28.5.2", "--strict", "--only", "network.mtu"];
        assert_eq!(words(&given), ["--skip", "network.mtu", "--skip", "network.arp", "--inner", "28.5.2"]);
        assert!(words(&["--strict"]).is_empty());
    }

    #[test]
    fn what_each_run_has_told_is_kept_in_a_directory_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let cells = [cell("silent", None), cell("plain", Some(json!({"exit_status": 1})))];
        keep(&cells, &directory.path().join("kept")).unwrap();
        let read = |path: &str| std::fs::read_to_string(directory.path().join("kept").join(path)).ok();
        assert_eq!(read("silent/log.txt").as_deref(), Some("log of silent"));
        assert_eq!(read("silent/report.json"), None);
        assert_eq!(read("plain/log.txt").as_deref(), Some("log of plain"));
        let report: Value = serde_json::from_str(&read("plain/report.json").unwrap()).unwrap();
        assert_eq!(report, json!({"exit_status": 1}));
    }

    #[test]
    fn a_signal_is_heard_by_its_number_and_a_broken_connection_is_none() {
        let hear = |(mut tell, hear): (UnixStream, UnixStream), broken: bool| {
            hear.set_nonblocking(true).unwrap();
            if broken {
                // What the other end has not read when it goes breaks the connection (unix(7): ECONNRESET).
                (&hear).write_all(&[0]).unwrap();
            } else {
                tell.write_all(&[15]).unwrap();
            }
            drop(tell);
            let mut asked = Asked(hear);
            let heard = async { tokio::time::timeout(Duration::from_secs(10), asked.signal()).await };
            api::block_on(heard).unwrap().expect("an answer").map_err(|error| error.kind())
        };
        assert_eq!(hear(UnixStream::pair().unwrap(), false), Ok(15));
        assert_eq!(hear(UnixStream::pair().unwrap(), true), Err(std::io::ErrorKind::ConnectionReset));
    }
}
