//! The words in which programs write an errno, so that a signature can say which errors it is about.
//!
//! A pattern has `%E` where the error stands; the signature's `errno` lists the ones that it takes. The words are Go's
//! (syscall/zerrors_linux_*.go, lower case), glibc's and musl's (strerror(3): `Operation not supported` and `Not
//! supported`), Rust's (the same with `(os error N)`).

/// What stands for the error in a pattern.
pub(super) const SLOT: &str = "%E";

/// Names of errno(3), with the texts for them.
const WORDS: &[(&str, &[&str])] = &[
    ("EPERM", &["peration not permitted"]),
    ("ENOENT", &["o such file or directory", "ile does not exist"]),
    ("ESRCH", &["o such process"]),
    ("EINTR", &["nterrupted system call"]),
    ("EIO", &["nput/output error", "/O error"]),
    ("ENXIO", &["o such device or address"]),
    ("E2BIG", &["rgument list too long"]),
    ("ENOEXEC", &["xec format error"]),
    ("ECHILD", &["o child process"]),
    ("EAGAIN", &["esource temporarily unavailable", "ry again"]),
    ("ENOMEM", &["annot allocate memory", "ut of memory"]),
    ("EACCES", &["ermission denied"]),
    ("EBUSY", &["evice or resource busy", "esource busy"]),
    ("EEXIST", &["ile exists"]),
    ("EXDEV", &["nvalid cross-device link", "ross-device link"]),
    // Not the beginning of "no such device or address".
    ("ENODEV", &[r"o such device(?:[^ ]|$| [^o])"]),
    ("ENOTDIR", &["ot a directory"]),
    ("EISDIR", &["s a directory"]),
    ("EINVAL", &["nvalid argument"]),
    ("ENFILE", &["oo many open files in system", "ile table overflow"]),
    ("EMFILE", &["oo many open files", "o file descriptors available"]),
    ("ENOSPC", &["o space left on device"]),
    ("EROFS", &["ead-only file ?system"]),
    ("EMLINK", &["oo many links"]),
    ("ENAMETOOLONG", &["ile ?name too long"]),
    ("ENOSYS", &["unction not implemented"]),
    ("ELOOP", &["oo many levels of symbolic links", "ymbolic link loop"]),
    ("EOVERFLOW", &["alue too large for (?:defined )?data type"]),
    ("EPROTONOSUPPORT", &["rotocol not supported"]),
    ("EPROTOTYPE", &["rotocol wrong type for socket"]),
    ("EOPNOTSUPP", &["peration not supported", "ot supported"]),
    ("EAFNOSUPPORT", &["ddress family not supported by protocol"]),
    ("EADDRINUSE", &["ddress already in use", "ddress in use"]),
    ("ECONNREFUSED", &["onnection refused"]),
    ("ECONNRESET", &["onnection reset by peer"]),
    ("ETIMEDOUT", &["onnection timed out", "peration timed out"]),
    ("EHOSTUNREACH", &["o route to host", "ost is unreachable"]),
    ("ENETUNREACH", &["etwork is unreachable", "etwork unreachable"]),
    ("EDQUOT", &["isk quota exceeded", "uota exceeded"]),
    ("EUSERS", &["oo many users"]),
    ("ENOPKG", &["ackage not installed"]),
    ("ENOKEY", &["equired key not available"]),
    ("EKEYEXPIRED", &["ey has expired"]),
];

/// The pattern for one of these errors.
///
/// # Errors
/// A name that is none of the table's.
fn alternatives(names: &[String]) -> Result<String, String> {
    let mut all = Vec::new();
    for name in names {
        let (_, texts) =
            WORDS.iter().find(|(known, _)| known == name).ok_or_else(|| format!("`{name}` is no known errno"))?;
        // The first letter is large in C's libraries and small in Go's; the texts start after it.
        all.extend(texts.iter().map(|text| format!(".{text}")));
    }
    Ok(format!("(?:{})", all.join("|")))
}

