//! `dindcheck diagnose`: explains a daemon log.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::look::Look;
use crate::cli::{DiagnoseArgs, DiagnoseCommand, PlainFormat};
use crate::diagnosis::{self, Diagnosis, DiagnosisError, FirstError, Named, Options, Scanner, Seen, Weight};
use crate::exit;
use crate::foreign::Foreign;
use crate::profile::outers;
use crate::report::remedy;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DiagnoseError {
    /// The log cannot be opened or read, or the binary is broken.
    #[error("{}: {source}", .log.display())]
    Log {
        /// The log.
        log: PathBuf,
        /// What is wrong.
        source: DiagnosisError,
    },
    /// The answer cannot be written.
    #[error("cannot write the answer: {0}")]
    Write(#[from] std::io::Error),
}

impl DiagnoseError {
    /// The exit status that goes with it.
    pub fn status(&self) -> u8 {
        match self {
            Self::Log { source: DiagnosisError::Library(_), .. } => exit::INTERNAL,
            Self::Log { .. } => exit::USAGE,
            Self::Write(error) if error.kind() == std::io::ErrorKind::BrokenPipe => exit::OK,
            Self::Write(_) => exit::INTERNAL,
        }
    }
}

/// What is known beside the log: what the user tells, and what was found in the container that it is from.
///
/// # Errors
/// [`super::Misuse`]: the facts cannot be read.
pub fn options(args: &DiagnoseCommand) -> anyhow::Result<Options> {
    let mut options = match &args.facts {
        Some(path) => Look::of_facts_alone(super::check::read_facts(path)?)?.beside_log(),
        None => Options::default(),
    };
    if let Some(engine) = &args.inner {
        options.engine = Some(engine.clone());
    }
    options.places.extend(args.outer.iter().map(|outer| outer.id.clone()));
    Ok(options)
}

/// Explains the log; the exit status says whether a cause was named (0) or not (1).
///
/// # Errors
/// The log cannot be read, or the answer not written.
pub fn run(
    args: &DiagnoseArgs,
    options: Options,
    format: PlainFormat,
    out: &mut dyn Write,
) -> Result<u8, DiagnoseError> {
    let answer = if args.follow {
        follow(&args.log, options, format, out)?
    } else {
        let answer = open(&args.log)
            .map_err(DiagnosisError::from)
            .and_then(|reader| diagnosis::diagnose(reader, options))
            .map_err(|source| DiagnoseError::Log { log: args.log.clone(), source })?;
        write(&answer, format, out)?;
        answer
    };
    Ok(if answer.names_a_cause() { exit::OK } else { exit::BLOCKED })
}

fn open(log: &Path) -> std::io::Result<Box<dyn Read>> {
    if log.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let file = File::open(log)?;
    // Opening a directory works, reading it does not, and says so in the kernel's words.
    if file.metadata()?.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    Ok(Box::new(file))
}

/// Tells the first error whenever it is another one than before, until the log ends.
fn follow(log: &Path, options: Options, format: PlainFormat, out: &mut dyn Write) -> Result<Diagnosis, DiagnoseError> {
    let failed = |source: DiagnosisError| DiagnoseError::Log { log: log.to_owned(), source };
    let mut scanner = Scanner::new(options).map_err(failed)?;
    // Watched before it is read, so that no growth between the two is missed.
    let growth = Growth::watch(log).map_err(|error| failed(error.into()))?;
    let mut reader = open(log).map_err(|error| failed(error.into()))?;
    let tell = |answer: &Diagnosis, told: &mut Option<(u64, Option<String>)>, out: &mut dyn Write| {
        let news = answer.first_error.as_ref().map(|first| (first.line, first.diagnosis.clone()));
        if news.is_some() && news != *told {
            write(answer, format, out)?;
            out.flush()?;
            *told = news;
        }
        Ok::<(), DiagnoseError>(())
    };
    let mut told = None;
    let mut unread = false;
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = reader.read(&mut piece).map_err(|error| failed(error.into()))?;
        scanner.feed(&piece[..read]);
        // A line that is not whole says nothing yet.
        unread |= piece[..read].contains(&b'\n');
        // A full piece means that there is more to read at once.
        if read == piece.len() {
            continue;
        }
        if std::mem::take(&mut unread) {
            tell(&scanner.so_far(), &mut told, out)?;
        }
        if read == 0 && !growth.wait().map_err(|error| failed(error.into()))? {
            let answer = scanner.finish();
            tell(&answer, &mut told, out)?;
            return Ok(answer);
        }
    }
}

