//! Text that comes from outside: images, daemons, logs, other programs, the environment, files of users.
//!
//! Where it enters it becomes [`Foreign`], which cannot be put into a message but as [`Foreign::line`] or
//! [`Foreign::text`]. What is printed goes through a [`Filtered`] writer in any case. Each filter changes nothing of what
//! has been through it, so that nothing is escaped twice.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::sync::OnceLock;

use memchr::memmem;
use regex::bytes::{Captures, Regex, RegexBuilder};
use serde::{Deserialize, Serialize, Serializer};

/// A text from outside. There is no `Display`, and none may be added: what is shown of it is without secrets, moves no
/// cursor and is no command to a runner.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct Foreign(String);

impl Foreign {
    /// Reads bytes; what is no UTF-8 is replaced.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Adds what came after it.
    pub fn push(&mut self, more: &Self) {
        self.0.push_str(&more.0);
    }

    /// As it is: to be judged, compared, or handed on as it came. Never to be shown.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// For a place in a sentence: a name, a value.
    pub fn line(&self) -> String {
        line(&self.0)
    }

    /// What may be of several lines, without blanks around it.
    pub fn text(&self) -> String {
        text(self.0.trim())
    }
}

impl<T: Into<String>> From<T> for Foreign {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.line())
    }
}

impl Serialize for Foreign {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&redacted_text(&self.0))
    }
}

/// A variable of the environment that is set and not empty.
pub fn variable(name: &str) -> Option<Foreign> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).map(Foreign)
}

/// Text for one line of a terminal or a CI log, without secrets.
pub fn line(text: &str) -> String {
    defused(&one_line(&redacted_text(text))).into_owned()
}

/// The same for text of several lines.
pub fn text(text: &str) -> String {
    printable(&redacted_text(text))
}

/// A JSON document that holds the same, but for the secrets, and can stand in a terminal or a CI log.
fn json(text: &[u8]) -> Vec<u8> {
    let text = redacted_json(text);
    let Ok(text) = std::str::from_utf8(&text) else { return text.into_owned() };
    let mut out = String::with_capacity(text.len());
    // Outside of strings JSON has neither these characters nor `#`.
    for c in text.chars() {
        match c {
            c if c != '\n' && is_hidden(c) || c == '#' && out.ends_with('#') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.into_bytes()
}

/// Makes visible what would move the cursor, change the terminal, turn the direction of writing (Unicode TR 9, section 2)
/// or hide; newlines stay.
fn visible(text: &str) -> Cow<'_, str> {
    escape(text, |c| c != '\n' && is_hidden(c))
}

/// The same for what has to stay in one line, a name or a summary.
fn one_line(text: &str) -> Cow<'_, str> {
    escape(text, is_hidden)
}

/// Text of several lines for a terminal or a CI log: visible, and no line of it is a command to a runner. Secrets are not
/// looked for: that takes a megabyte, which PID 1 does not have to spare.
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

/// What is in each text that has a secret in one of those forms: for most texts the forms need not even be compiled.
const SIGNS: [&[u8]; 7] = [b"@", b"passw", b"passphrase", b"secret", b"token", b"key", b"credential"];

