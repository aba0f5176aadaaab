//! Text that comes from outside: images, daemons, logs, the environment, files of users.
//!
//! It goes to a terminal or to a parser of CI logs only through [`printable`] or [`one_line`], and to anybody at all only
//! through [`redacted`]: a report and the facts are passed on, and a password in them with it.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::OnceLock;

use regex::bytes::{Captures, Regex, RegexBuilder};

/// Makes visible what would move the cursor, change the terminal, turn the direction of writing (Unicode TR 9, section 2)
/// or hide; newlines stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, |c| c != '\n' && is_hidden(c))
}

/// The same for what has to stay in one line, a name or a summary.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escape(text, is_hidden)
}

/// Text of several lines for a terminal or a CI log: visible, and no line of it is a command to a runner.
pub fn printable(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| defused(&visible(line)).into_owned()).collect();
    lines.join("\n")
}

fn escape(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !hidden(c) => out.push(c),
            '\t' => out.push(' '),
            '\n' => out.push_str("\\n"),
            c => out.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(out)
}

/// Control characters (C0, DEL, C1), and format characters that turn the direction or are not seen.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}

/// A line of output that no runner takes for a command: GitHub's takes `::name::` behind blanks (actions/runner
/// ActionCommand.TryParseV2) and `##[name]` anywhere (TryParse), Azure `##vso[`, TeamCity `##teamcity[`.
pub fn defused(line: &str) -> Cow<'_, str> {
    let command = line.trim_start().starts_with("::");
    if !command && !line.contains("##") {
        return Cow::Borrowed(line);
    }
    // Each pair is parted: the second and the third of three are one, too.
    let mut parted = String::with_capacity(line.len() + 8);
    for c in line.chars() {
        if c == '#' && parted.ends_with('#') {
            parted.push('\\');
        }
        parted.push(c);
    }
    let line = parted;
    let blanks = line.len() - line.trim_start().len();
    Cow::Owned(if command { format!("{}\\{}", &line[..blanks], &line[blanks..]) } else { line })
}

/// What stands in the place of a secret.
const HIDDEN: &[u8] = b"***";

/// A name that tells of a secret.
const NAME: &str =
    r"[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[\w.-]*";

/// The forms of secrets, with NAME for such a name: the first group, and the third if there is one, stay.
const SECRETS: [&str; 4] = [
    // A URL with user info (RFC 3986, 3.2.1).
    r#"([a-z][a-z0-9+.-]*://)((?:[^\s"'<>/?#\\]|\\.)+)(@)"#,
    // Proxies are taken without a scheme too (golang.org/x/net/http/httpproxy).
    r#"(proxy["']?[=:\s,]+["']?)([^\s"'/@=]+:(?:[^\s"'/@][^\s"'@]*)?)(@)"#,
    // A name that tells of a secret, and its value: of a flag, a variable, a JSON document.
    r#"(NAME(?:=["']?|\\?"\s*:\s*\\?"))((?:[^\s"'\\,]|\\[^"])+)"#,
    // The same in a map as Go prints it: map[name:value name:value]. A path behind the colon is that of a mount.
    r#"([\[\s]NAME:)([^\s\]"'/\\][^\s\]"'\\]*)"#,
];

/// Takes the secrets out of a text, which may be JSON: user info of URLs, and what stands behind the name of a secret.
pub fn redacted(text: &[u8]) -> Cow<'_, [u8]> {
    static FORMS: OnceLock<Vec<Regex>> = OnceLock::new();
    let forms = FORMS.get_or_init(|| {
        let build = |form: &&str| {
            RegexBuilder::new(&form.replace("NAME", NAME)).unicode(false).case_insensitive(true).build().ok()
        };
        SECRETS.iter().filter_map(build).collect()
    });
    forms.iter().fold(Cow::Borrowed(text), |text, form| {
        let hide = |found: &Captures<'_>| {
            let group = |number| found.get(number).map(|group| group.as_bytes()).unwrap_or_default();
            [group(1), HIDDEN, group(3)].concat()
        };
        match form.replace_all(&text, hide) {
            Cow::Borrowed(_) => text,
            Cow::Owned(new) => Cow::Owned(new),
        }
    })
}

/// The same for text.
pub fn redacted_text(text: &str) -> String {
    String::from_utf8_lossy(&redacted(text.as_bytes())).into_owned()
}

