//! The time line: a row for each place, all to one scale; a bar for each stretch of ours, a mark for each step that the
//! daemon's log tells of.

use std::io::{self, Write};
use std::time::Duration;

use x509_cert::der::DateTime;

use crate::report::document::{Document, Span, Suite};
use crate::report::markup::escaped;

/// How wide it is, in units of its own.
const WIDTH: u64 = 900;
/// How much of that the names take.
const NAMES: u64 = 180;
const ROW: u64 = 24;
/// How much one name of the key takes.
const KEY: u64 = 150;
/// How many colours there are.
const KINDS: usize = 4;

/// Steps of the daemon, as its log has them (moby cmd/dockerd/daemon.go, daemon/daemon.go; containerd
/// cmd/containerd/command/main.go).
const STEPS: [&str; 7] = [
    "Starting up",
    "containerd successfully booted",
    "Loading containers: start",
    "Loading containers: done",
    "Daemon has completed initialization",
    "API listen on",
    "Processing signal",
];

/// Writes it, if there is any time to show.
pub(super) fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let timed: Vec<&Suite> = document.suites.iter().filter(|suite| !suite.spans.is_empty()).collect();
    let end = timed.iter().flat_map(|suite| &suite.spans).map(|span| span.from_ms + span.ms).max().unwrap_or_default();
    if end == 0 {
        return Ok(());
    }
    let height = ROW * timed.len() as u64 + ROW;
    writeln!(
        out,
        "<h2>Time</h2>\n<div class=\"wide\" tabindex=\"0\"><svg id=\"times\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Time, by place; the table of each place has the figures\">"
    )?;
    let scale = |ms: u64| ms.min(end) * (WIDTH - NAMES) / end;
    for (row, suite) in timed.iter().enumerate() {
        let y = row as u64 * ROW;
        writeln!(out, "<text x=\"0\" y=\"{}\">{}</text>", y + 16, escaped(&suite.name))?;
        for (index, span) in suite.spans.iter().enumerate() {
            let (x, width) = (NAMES + scale(span.from_ms), scale(span.ms).max(1));
            let name = format!("{}: {}.{:03} s", span.name, span.ms / 1000, span.ms % 1000);
            writeln!(
                out,
                "<rect class=\"span{}\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"16\"><title>{}</title></rect>",
                index % KINDS,
                y + 4,
                escaped(&name)
            )?;
        }
        for Span { name, from_ms, .. } in marks(suite) {
            let x = NAMES + scale(from_ms);
            let name = format!("daemon: {name}, at {}.{:03} s", from_ms / 1000, from_ms % 1000);
            writeln!(
                out,
                "<line class=\"mark\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"><title>{}</title></line>",
                y + 2,
                y + 22,
                escaped(&name)
            )?;
        }
    }
    let y = height - 6;
    // What the colours mean: the same stretches in each row.
    for (index, span) in timed.iter().flat_map(|suite| &suite.spans).take(KINDS).enumerate() {
        let x = NAMES + KEY * index as u64;
        writeln!(out, "<rect class=\"span{index}\" x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\"/>", y - 11)?;
        writeln!(out, "<text x=\"{}\" y=\"{y}\">{}</text>", x + 16, escaped(&span.name))?;
    }
    writeln!(
        out,
        "<text x=\"{WIDTH}\" y=\"{y}\" text-anchor=\"end\">{}.{} s</text>\n</svg></div>",
        end / 1000,
        end % 1000 / 100
    )
}

/// The daemon's steps, from the beginning of all: its first one is where the daemon was started. Each is told once.
fn marks(suite: &Suite) -> Vec<Span> {
    let Some(start) = suite.spans.iter().find(|span| span.name == Span::DAEMON).map(|span| span.from_ms) else {
        return Vec::new();
    };
    let mut marks: Vec<Span> = Vec::new();
    let mut first = None;
    for line in suite.log.lines() {
        let Some(step) = STEPS.into_iter().find(|step| line.contains(step)) else { continue };
        let Some(at) = time_of(line) else { continue };
        let since = at.saturating_sub(*first.get_or_insert(at));
        if !marks.iter().any(|mark| mark.name == step) {
            let from_ms = start + u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            marks.push(Span { name: step.to_owned(), from_ms, ms: 0 });
        }
    }
    marks
}

/// When a line was logged, since 1970: `time="2026-11-28T21:24:16.501348936Z"` (logrus) of a log in UTC.
fn time_of(line: &str) -> Option<Duration> {
    let text = line.split_once("time=\"")?.1.split_once('"')?.0.strip_suffix('Z')?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let nanoseconds = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let time: DateTime = format!("{seconds}Z").parse().ok()?;
    Some(time.unix_duration() + Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_the_daemon_are_where_it_was_started_and_later() {
        let log = "noise\n\
            time=\"2026-11-28T21:24:16.5Z\" level=info msg=\"Starting up\"\n\
            time=\"2026-11-28T21:24:17.75Z\" level=info msg=\"Loading containers: done.\"\n\
            time=\"2026-11-28T21:24:18Z\" level=info msg=\"Loading containers: done.\"\n\
            time=\"nonsense\" level=info msg=\"API listen on /x\"\n";
        let span = |name: &str, from_ms| Span { name: name.to_owned(), from_ms, ms: 1 };
        let suite = |spans| Suite { log: log.to_owned(), spans, ..Suite::default() };
        let seen = marks(&suite(vec![span("container made", 0), span(Span::DAEMON, 300)]));
        let seen: Vec<(&str, u64)> = seen.iter().map(|mark| (mark.name.as_str(), mark.from_ms)).collect();
        assert_eq!(seen, [("Starting up", 300), ("Loading containers: done", 1550)]);
        assert!(marks(&suite(vec![span("container made", 0)])).is_empty(), "it is not known when it was started");
    }

    #[test]
    fn each_step_has_its_mark_in_the_row_of_its_place() {
        let log = "time=\"2026-11-28T21:24:16Z\" level=info msg=\"Starting up\"\n\
            time=\"2026-11-28T21:24:17.25Z\" level=info msg=\"API listen on /x\"\n";
        let suite = |from_ms| {
            let spans = vec![Span { name: Span::DAEMON.to_owned(), from_ms, ms: 1500 }];
            Suite { name: "a <place>".to_owned(), log: log.to_owned(), spans, ..Suite::default() }
        };
        let document = Document { suites: vec![suite(500), Suite::default(), suite(300)], ..Document::default() };
        let mut out = Vec::new();
        write(&document, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let marks: Vec<&str> = text.lines().filter(|line| line.starts_with("<line ")).collect();
        let mark = |x: u64, y: u64, name: &str| {
            let (above, below) = (y + 2, y + 22);
            format!(
                "<line class=\"mark\" x1=\"{x}\" x2=\"{x}\" y1=\"{above}\" y2=\"{below}\"><title>daemon: {name} s</title></line>"
            )
        };
        // All is 2 s, and 720 wide behind the names.
        let wanted = [
            mark(360, 0, "Starting up, at 0.500"),
            mark(810, 0, "API listen on, at 1.750"),
            mark(288, 24, "Starting up, at 0.300"),
            mark(738, 24, "API listen on, at 1.550"),
        ];
        assert_eq!(marks, wanted);
        assert!(text.contains("<text x=\"0\" y=\"40\">a &lt;place&gt;</text>"), "{text}");
        let mut none = Vec::new();
        write(&Document { suites: vec![Suite::default()], ..Document::default() }, &mut none).unwrap();
        assert!(none.is_empty(), "where there is no time, nothing is shown");
    }
}