/// The forms of secrets, with NAME for such a name: the first group, and the third if there is one, stay.
const SECRETS: [&str; 5] = [
    // A URL with user info (RFC 3986, 3.2.1).
    r#"([a-z][a-z0-9+.-]*://)((?:[^\s"'<>/?#\\]|\\.)+)(@)"#,
    // Proxies are taken without a scheme too (golang.org/x/net/http/httpproxy).
    r#"(proxy["']?[=:\s,]+["']?)([^\s"'/@=]+:(?:[^\s"'/@][^\s"'@]*)?)(@)"#,
    // A name that tells of a secret, and its value in quotes inside of a JSON string.
    r#"(NAME(?:=|(?:\\")?\s*:\s*)\\")((?:[^"\\\n]|\\{3}"|\\[^"])+)"#,
    r#"(NAME=)((?:[^\s"'\\,]|\\[^"])+)"#,
    // The same in a map as Go prints it: map[name:value name:value]. A path behind the colon is that of a mount.
    r#"([\[\s]NAME:)([^\s\]"'/\\][^\s\]"'\\]*)"#,
];
/// Those in quotes: of a flag, a variable, a JSON document.
const QUOTED: [&str; 2] = [r#"(NAME(?:=|"?\s*:\s*)")((?:[^"\\\n]|\\.)+)"#, r#"(NAME=')([^'\n]+)"#];
/// The same in a JSON document, where a quote begins or ends a string, and what is hidden lies in one.
const QUOTED_IN_JSON: [&str; 2] = [r#"(NAME"\s*:\s*")((?:[^"\\\n]|\\.)+)"#, r#"(NAME=')((?:[^'"\\\n]|\\.)+)"#];

/// Takes the secrets out of a text, of which parts may be JSON: user info of URLs, and what stands behind the name of a
/// secret.
fn redacted(text: &[u8]) -> Cow<'_, [u8]> {
    static FORMS: OnceLock<Vec<Regex>> = OnceLock::new();
    hidden_by(&FORMS, QUOTED, text)
}

/// The same for a JSON document, which stays one.
fn redacted_json(text: &[u8]) -> Cow<'_, [u8]> {
    static FORMS: OnceLock<Vec<Regex>> = OnceLock::new();
    hidden_by(&FORMS, QUOTED_IN_JSON, text)
}

fn hidden_by<'a>(forms: &OnceLock<Vec<Regex>>, quoted: [&str; 2], text: &'a [u8]) -> Cow<'a, [u8]> {
    let lower = text.to_ascii_lowercase();
    if !SIGNS.iter().any(|sign| memmem::find(&lower, sign).is_some()) {
        return Cow::Borrowed(text);
    }
    let forms = forms.get_or_init(|| {
        let build = |form: &&str| {
            RegexBuilder::new(&form.replace("NAME", NAME)).unicode(false).case_insensitive(true).build().ok()
        };
        SECRETS.iter().chain(&quoted).filter_map(build).collect()
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
fn redacted_text(text: &str) -> String {
    String::from_utf8_lossy(&redacted(text.as_bytes())).into_owned()
}

/// What is written, and with that the filter that is right for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text without colours and without commands of ours.
    Text,
    /// JSON.
    Json,
    /// What has colours or commands of ours, or a syntax of its own: all that is foreign in it has been filtered where
    /// it was put in, and only secrets are looked for once more.
    Own,
}

/// A writer whose filter all goes through that is written, once it is flushed or dropped.
pub struct Filtered<W: Write> {
    out: W,
    form: Form,
    held: Vec<u8>,
}

impl<W: Write> Filtered<W> {
    /// Writes to `out`.
    pub fn new(form: Form, out: W) -> Self {
        Self { out, form, held: Vec::new() }
    }
}

impl<W: Write> Write for Filtered<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        match self.form {
            Form::Text => self.out.write_all(text(&String::from_utf8_lossy(&held)).as_bytes())?,
            Form::Json => self.out.write_all(&json(&held))?,
            Form::Own => self.out.write_all(&redacted(&held))?,
        }
        self.out.flush()
    }
}

