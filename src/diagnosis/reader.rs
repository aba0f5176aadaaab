//! One log line of any shape, read into its level and its text.
//!
//! Known shapes, each as its writer makes it: logrus' text form with and without a terminal (`time=… level=… msg=…`,
//! `WARN[0001] …`), logrus' and other JSON lines, docker's json-file (`{"log":…}`), journald's short and JSON output,
//! syslog, Kubernetes' CRI form (`… stderr F …`), compose's and build tools' `name | …`, CI time stamps, colours,
//! and carriage returns. What is none of these is taken as it stands.

use serde::Deserialize;

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// trace
    Trace,
    /// debug
    Debug,
    /// info
    Info,
    /// warning
    Warning,
    /// error
    Error,
    /// fatal
    Fatal,
    /// panic
    Panic,
}

/// A log line, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The level, where the line tells it.
    pub level: Option<Level>,
    /// The message without prefixes, followed by its fields as `key=value`, without quotes' escapes.
    pub text: String,
}

/// How deep JSON in JSON and prefixes before prefixes are followed.
const DEPTH: usize = 8;

impl Level {
    fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "trace" | "trac" => Some(Self::Trace),
            "debug" | "debu" => Some(Self::Debug),
            "info" => Some(Self::Info),
            "warning" | "warn" => Some(Self::Warning),
            "error" | "erro" => Some(Self::Error),
            "fatal" | "fata" => Some(Self::Fatal),
            "panic" | "pani" => Some(Self::Panic),
            _ => None,
        }
    }
}

impl Entry {
    /// Reads one line, or a piece of one.
    pub fn read(line: &[u8]) -> Self {
        let clean = printable(line);
        let (level, text) = read(clean.trim(), DEPTH);
        Self { level, text: plain_quotes(text.trim()) }
    }

    /// The value of a field that stands in the text as `key=value`.
    pub fn field(&self, key: &str) -> Option<&str> {
        self.text.match_indices(key).find_map(|(at, _)| {
            let starts = at == 0 || self.text[..at].ends_with(' ');
            let value = self.text[at + key.len()..].strip_prefix('=').filter(|_| starts)?;
            value.split(' ').next()
        })
    }
}

fn read(line: &str, depth: usize) -> (Option<Level>, String) {
    let object = |at: usize| if depth > 0 { json(&line[at..], depth) } else { None };
    let whole = line.starts_with('{').then_some(0).and_then(object);
    if let Some(found) = whole.or_else(|| logfmt(line)).or_else(|| bracketed(line)) {
        return found;
    }
    // An object after a prefix that no one knows.
    if let Some(found) = line.find('{').filter(|at| *at > 0 && line.ends_with('}')).and_then(object) {
        return found;
    }
    if depth == 0 {
        return (None, line.to_owned());
    }
    if let Some((level, rest)) = labelled(line) {
        let (inner, text) = read(rest.trim_start(), depth - 1);
        return (inner.or(Some(level)), text);
    }
    match without_prefix(line) {
        Some(rest) => read(rest, depth - 1),
        None => (None, line.to_owned()),
    }
}

/// A level that stands before the text: GitHub's `##[error]text` and `::error file=a::text`, `[ERROR] text`, `ERROR
/// text` as Java and Python write it, and klog's `E0102 03:04:05.678901   123 file.go:45] text`.
fn labelled(line: &str) -> Option<(Level, &str)> {
    if let Some((word, rest)) = line.strip_prefix("##[").and_then(|rest| rest.split_once(']')) {
        return Level::from_word(word).map(|level| (level, rest));
    }
    if let Some((word, rest)) = line.strip_prefix("::").and_then(|rest| rest.split_once("::")) {
        let word = word.split(' ').next().unwrap_or_default();
        return Level::from_word(word).map(|level| (level, rest));
    }
    if let Some((word, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return Level::from_word(word.trim()).map(|level| (level, rest));
    }
    let (word, rest) = line.split_once(' ')?;
    if word.len() >= 4 && word.bytes().all(|b| b.is_ascii_uppercase()) {
        return Level::from_word(word).map(|level| (level, rest));
    }
    // klog: the level's letter, month and day; then time, thread, file and line.
    let (letter, digits) = (word.bytes().next()?, word.get(1..)?);
    let level = match letter {
        b'I' => Level::Info,
        b'W' => Level::Warning,
        b'E' => Level::Error,
        b'F' => Level::Fatal,
        _ => return None,
    };
    let shaped = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit());
    let (head, text) = rest.split_once("] ").filter(|(head, _)| shaped && head.len() < 100 && head.contains(".go:"))?;
    head.starts_with(|c: char| c.is_ascii_digit()).then_some((level, text))
}

