//! A seal on a report that comes out of a container whose other processes can write to the same output.
//!
//! Who wants the report gives a key on standard input, before anything else of that container runs; the report is
//! printed with a tag behind it (HMAC, RFC 2104, with SHA-256) that only who has the key can make. Reading the report
//! does not give the key away. Root in the same container can read our memory, and the key in it.

use std::fmt;
use std::io::{self, Read};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// The option that asks for it: the first word behind our name, or none.
pub const OPTION: &str = "--sealed";
/// What the line behind a report begins with.
const MARK: &str = "sealed ";
/// The first and the last line of a report.
const REPORT: (&str, &str) = ("{", "}");

/// The key of one run: a block of the hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Seal([u8; 64]);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(***)")
    }
}

impl Seal {
    /// A new one.
    ///
    /// # Errors
    /// The kernel gives no random numbers.
    pub fn new() -> io::Result<Self> {
        let mut key = [0; 64];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        Ok(Self(key))
    }

    /// The one that is given on standard input.
    ///
    /// # Errors
    /// What the read gave, or that it is no key.
    pub fn read(mut from: impl Read) -> io::Result<Self> {
        let mut key = [0; 64];
        from.read_exact(&mut key)?;
        Ok(Self(key))
    }

    /// What [`Seal::read`] reads.
    pub fn key(&self) -> &[u8] {
        &self.0
    }

    /// A report and its seal. Nothing of it is changed on its way, since it is ASCII: outputs are cut between any two
    /// bytes, and what is not UTF-8 then is replaced (moby daemon/logger/copier.go).
    pub fn seal(&self, report: &str) -> String {
        use fmt::Write as _;
        let mut text = String::with_capacity(report.len() + 80);
        for c in report.chars() {
            if c.is_ascii() {
                text.push(c);
            } else {
                // Beyond ASCII a JSON text has strings alone, in which each character may be written so (RFC 8259, 7).
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
        let tag = self.of(&text).finalize().into_bytes();
        text.push_str(MARK);
        for byte in tag {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
        text
    }

    /// The last report of a container's output that has this seal.
    pub fn find(&self, output: &str) -> Option<Value> {
        let (mut at, mut begin, mut found) = (0, None, None);
        let mut end = None;
        for line in output.split_inclusive('\n') {
            let text = line.trim_end_matches('\n');
            if text == REPORT.0 {
                (begin, end) = (Some(at), None);
            } else if text == REPORT.1 {
                end = begin.take().map(|begin| begin..at + line.len());
            } else if let Some(report) = end.take().filter(|_| text.starts_with(MARK))
                && self.is_tag(&text[MARK.len()..], &output[report.clone()])
            {
                found = Some(report);
            }
            at += line.len();
        }
        serde_json::from_str(&output[found?]).ok()
    }

    fn is_tag(&self, tag: &str, report: &str) -> bool {
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = tag.as_bytes().chunks(2).map(digits).collect();
        bytes.is_some_and(|bytes| self.of(report).verify_slice(&bytes).is_ok())
    }

    fn of(&self, report: &str) -> Hmac<Sha256> {
        let mac = Hmac::new(&self.0.into());
        mac.chain_update(report)
    }
}

/// Whether there is something in an output that looks like a report, by whatever process.
pub fn is_there(output: &str) -> bool {
    let mut lines = output.lines().skip_while(|line| *line != REPORT.0);
    lines.any(|line| line == REPORT.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(what: &str) -> String {
        format!("{:#}\n", serde_json::json!({ "what": what, "in": { "it": [1] } }))
    }

    #[test]
    fn the_last_sealed_report_counts_whatever_is_around_it() {
        let seal = Seal::new().unwrap();
        let sealed = seal.seal(&report("fünf 😀"));
        assert!(sealed.is_ascii());
        let said = |output: &str| seal.find(output).map(|report| report["what"].as_str().unwrap().to_owned());
        assert_eq!(said(&sealed).as_deref(), Some("fünf 😀"));
        let again = seal.seal(&report("again"));
        assert_eq!(said(&format!("noise\n}}\n{sealed}more\n{{\n{again}}}\nsealed 00\n")).as_deref(), Some("again"));
        assert_eq!(said(&format!("{sealed}{}", report("forged"))).as_deref(), Some("fünf 😀"));
    }

    #[test]
    fn a_report_with_no_seal_or_anothers_does_not_count() {
        let seal = Seal::new().unwrap();
        let sealed = seal.seal(&report("ours"));
        let tag = sealed.lines().last().unwrap();
        let forged = report("forged");
        for output in [
            forged.clone(),
            format!("{forged}{tag}\n"),
            format!("{forged}sealed \n"),
            format!("{forged}sealed {}\n", "0".repeat(64)),
            format!("{forged}sealed {}\n", "\u{fc}".repeat(32)),
            Seal::new().unwrap().seal(&forged),
            sealed.replace("ours", "out "),
            sealed.replacen("{\n", "{\n \n", 1),
            sealed.replace("}\nsealed", "}\n\nsealed"),
        ] {
            assert_eq!(seal.find(&output), None, "{output}");
            assert!(is_there(&output), "{output}");
        }
        assert!(!is_there("}\n{\n") && !is_there(""));
    }

    #[test]
    fn a_key_is_read_as_it_was_given_and_not_shown() {
        let seal = Seal::new().unwrap();
        let mut given = seal.key().to_vec();
        assert_eq!(given.len(), 64);
        assert_eq!(format!("{seal:?}"), "Seal(***)");
        given.extend(b"what comes behind it");
        let mut from = given.as_slice();
        assert!(Seal::read(&mut from).unwrap() == seal);
        assert_eq!(from, b"what comes behind it");
        assert_eq!(Seal::read(&given[..63]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