impl<W: Write> Drop for Filtered<W> {
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
            ("PASSWORD=\"a b, c\" d", "PASSWORD=\"***\" d"),
            ("TOKEN='a b' c", "TOKEN='***' c"),
            ("{\"password\": \"a \\\"b\\\" c\", \"d\": 1}", "{\"password\": \"***\", \"d\": 1}"),
            ("{\"x\": \"PASSWORD=\\\"a b\\\" c\"}", "{\"x\": \"PASSWORD=\\\"***\\\" c\"}"),
        ] {
            assert_eq!(redacted_text(text), wanted, "{text}");
            match serde_json::from_str::<serde_json::Value>(text) {
                Ok(_) => assert_eq!(redacted_json(text.as_bytes()), wanted.as_bytes(), "{text}"),
                Err(_) => {
                    let document = serde_json::to_vec(&[text]).unwrap();
                    let told: [String; 1] = serde_json::from_slice(&redacted_json(&document)).unwrap();
                    assert_eq!(told[0], wanted, "in JSON: {text}");
                }
            }
        }
        for name in
            ["Passwd", "password", "passphrase", "SECRET", "token", "api_key", "access-key", "privatekey", "credential"]
        {
            assert_eq!(redacted_text(&format!("{name}=abc")), format!("{name}=***"));
        }
        let mut out = Vec::new();
        let mut redacting = Filtered::new(Form::Own, &mut out);
        redacting.write_all(b"http://a:").unwrap();
        redacting.write_all(b"b@c").unwrap();
        drop(redacting);
        assert_eq!(out, b"http://***@c");
    }

    #[test]
    fn what_comes_from_outside_is_shown_by_its_filters_alone() {
        let text = Foreign::of_bytes(b" \xff\x1b ##[error]\n::a::b\\c TOKEN=d ");
        assert_eq!(text.line(), " \u{fffd}\\u{1b} #\\#[error]\\n::a::b\\c TOKEN=*** ");
        assert_eq!(text.text(), "\u{fffd}\\u{1b} #\\#[error]\n\\::a::b\\c TOKEN=***");
        assert_eq!(format!("{text:?}"), format!("{:?}", text.line()));
        let written = serde_json::to_string(&text).unwrap();
        assert!(!written.contains("TOKEN=d"), "{written}");
        assert_eq!(serde_json::from_str::<Foreign>("\"TOKEN=d\"").unwrap().raw(), "TOKEN=d");
    }

    #[test]
    fn what_is_added_is_filtered_together_with_what_was_there() {
        let mut text = Foreign::from("TOK");
        text.push(&Foreign::from("EN=d"));
        assert_eq!((text.raw(), text.line().as_str()), ("TOKEN=d", "TOKEN=***"));
    }

    #[test]
    fn a_json_document_stays_the_same_and_is_no_command() {
        let value = serde_json::json!({ "a": "##[error]###[b] \u{202e}\u{9b}\u{7f}\\ ä", "TOKEN": "x" });
        let written = String::from_utf8(json(serde_json::to_string_pretty(&value).unwrap().as_bytes())).unwrap();
        assert!(!written.contains("##") && !written.contains(|c| c != '\n' && is_hidden(c)), "{written}");
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!((&read["a"], &read["TOKEN"]), (&value["a"], &"***".into()));
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
            // Nothing is escaped twice.
            proptest::prop_assert_eq!(printable(&shown), shown.as_str());
            let line = defused(&one_line(&text)).into_owned();
            let again = one_line(&line).into_owned();
            proptest::prop_assert_eq!(defused(&again), line.as_str());
        }

        #[test]
        fn redacting_keeps_json_whole(user in "[a-z\"\\\\@:/ ]{0,12}", password in "\\PC{0,12}") {
            let value = serde_json::json!({ "url": format!("http://{user}:{password}@host/"), "token": password });
            let text = serde_json::to_vec_pretty(&value).unwrap();
            proptest::prop_assert!(serde_json::from_slice::<serde_json::Value>(&redacted_json(&text)).is_ok());
        }

        #[test]
        fn what_looks_like_a_secret_leaves_json_whole(
            texts in proptest::collection::vec("(token|password|proxy| |[a-z]|[=:'\"\\\\,@/\\[\\]{}\n]|://){0,12}", 1..6)
        ) {
            let pairs = texts.iter().map(|text| (text.clone(), texts.clone().into()));
            let value = serde_json::Value::Object(pairs.collect());
            for text in [serde_json::to_vec(&value).unwrap(), serde_json::to_vec_pretty(&value).unwrap()] {
                proptest::prop_assert!(serde_json::from_slice::<serde_json::Value>(&redacted_json(&text)).is_ok());
            }
            let value: serde_json::Map<_, _> =
                texts.iter().zip(texts.iter().rev()).map(|(key, text)| (key.clone(), text.clone().into())).collect();
            let text = serde_json::to_vec(&value).unwrap();
            proptest::prop_assert!(serde_json::from_slice::<serde_json::Value>(&redacted_json(&text)).is_ok());
        }
    }
}
