//! Tables of hosts: each row is a test, and a row of the page on kernels.

use crate::report::Report;

/// The checks that find something which blocks or is a warning, and a word that each finding must have.
pub(crate) type Found = &'static [(&'static str, &'static str)];

/// What is found where no one hands controllers down to the container's cgroup of version 2.
pub(crate) const DELEGATION: (&str, &str) = ("cgroup.delegation", "cgroup.subtree_control");

/// How the main job with `--fix` ends.
pub(crate) enum Fixed {
    /// These checks are mended, and the daemon is proved.
    Proved(&'static [&'static str]),
    /// It ends with this exit status; these findings or claims of the proof stay, beside others.
    Left(i32, &'static [&'static str]),
}

impl Fixed {
    /// Asserts that it has ended so.
    pub(crate) fn holds(&self, report: &Report, status: i32, all: &str) {
        match *self {
            Self::Proved(mended) => {
                assert_eq!(report.mended(), mended, "{all}");
                assert_eq!(report.claim("run"), Some("pass"), "{all}");
                assert_eq!(report.0["summary"]["blocking"], 0, "{all}");
                assert_eq!(status, 0, "{all}");
            }
            Self::Left(expected, left) => {
                for id in left {
                    let claim = id.strip_prefix("verification.").and_then(|id| report.claim(id));
                    assert!(claim == Some("fail") || report.found().contains(id), "{id} is gone: {all}");
                }
                assert_eq!(status, expected, "{all}");
            }
        }
    }
}

/// Asserts what a look has found.
pub(crate) fn finds(check: &Report, wanted: Found, all: &str) {
    let ids: Vec<&str> = wanted.iter().map(|(id, _)| *id).collect();
    assert_eq!(check.found(), ids, "{all}");
    for (id, word) in wanted {
        let finding = check.finding(id);
        assert!(finding.contains(word), "{word} is not in {finding}");
    }
}

/// Makes a table of the rows, and a test of each, which the caller's `holds` runs.
macro_rules! rows {
    ($($(#[$attribute:meta])* $test:ident: $row:expr,)*) => {
        const ROWS: &[Row] = &[$($row),*];
        $(
            $(#[$attribute])*
            #[test]
            fn $test() {
                holds(&$row);
            }
        )*
    };
}
pub(crate) use rows;