/// How often a log is read again where the kernel gives no watch (inotify(7): EMFILE, ENOSPC).
const UNWATCHED_AGAIN: Duration = Duration::from_millis(200);

/// Waits until a file grows.
struct Growth<'a> {
    log: &'a Path,
    /// Device and number of the file; `None` if it does not grow.
    file: Option<(u64, u64)>,
    /// What the kernel tells of it; `None` if it gives no watch.
    inotify: Option<Inotify>,
}

impl<'a> Growth<'a> {
    fn watch(log: &'a Path) -> std::io::Result<Self> {
        // The end of a pipe is the end of the log.
        let metadata = if log.as_os_str() == "-" { None } else { Some(log.metadata()?) };
        let Some(metadata) = metadata.filter(std::fs::Metadata::is_file) else {
            return Ok(Self { log, file: None, inotify: None });
        };
        let events = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_ATTRIB;
        let inotify =
            Inotify::init(InitFlags::IN_CLOEXEC).ok().filter(|inotify| inotify.add_watch(log, events).is_ok());
        Ok(Self { log, file: Some((metadata.dev(), metadata.ino())), inotify })
    }

    /// Whether there may be more. A log that was renamed or removed gets no more; of one that is removed while it is
    /// open, only the change of its links is told (inotify(7)).
    fn wait(&self) -> std::io::Result<bool> {
        let Some(file) = self.file else { return Ok(false) };
        let Some(inotify) = &self.inotify else {
            std::thread::sleep(UNWATCHED_AGAIN);
            return Ok(self.log.metadata().is_ok_and(|now| (now.dev(), now.ino()) == file));
        };
        loop {
            match inotify.read_events() {
                Ok(events) => {
                    let moved = events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_MOVE_SELF));
                    return Ok(!moved && self.log.exists());
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn write(answer: &Diagnosis, format: PlainFormat, out: &mut dyn Write) -> std::io::Result<()> {
    match format {
        PlainFormat::Json => {
            serde_json::to_writer(&mut *out, answer)?;
            writeln!(out)
        }
        PlainFormat::Table => {
            let Some(first) = &answer.first_error else {
                return writeln!(
                    out,
                    "no line of this log looks like an error to dindcheck, and it knows none of them as one"
                );
            };
            write_lines(first, out)?;
            match answer.cause() {
                Some(cause) => write_cause(cause, &answer.places, out)?,
                None => write_unknown(first, out)?,
            }
            if !answer.places.is_empty() {
                let titles: Vec<&str> = answer.places.iter().map(|place| place.title.as_str()).collect();
                writeln!(out, "around: {}", titles.join(", "))?;
            }
            write_others(answer, out)
        }
    }
}

/// The line with its number, between its neighbours.
fn write_lines(first: &FirstError, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "first error, line {}:", first.line)?;
    let shown = |lines: &[Foreign], from: u64, out: &mut dyn Write| -> std::io::Result<()> {
        for (number, line) in (from..).zip(lines) {
            writeln!(out, "  {number:>6} | {}", line.line())?;
        }
        Ok(())
    };
    let before = &first.before[first.before.len().saturating_sub(SHOWN)..];
    shown(before, first.line - before.len() as u64, out)?;
    writeln!(out, "> {:>6} | {}", first.line, first.text.line())?;
    shown(&first.after[..first.after.len().min(SHOWN)], first.line + 1, out)
}

/// How many lines are shown before and after the error.
const SHOWN: usize = 2;

fn write_cause(cause: &Named, places: &[Seen], out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out)?;
    writeln!(out, "{}{} [{}]", certainty(cause.weight), cause.title, cause.id)?;
    writeln!(out, "why:    {}", cause.why)?;
    writeln!(out, "remedy: {}", cause.remedy)?;
    if let Some(check) = &cause.check {
        writeln!(out, "check:  {check} finds this in the container itself (`dindcheck check`)")?;
    }
    if let Some(fix) = &cause.fix {
        writeln!(out, "fix:    {fix} mends it (`dindcheck fix`)")?;
    }
    writeln!(out, "source: {}", cause.sources.join(", "))?;
    let ids: Vec<&str> = places.iter().map(|place| place.id.as_str()).collect();
    let known = outers().unwrap_or_default();
    let blocks = remedy::of_cause(cause.check.as_deref(), &cause.remedy, &ids, &known);
    if !blocks.is_empty() {
        writeln!(out)?;
    }
    remedy::write_blocks(&blocks, out)?;
    if blocks.is_empty() { Ok(()) } else { writeln!(out) }
}

/// How sure the answer is, in front of the cause.
fn certainty(weight: Weight) -> &'static str {
    match weight {
        Weight::Likely => "most likely cause: ",
        Weight::Symptom => "only a symptom: ",
        Weight::Hint | Weight::Cause => "cause: ",
    }
}