/// UTF-8 without colours and control characters; a carriage return separates as a space does.
pub(super) fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                // CSI: parameters, then a final byte from @ to ~ (ECMA-48, 5.4). Other escapes: two characters.
                if chars.next_if_eq(&'[').is_some() {
                    while chars.next_if(|c| !('@'..='~').contains(c)).is_some() {}
                }
                chars.next();
            }
            '\r' | '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// logrus' text form: `level=` and, after it, `msg=`; the last fields may be cut off.
fn logfmt(line: &str) -> Option<(Option<Level>, String)> {
    let (level, after_level) = line.match_indices("level=").find_map(|(at, key)| {
        let value = line[at + key.len()..].trim_start_matches(['\\', '"']);
        let end = value.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(value.len());
        Level::from_word(&value[..end]).map(|level| (level, value[end..].trim_start_matches(['\\', '"'])))
    })?;
    let mut rest = &after_level[after_level.find("msg=")? + "msg=".len()..];
    let mut text = String::new();
    loop {
        let (value, len) = value(rest);
        text.push_str(&value);
        rest = rest[len..].trim_start();
        match rest.find('=').filter(|at| *at > 0 && rest[..*at].chars().all(is_key)) {
            Some(key) => {
                text.push(' ');
                text.push_str(&rest[..=key]);
                rest = &rest[key + 1..];
            }
            None => break,
        }
    }
    // Not logfmt after all (quotes that were not escaped, or a second message): kept as it is.
    if !rest.is_empty() {
        text.push(' ');
        text.push_str(rest);
    }
    Some((Some(level), text))
}

const fn is_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// A logfmt value at the start of `text`, without its quotes and one level of escapes, and its length. The end of the
/// line ends a value that was cut off.
fn value(text: &str) -> (String, usize) {
    // In a JSON string the quotes of logfmt are escaped themselves.
    let quote = if text.starts_with("\\\"") { "\\\"" } else { "\"" };
    let Some(inner) = text.strip_prefix(quote) else {
        let end = text.find(' ').unwrap_or(text.len());
        return (text[..end].to_owned(), end);
    };
    let mut out = String::new();
    let mut at = 0;
    while let Some(c) = inner[at..].chars().next() {
        if inner[at..].starts_with(quote) {
            return (out, quote.len() + at + quote.len());
        }
        let (c, len) = if c == '\\' { escaped(&inner[at..]) } else { (c, c.len_utf8()) };
        out.push(c);
        at += len;
    }
    (out, text.len())
}

/// What a backslash and the character after it stand for. Line breaks become spaces.
fn escaped(text: &str) -> (char, usize) {
    match text.chars().nth(1) {
        Some('n' | 't' | 'r') => (' ', 2),
        Some('u') => {
            let code = text.get(2..6).and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
            code.map_or(('u', 2), |c| (c, 6))
        }
        Some(c @ ('"' | '\\' | '/')) => (c, 2),
        _ => ('\\', 1),
    }
}

/// What quotes are left in a nested error (`\"`, `\\\"`) become plain ones, and its line breaks spaces.
fn plain_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = rest[at..].trim_start_matches('\\');
        let run = &rest[at..rest.len() - after.len()];
        rest = after;
        if after.starts_with('"') {
            continue;
        }
        match after.chars().next() {
            Some('n' | 't') => {
                out.push(' ');
                rest = &after[1..];
            }
            Some('u') if escaped(&format!("\\{}", after.get(..5).unwrap_or_default())).1 == 6 => {
                out.push(escaped(&format!("\\{}", &after[..5])).0);
                rest = &after[5..];
            }
            _ => out.push_str(run),
        }
    }
    out.push_str(rest);
    out
}