/// A writer that takes secrets out of all that goes through it, once it is flushed or dropped.
pub struct Redacting<W: Write> {
    out: W,
    held: Vec<u8>,
}

impl<W: Write> Redacting<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, held: Vec::new() }
    }
}

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        self.out.write_all(&redacted(&held))?;
        self.out.flush()
    }
}

impl<W: Write> Drop for Redacting<W> {
    fn drop(&mut self) {
        // Who cares for the error flushes.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_turns_or_hides_is_made_visible() {
        assert_eq!(one_line("plain ä 😀"), "plain ä 😀");
        assert_eq!(one_line("a\x1b[31mb\x07\u{9b}c\nd\te\r"), "a\\u{1b}[31mb\\u{7}\\u{9b}c\\nd e\\u{d}");
        assert_eq!(visible("a\nb\u{202e}c\u{2066}\u{200b}"), "a\nb\\u{202e}c\\u{2066}\\u{200b}");
    }

    #[test]
    fn no_line_is_a_command_to_a_runner() {
        assert_eq!(
            printable("x\n ::add-mask::y\n##[error]z ##vso[task]"),
            "x\n \\::add-mask::y\n#\\#[error]z #\\#vso[task]"
        );
        assert_eq!(printable("a::b # c"), "a::b # c");
        assert_eq!(printable("a ###[error]"), "a #\\#\\#[error]");
    }

    #[test]
    fn secrets_are_taken_out_in_each_form() {
        for (text, wanted) in [
            ("--http-proxy=http://user:pw456@p:1 x", "--http-proxy=http://***@p:1 x"),
            ("\"--http-proxy\", \"http://user:p@w@p:1\"", "\"--http-proxy\", \"http://***@p:1\""),
            ("HTTPS_PROXY=user:pw@p:1", "HTTPS_PROXY=***@p:1"),
            ("--log-opt splunk-token=abc,def", "--log-opt splunk-token=***,def"),
            ("map[gelf-token:abc max-size:1m splunk-token:de]", "map[gelf-token:*** max-size:1m splunk-token:***]"),
            ("-v /run/secrets:/run/secrets", "-v /run/secrets:/run/secrets"),
            ("the token: 5", "the token: 5"),
            ("{\"splunk-token\": \"abc\"}", "{\"splunk-token\": \"***\"}"),
            ("{\"x\": \"{\\\"password\\\": \\\"abc\\\"}\"}", "{\"x\": \"{\\\"password\\\": \\\"***\\\"}\"}"),
            ("REGISTRY_PASSWORD='abc'", "REGISTRY_PASSWORD='***'"),
            ("AWS_SECRET_ACCESS_KEY=abc", "AWS_SECRET_ACCESS_KEY=***"),
            ("https://example.com/a?mail=b@c", "https://example.com/a?mail=b@c"),
            ("alpine:3@sha256:00", "alpine:3@sha256:00"),
            ("automountServiceAccountToken: false", "automountServiceAccountToken: false"),
            ("/run/secrets/kubernetes.io", "/run/secrets/kubernetes.io"),
        ] {
            assert_eq!(redacted_text(text), wanted, "{text}");
        }
        let mut out = Vec::new();
        let mut redacting = Redacting::new(&mut out);
        redacting.write_all(b"http://a:").unwrap();
        redacting.write_all(b"b@c").unwrap();
        drop(redacting);
        assert_eq!(out, b"http://***@c");
    }

    proptest::proptest! {
        #[test]
        fn nothing_hidden_is_left_and_no_command(text in "(\\PC|[\x00-\x1f\x7f-\u{9f}\u{202a}-\u{202e}\n:#\\[ ])*") {
            let shown = printable(&text);
            proptest::prop_assert!(!shown.chars().any(|c| c != '\n' && is_hidden(c)));
            for line in shown.split('\n') {
                proptest::prop_assert!(!line.trim_start().starts_with("::") && !line.contains("##["));
            }
            proptest::prop_assert!(!one_line(&text).contains('\n'));
        }

        #[test]
        fn redacting_keeps_json_whole(user in "[a-z\"\\\\@:/ ]{0,12}", password in "\\PC{0,12}") {
            let value = serde_json::json!({ "url": format!("http://{user}:{password}@host/"), "token": password });
            let text = serde_json::to_vec_pretty(&value).unwrap();
            proptest::prop_assert!(serde_json::from_slice::<serde_json::Value>(&redacted(&text)).is_ok());
        }
    }
}