fn write_unknown(first: &FirstError, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out)?;
    match &first.candidates {
        Some(candidates) => {
            writeln!(out, "cause: the log alone does not decide between {}", candidates.between.join(" and "))?;
            writeln!(out, "tell them apart: {}", candidates.tell_apart)
        }
        None => {
            let who = first.component.as_deref().map(|name| format!(" ({name} speaks)")).unwrap_or_default();
            writeln!(out, "cause: not known to dindcheck{who}")?;
            if first.checks.is_empty() {
                return writeln!(out, "next:   `dindcheck check` in the container tells what it lacks");
            }
            writeln!(out, "next:   `dindcheck check --only {}` in the container could tell", first.checks.join(","))
        }
    }
}

fn write_others(answer: &Diagnosis, out: &mut dyn Write) -> std::io::Result<()> {
    let first = answer.first_error.as_ref().and_then(|first| first.diagnosis.as_deref());
    for other in answer.diagnoses.iter().filter(|other| Some(other.id.as_str()) != first) {
        writeln!(out, "also:   line {}: {} [{}, {}]", other.line, other.title, other.id, other.weight.as_str())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_reader_that_is_gone_is_no_error_and_a_log_that_is_not_there_the_users() {
        let log = DiagnoseError::Log { log: "/x".into(), source: Error::from(ErrorKind::NotFound).into() };
        for (error, status) in [
            (DiagnoseError::Write(ErrorKind::BrokenPipe.into()), exit::OK),
            (DiagnoseError::Write(ErrorKind::StorageFull.into()), exit::INTERNAL),
            (log, exit::USAGE),
        ] {
            assert_eq!(error.status(), status, "{error}");
        }
    }

    #[test]
    fn without_a_watch_a_log_may_grow_until_it_is_another_file_or_gone() {
        let directory = tempfile::tempdir().unwrap();
        let [log, other] = ["log", "other"].map(|name| directory.path().join(name));
        std::fs::write(&log, "").unwrap();
        std::fs::write(&other, "").unwrap();
        let growth = Growth { inotify: None, ..Growth::watch(&log).unwrap() };
        assert!(growth.wait().unwrap());
        std::fs::rename(&other, &log).unwrap();
        assert!(!growth.wait().unwrap());
        std::fs::remove_file(&log).unwrap();
        assert!(!growth.wait().unwrap());
    }
}