/// logrus on a terminal: `WARN[0001] message   key=value`, with seconds or a time in the brackets.
fn bracketed(line: &str) -> Option<(Option<Level>, String)> {
    /// The longest time in the brackets, with room.
    const LONGEST_STAMP: usize = 48;
    line.match_indices('[').find_map(|(at, _)| {
        let word = line.get(at.checked_sub(4)?..at).filter(|word| word.bytes().all(|b| b.is_ascii_uppercase()))?;
        let level = Level::from_word(word)?;
        let close = line.as_bytes()[at + 1..].iter().take(LONGEST_STAMP).position(|byte| *byte == b']')?;
        let (inside, text) = (&line[at + 1..at + 1 + close], &line[at + 1 + close + 1..]);
        let stamp = inside.len() >= 4 && inside.starts_with(|c: char| c.is_ascii_digit());
        stamp.then(|| (Some(level), text.trim_start().to_owned()))
    })
}

/// A JSON object: json-file's `log`, journald's `MESSAGE`, or logrus' and zap's `msg`, with the level and the error.
fn json(text: &str, depth: usize) -> Option<(Option<Level>, String)> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text.trim_end()).ok()?;
    let string = |key: &str| object.get(key).and_then(serde_json::Value::as_str);
    if let Some(wrapped) = ["log", "MESSAGE", "line"].iter().find_map(|key| string(key)) {
        return Some(read(printable(wrapped.as_bytes()).trim(), depth - 1));
    }
    let message = ["msg", "message", "Message"].iter().find_map(|key| string(key))?;
    let level = ["level", "severity", "lvl"].iter().find_map(|key| string(key)).and_then(Level::from_word);
    // What dindcheck says of an error is no error of the daemon (supervisor/own.rs).
    let level = if string("module") == Some("dindcheck") { Some(Level::Info) } else { level };
    let mut out = message.replace('\n', " ");
    for (key, value) in &object {
        if let Some(value) = value.as_str()
            && !matches!(key.as_str(), "msg" | "message" | "Message" | "level" | "severity" | "lvl" | "time" | "ts")
        {
            out.push_str(&format!(" {key}={}", value.replace('\n', " ")));
        }
    }
    if level.is_none() && depth > 1 {
        return Some(read(&out, depth - 1));
    }
    Some((level, out))
}

/// The line without one prefix, if it has one that is known.
fn without_prefix(line: &str) -> Option<&str> {
    let rest = comment(line)
        .or_else(|| annotation(line))
        .or_else(|| stamp(line))
        .or_else(|| cri_stream(line))
        .or_else(|| syslog(line))
        .or_else(|| column(line))
        .or_else(|| program(line))?;
    Some(rest.trim_start())
}

/// `# text`, as logs are pasted into shell scripts and test output.
fn comment(line: &str) -> Option<&str> {
    line.strip_prefix("# ").or_else(|| line.strip_prefix("> "))
}

/// GitHub's `##[group]text`, BuildKit's `#12 3.456 text`, and `[pod/name/container] text` of kubectl logs --prefix.
fn annotation(line: &str) -> Option<&str> {
    if let Some(rest) = line.strip_prefix("##[") {
        return rest.split_once(']').map(|(_, rest)| rest);
    }
    if let Some((step, rest)) = line.strip_prefix('#').and_then(|rest| rest.split_once(' ')) {
        let (seconds, rest) = rest.split_once(' ')?;
        let number = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        return (number(step) && number(seconds) && seconds.contains('.')).then_some(rest);
    }
    line.strip_prefix("[pod/").and_then(|rest| rest.split_once("] ")).map(|(_, rest)| rest)
}

/// A date, a time of day, or both, also in brackets, and nothing but digits and what separates them.
fn stamp(line: &str) -> Option<&str> {
    let (word, rest) = line.split_once(' ')?;
    let inside = word.trim_start_matches('[').trim_end_matches(']');
    let digits = inside.bytes().filter(u8::is_ascii_digit).count();
    let separators = inside.bytes().filter(|b| matches!(b, b':' | b'-' | b'/')).count();
    let stamp = digits >= 4
        && separators >= 2
        && inside
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b':' | b'-' | b'/' | b'.' | b',' | b'T' | b'Z' | b'+'));
    stamp.then_some(rest)
}

/// The rest of Kubernetes' CRI log form after the time, and GitLab's `00O`.
fn cri_stream(line: &str) -> Option<&str> {
    ["stdout F ", "stderr F ", "stdout P ", "stderr P ", "00O ", "00E ", "01O ", "01E ", "00O+", "00E+", "01O+", "01E+"]
        .iter()
        .find_map(|prefix| line.strip_prefix(prefix))
}

