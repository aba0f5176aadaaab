//! Our own lines in the form of the daemon's: where it logs JSON, readers of the log expect JSON in every line.

use std::time::SystemTime;

use serde::Serialize;
use x509_cert::der::DateTime;

use crate::foreign;
use crate::process::level::{Level, Marks, PREFIX};

/// What they begin with as JSON.
pub const JSON_PREFIX: &str = "{\"module\":\"dindcheck\"";
/// How long a line may be that is still without its end, in bytes; a longer one is cut in two.
const MAX_LINE: usize = 16 << 10;

/// Own lines on their way to standard error.
#[derive(Debug, Default)]
pub(super) struct Own {
    json: bool,
    marks: Marks,
    /// The line whose end has not come, and its level.
    rest: Vec<u8>,
    level: Level,
}

/// A line, with the keys of dockerd's own (moby daemon/command/daemon.go: logrus.JSONFormatter).
#[derive(Serialize)]
struct Line<'l> {
    module: &'static str,
    level: &'static str,
    msg: &'l str,
    time: String,
}

impl Own {
    /// From here on every line is a JSON object.
    pub(super) fn as_json(&mut self) {
        self.json = true;
    }

    /// What is to be written for a piece of text, in which lines may have the mark of their level.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in piece {
            let Some((byte, level)) = self.marks.take(*byte) else { continue };
            self.add(byte, level, &mut out);
        }
        out
    }

    /// What is to be written for a line of the supervisor's own.
    pub(super) fn line(&mut self, level: Level, text: &str) -> Vec<u8> {
        // A line of the other process that is not whole yet would go on in this one.
        let mut out = self.end();
        for byte in format!("{PREFIX}{}\n", foreign::printable(text)).bytes() {
            self.add(byte, level, &mut out);
        }
        out
    }

    fn add(&mut self, byte: u8, level: Level, out: &mut Vec<u8>) {
        if !self.json {
            out.push(byte);
            return;
        }
        self.rest.push(byte);
        self.level = level;
        if byte == b'\n' || self.rest.len() >= MAX_LINE {
            out.extend(self.end());
        }
    }

    /// What is to be written for the line whose end has not come.
    pub(super) fn end(&mut self) -> Vec<u8> {
        let line = std::mem::take(&mut self.rest);
        if !self.json {
            return line;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let msg = text.strip_prefix(PREFIX).unwrap_or(text);
        if msg.trim().is_empty() {
            return Vec::new();
        }
        let time = DateTime::from_system_time(SystemTime::now()).map(|time| time.to_string()).unwrap_or_default();
        let line = Line { module: "dindcheck", level: self.level.word(), msg, time };
        serde_json::to_string(&line).map(|line| (line + "\n").into_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_an_object_whatever_pieces_it_comes_in() {
        let mut own = Own::default();
        assert_eq!(own.feed(b"dindcheck: plain\n"), b"dindcheck: plain\n");
        assert_eq!(own.feed("\u{1}edindcheck: plain\n".as_bytes()), b"dindcheck: plain\n");
        own.as_json();
        let mut written = Vec::new();
        for piece in ["dindcheck: on", "e\n\n\u{1}", "wdindcheck: \"two\"\n\u{1}e  thr", "ee"] {
            written.extend(own.feed(piece.as_bytes()));
        }
        written.extend(own.line(Level::Info, "four"));
        let written = String::from_utf8(written).unwrap();
        let lines: Vec<serde_json::Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let texts: Vec<&str> = lines.iter().map(|line| line["msg"].as_str().unwrap()).collect();
        assert_eq!(texts, ["one", "\"two\"", "  three", "four"]);
        let levels: Vec<&str> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
        assert_eq!(levels, ["info", "warning", "error", "info"]);
        assert!(lines.iter().all(|line| line["time"].as_str().is_some_and(|time| time.ends_with('Z'))), "{written}");
        assert!(written.lines().all(|line| line.starts_with(JSON_PREFIX)), "{written}");
        assert!(own.feed(&vec![b'x'; MAX_LINE]).len() > MAX_LINE, "it waits for no end for ever");
    }
}
