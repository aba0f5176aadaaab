//! Literal texts of which every match of a pattern contains one: what a scanner can look for at memory speed.
//!
//! They are looked for in the raw log, where a text may stand escaped (`\"` in logfmt, `\u003c` in JSON), so a literal
//! is cut at every byte that some log format writes in another way.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

use super::errno;

/// The shortest anchor that is worth looking for. Shorter ones would turn every other line into a candidate.
pub(super) const SHORTEST: usize = 7;

/// Shorter texts say nothing, not even beside a longer one.
const SHORTEST_BESIDE: usize = 4;

/// Texts of which one must be there.
pub(super) type AnyOf = Vec<Vec<u8>>;

/// What every match of a pattern contains: one text of each of these. The first is what to look for, the others what
/// to make sure of before the pattern itself is tried. Or why there is nothing to look for.
pub(super) fn required(pattern: &str) -> Result<Vec<AnyOf>, String> {
    // The syntax is that of the regexes in `signature`: bytes, and no Unicode tables.
    let hir = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .build()
        .parse(pattern)
        .map_err(|error| error.to_string())?;
    let mut all = match hir.kind() {
        HirKind::Concat(parts) => parts.iter().filter_map(best).collect(),
        _ => Vec::from_iter(best(&hir)),
    };
    all.retain(|texts| shortest(texts) >= SHORTEST_BESIDE);
    // An error of the system stands in many lines: what goes with it is looked for, where there is enough of it.
    all.sort_by_key(|texts| (shortest(texts) < SHORTEST, is_errno(texts), std::cmp::Reverse(shortest(texts))));
    match all.first() {
        Some(texts) if shortest(texts) >= SHORTEST => Ok(all),
        Some(texts) => {
            let worst = texts.iter().min_by_key(|text| text.len()).map(|text| String::from_utf8_lossy(text));
            Err(format!("the text that every match contains is too short: `{}`", worst.unwrap_or_default()))
        }
        None => Err("no text that every match contains".to_owned()),
    }
}

fn is_errno(texts: &AnyOf) -> bool {
    texts.iter().all(|text| errno::texts().any(|words| words.as_bytes() == text.as_slice()))
}

fn shortest(texts: &AnyOf) -> usize {
    texts.iter().map(Vec::len).min().unwrap_or(0)
}

fn best(hir: &Hir) -> Option<AnyOf> {
    match hir.kind() {
        HirKind::Literal(literal) => literal
            .0
            .split(|byte| rewritten(*byte))
            .max_by_key(|part| part.len())
            .filter(|part| !part.is_empty())
            .map(|part| vec![part.to_vec()]),
        HirKind::Capture(capture) => best(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => best(&repetition.sub),
        // Of the parts that must all be there, the one whose shortest text is longest.
        HirKind::Concat(parts) => parts.iter().filter_map(best).max_by_key(shortest),
        // One of the branches must be there: each needs a text.
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(best(branch)?);
            }
            all.sort();
            all.dedup();
            Some(all)
        }
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// Bytes that logfmt, JSON or journald write with an escape, at least sometimes.
const fn rewritten(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&') || !byte.is_ascii_graphic() && byte != b' '
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pattern: &str) -> Vec<String> {
        required(pattern).unwrap().remove(0).into_iter().map(|a| String::from_utf8(a).unwrap()).collect()
    }

    #[test]
    fn the_longest_text_of_a_sequence() {
        assert_eq!(texts(r"a process with PID (\d+) is still running"), ["a process with PID "]);
        assert_eq!(texts(r"[Ff]ailed to (?:start|run) the daemon"), [" the daemon"]);
    }

    #[test]
    fn all_parts_of_a_sequence_must_be_there() {
        let all = required("failed to (?:dial|reach) .*the daemon: (?:timeout|deadline)").unwrap();
        let texts: Vec<_> = all.iter().flatten().map(|text| String::from_utf8_lossy(text)).collect();
        assert_eq!(texts, ["the daemon: ", "failed to ", "deadline", "timeout", "dial", "reach"]);
    }

    #[test]
    fn every_branch_of_an_alternation() {
        assert_eq!(
            texts("no such file or directory|permission denied"),
            ["no such file or directory", "permission denied"]
        );
    }

    #[test]
    fn texts_end_at_bytes_that_some_formats_escape() {
        assert_eq!(texts(r#"mounting "proc" to rootfs at"#), [" to rootfs at"]);
    }

    #[test]
    fn patterns_without_enough_text_are_refused() {
        for pattern in [r"\d+", "a|long enough text", "(long enough text)?", "short"] {
            assert!(required(pattern).is_err(), "{pattern}");
        }
    }
}