/// `Mon DD HH:MM:SS host `: the program comes next.
fn syslog(line: &str) -> Option<&str> {
    let (month, rest) = line.split_once(' ')?;
    let known = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"].contains(&month);
    // Other languages write the month with a number: `1月 29`.
    let known = known || month.starts_with(|c: char| c.is_ascii_digit()) && !month.is_ascii();
    let (day, rest) = rest.trim_start().split_once(' ')?;
    let (time, rest) = rest.trim_start().split_once(' ')?;
    let shaped = known && day.bytes().all(|b| b.is_ascii_digit()) && time.split(':').count() == 3;
    if !shaped {
        return None;
    }
    // The host may be missing from pasted logs.
    match rest.split_once(' ') {
        Some((host, after)) if !host.ends_with(':') => Some(after),
        _ => Some(rest),
    }
}

/// `service_1  | text`, also of build tools that indent and mark it.
fn column(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once("| ").or_else(|| line.strip_suffix('|').map(|name| (name, "")))?;
    let name = name.trim();
    let named = !name.is_empty() && name.len() <= 64 && !name.contains([' ', '"', '=', '(']);
    named.then_some(rest)
}

/// `dockerd[123]: ` or `containerd: `.
fn program(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once(": ")?;
    let bare = match name.strip_suffix(']').and_then(|n| n.rsplit_once('[')) {
        Some((bare, pid)) if pid.bytes().all(|b| b.is_ascii_digit()) => bare,
        Some(_) => return None,
        None if ["dockerd", "containerd", "kernel", "systemd", "docker-containerd"].contains(&name) => name,
        None => return None,
    };
    let named = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    named.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> String {
        Entry::read(line.as_bytes()).text
    }

    #[test]
    fn every_shape_gives_the_same_text() {
        let said = r#"failed to dial "/run/c.sock": timeout"#;
        for line in [
            r#"failed to dial "/run/c.sock": timeout"#,
            r#"time="2024-01-02T03:04:05.6Z" level=error msg="failed to dial \"/run/c.sock\": timeout""#,
            r#"ERRO[0012] failed to dial "/run/c.sock": timeout  "#,
            r#"ERRO[2024-01-02T03:04:05.678901234+01:00] failed to dial "/run/c.sock": timeout"#,
            r#"{"level":"error","msg":"failed to dial \"/run/c.sock\": timeout","time":"2024-01-02T03:04:05Z"}"#,
            r#"{"log":"time=\"2024\" level=error msg=\"failed to dial \\\"/run/c.sock\\\": timeout\"\n","stream":"stderr"}"#,
            r#"{"MESSAGE":"failed to dial \"/run/c.sock\": timeout","PRIORITY":"3"}"#,
            r#"Jan  2 03:04:05 host dockerd[123]: failed to dial "/run/c.sock": timeout"#,
            r#"Jan  2 03:04:05 dockerd[123]: failed to dial "/run/c.sock": timeout"#,
            r#"1月 02 03:04:05 host dockerd[123]: failed to dial "/run/c.sock": timeout"#,
            r#"2024-01-02T03:04:05.6Z stderr F failed to dial "/run/c.sock": timeout"#,
            r#"2024-01-02T03:04:05.6789012Z ##[error]failed to dial "/run/c.sock": timeout"#,
            r#"docker_1  | time="2024" level=error msg="failed to dial \"/run/c.sock\": timeout""#,
            r#"   +test | failed to dial "/run/c.sock": timeout"#,
            "\u{1b}[31mERRO\u{1b}[0m[0012] failed to dial \"/run/c.sock\": timeout",
            "# ERRO[0012] failed to dial \"/run/c.sock\": timeout",
            "12:34:56 failed to dial \"/run/c.sock\": timeout",
            "[2024-01-02T03:04:05.678Z] failed to dial \"/run/c.sock\": timeout\r",
        ] {
            assert_eq!(text(line), said, "{line}");
        }
    }

    #[test]
    fn what_is_wrapped_is_unwrapped_so_often_and_no_more() {
        let wrapped = |times: usize| {
            (0..times).fold("it is lost".to_owned(), |line, _| serde_json::json!({"log": line}).to_string())
        };
        for times in 0..=DEPTH {
            assert_eq!(text(&wrapped(times)), "it is lost", "{times}");
        }
        assert_eq!(text(&wrapped(DEPTH + 1)), r#"{"log":"it is lost"}"#);
        assert_eq!(text(&wrapped(DEPTH + 3)).matches("log").count(), 3);
    }

    #[test]
    fn what_is_no_prefix_stays() {
        let long = format!("{}| text", "x".repeat(65));
        for line in [
            "| text",
            "a name| text",
            "\"name\"| text",
            "name=1| text",
            "name(1)| text",
            &long,
            "name[x]: text",
            "#12 text",
            "#x 3.4 text",
            "#12 3 text",
            "#12 3x.1 text",
            "[pod/name text",
            "##[group text",
            "name: text",
            "dockerd[1: text",
            "Foo 02 03:04:05 host dockerd[1]: text",
            "Jan x2 03:04:05 host dockerd[1]: text",
            "Jan 02 03:04 host dockerd[1]: text",
            "1 02 03:04:05 host dockerd[1]: text",
            "月 02 03:04:05 host dockerd[1]: text",
        ] {
            assert_eq!(text(line), line);
        }
        let name = "x".repeat(64);
        for line in [
            &format!("{name}| text"),
            "name| text",
            "dockerd[1]: text",
            "#12 3.4 text",
            "##[group]text",
            "[pod/name/container] text",
            "dockerd: text",
            "docker-containerd: text",
            "Dec  2 03:04:05 host text",
            "12月 2 03:04:05 host text",
        ] {
            assert_eq!(text(line), "text", "{line}");
        }
    }

    #[test]
    fn json_in_json_is_read_as_deep_as_any_prefix() {
        let nested =
            |depth| (0..depth).fold("text".to_owned(), |inner, _| serde_json::json!({ "msg": inner }).to_string());
        for depth in [1, 2, DEPTH] {
            assert_eq!(text(&nested(depth)), "text", "{depth}");
        }
        assert_eq!(text(&nested(DEPTH + 1)), r#"{"msg":"text"}"#);
        let with_level = serde_json::json!({ "level": "error", "msg": nested(1) }).to_string();
        let entry = Entry::read(with_level.as_bytes());
        assert_eq!((entry.level, entry.text.as_str()), (Some(Level::Error), r#"{"msg":"text"}"#), "a level ends it");
    }

    #[test]
    fn fields_follow_the_message() {
        let line = r#"time="t" level=warning msg="failed to load" error="path \"/a\" is bad" module=containerd"#;
        let entry = Entry::read(line.as_bytes());
        assert_eq!(entry.level, Some(Level::Warning));
        assert_eq!(entry.text, r#"failed to load error=path "/a" is bad module=containerd"#);
        assert_eq!(entry.field("module"), Some("containerd"));
        assert_eq!(entry.field("mod"), None);
    }

    #[test]
    fn nested_quotes_become_plain() {
        let line = r#"docker: process_linux.go:393: container init caused \"rootfs: mounting \\\"cgroup\\\" caused \\\\\\\"x\\\\\\\"\"."#;
        assert_eq!(
            text(line),
            r#"docker: process_linux.go:393: container init caused "rootfs: mounting "cgroup" caused "x""."#
        );
    }

    #[test]
    fn odd_lines_are_kept() {
        assert_eq!(
            text(r#"level=info msg="loading plugin "x"..." module=containerd"#),
            r#"loading plugin  x"..." module=containerd"#
        );
        assert_eq!(text("level=error msg=\"cut off in the mid"), "cut off in the mid");
        assert_eq!(text("\u{2}\0\0\0\0\0\0Ztime=\"2021\" level=fatal msg=\"no memory\""), "no memory");
        assert_eq!(text(r"C:\path"), r"C:\path");
        assert_eq!(text(""), "");
    }

    proptest::proptest! {
        #[test]
        fn reading_never_panics(line in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = Entry::read(&line);
        }

        #[test]
        fn reading_log_like_lines_never_panics(
            line in r#"(time=| level=(error|x)| msg=|"|\\|\\"|\\u00e|ERRO|\[|\]|\{|\}|:| |1月|é|[|]|#|a|0){0,30}"#
        ) {
            let _ = Entry::read(line.as_bytes());
        }
    }
}