/// A pattern whose errors of the system fit with a large first letter and with a small one: what Go's programs write, the
/// C library's do too, and the other way round.
pub(super) fn in_any_case(pattern: &str) -> String {
    if pattern.contains("(?i") {
        return pattern.to_owned();
    }
    let texts = WORDS.iter().flat_map(|(_, texts)| texts.iter());
    let mut firsts: Vec<usize> = texts
        .flat_map(|text| pattern.match_indices(text))
        .filter_map(|(at, _)| at.checked_sub(1))
        .filter(|first| pattern.as_bytes()[*first].is_ascii_alphabetic())
        // A longer word ends in it, or a class of the pattern's own is an escape.
        .filter(|first| first.checked_sub(1).is_none_or(|at| !is_word_or_escape(pattern.as_bytes()[at])))
        .collect();
    firsts.sort_unstable();
    firsts.dedup();
    let mut out = String::with_capacity(pattern.len() + firsts.len() * 3);
    let mut from = 0;
    for first in firsts {
        let letter = char::from(pattern.as_bytes()[first]);
        out.push_str(&pattern[from..first]);
        out.extend(['[', letter.to_ascii_uppercase(), letter.to_ascii_lowercase(), ']']);
        from = first + 1;
    }
    out + &pattern[from..]
}

const fn is_word_or_escape(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'\\'
}

/// A pattern with its slot filled in; without names, any known error may stand there.
///
/// # Errors
/// An unknown name, or names without a slot for them.
pub(super) fn expand(pattern: &str, names: &[String]) -> Result<String, String> {
    match (pattern.contains(SLOT), names.is_empty()) {
        (false, true) => Ok(pattern.to_owned()),
        (false, false) => Err(format!("`errno` is given, and the pattern has no `{SLOT}`")),
        (true, false) => Ok(pattern.replace(SLOT, &alternatives(names)?)),
        (true, true) => Ok(pattern.replace(SLOT, &alternatives(&all())?)),
    }
}

fn all() -> Vec<String> {
    WORDS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// Texts of which any stands where a program ends its message with an error of the system.
pub(super) fn texts() -> impl Iterator<Item = &'static str> {
    WORDS.iter().flat_map(|(_, texts)| *texts).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, names: &[&str], text: &str) -> bool {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        regex::bytes::Regex::new(&expand(pattern, &names).unwrap()).unwrap().is_match(text.as_bytes())
    }

    #[test]
    fn an_error_is_known_in_every_library_s_words() {
        for text in [
            "mkdir /a: operation not permitted",
            "mkdir /a: Operation not permitted",
            "mkdir /a: Operation not permitted (os error 1)",
        ] {
            assert!(fits(r"mkdir /a: %E", &["EPERM"], text), "{text}");
            assert!(!fits(r"mkdir /a: %E", &["EACCES"], text), "{text}");
            assert!(fits(r"mkdir /a: %E", &[], text), "{text}");
        }
        assert!(fits(r"x: %E", &["ENODEV"], "x: no such device"));
        assert!(!fits(r"x: %E", &["ENODEV"], "x: no such device or address"));
        assert!(fits(r"x: %E", &["EOPNOTSUPP"], "x: Not supported"));
    }

    #[test]
    fn a_slot_without_errors_and_errors_without_a_slot_are_told_apart() {
        assert!(expand("no slot", &["EPERM".to_owned()]).is_err());
        assert!(expand("%E", &["EWHAT".to_owned()]).is_err());
        assert_eq!(expand("as it is", &[]).unwrap(), "as it is");
    }

    #[test]
    fn an_error_spelt_out_fits_with_either_first_letter() {
        for (pattern, wanted) in [
            ("open x: permission denied", "open x: [Pp]ermission denied"),
            ("(?:Operation not permitted|no such device)", "(?:[Oo]peration not permitted|no such device)"),
            (r"[Nn]o such process, \Dile exists, (?i)", r"[Nn]o such process, \Dile exists, (?i)"),
            (r"[Nn]ot a directory, profile exists", r"[Nn]ot a directory, profile exists"),
        ] {
            assert_eq!(in_any_case(pattern), wanted);
        }
    }
}
