//! Engine versions: parsing every form that real engines and packages print, and their order.

mod api;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use crate::foreign;

pub use api::{ApiVersion, ApiVersionError};

/// The version of a Docker engine, such as `1.7.1`, `17.03.2-ce`, `20.10.24+dfsg1` or `29.0.0-rc.1`.
///
/// Order and equality look at the numbers and at a pre-release mark only; a distribution's or edition's suffix
/// (`-ce`, `+dfsg1`, `-0ubuntu4`) is kept for display and means nothing. Missing parts stand for the newest of the
/// line: `20.10` is at least every `20.10.N`.
#[derive(Debug, Clone)]
pub struct EngineVersion {
    text: String,
    release: [u32; 3],
    pre: Option<(PreKind, u32)>,
}

/// The stages before a final release, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum PreKind {
    Dev,
    TechPreview,
    Alpha,
    Beta,
    ReleaseCandidate,
}

/// Why a text is not an engine version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an engine version; expected numbers such as 20.10.24 or 29.0.0-rc.1, or `dev`")]
pub struct VersionError {
    text: String,
}

const NEWEST: u32 = u32::MAX;

impl EngineVersion {
    /// What stands in `release` for a part that was not given.
    pub const NOT_GIVEN: u32 = NEWEST;

    /// A build of the development branch: newer than all releases.
    pub fn development() -> Self {
        Self { text: "dev".to_owned(), release: [NEWEST; 3], pre: None }
    }

    /// The version as numbers, without suffix.
    pub const fn release(&self) -> [u32; 3] {
        self.release
    }

    /// Whether all three numbers were given.
    pub fn is_complete(&self) -> bool {
        self.release.iter().all(|part| *part != NEWEST)
    }

    /// Whether this is three numbers and nothing else, as a profile's `since` must be.
    pub fn is_plain_release(&self) -> bool {
        self.is_complete() && self.pre.is_none() && self.text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    }

    /// Finds the version in what `docker --version` or `dockerd --version` of any era prints:
    /// `Docker version 17.03.2-ce, build f5ec1e2`, with an optional third field `, experimental`
    /// (the format has not changed from 1.0 to 29.x).
    pub fn from_output(output: &str) -> Option<Self> {
        let rest = output.lines().find_map(|line| line.split_once("Docker version ").map(|(_, rest)| rest))?;
        let word = rest.split([',', ' ']).next()?;
        word.parse().ok()
    }

    /// Finds the version in what a companion program prints for `--version`: the first word of the first line that is
    /// one (`runc version 1.3.6+ds1`, `containerd github.com/containerd/containerd 1.7.24~ds1 1.7.24~ds1-6`).
    pub fn from_companion(output: &str) -> Option<Self> {
        let mut words = output.lines().next()?.split_whitespace();
        words.find_map(|word| {
            let starts_right = word.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit());
            starts_right.then(|| word.trim_end_matches(',').parse().ok())?
        })
    }

    fn key(&self) -> ([u32; 3], Option<(PreKind, u32)>) {
        (self.release, self.pre)
    }
}

impl FromStr for EngineVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || VersionError { text: foreign::line(text).chars().take(80).collect() };
        let trimmed = text.trim();
        if trimmed == "dev" || trimmed == "master" || trimmed.starts_with("master-") {
            return Ok(Self { text: trimmed.to_owned(), ..Self::development() });
        }
        if is_nightly(trimmed) {
            return Ok(Self { text: trimmed.to_owned(), ..Self::development() });
        }
        let bare = trimmed.strip_prefix("docker-").unwrap_or(trimmed);
        let bare = bare.strip_prefix('v').unwrap_or(bare);
        // A Debian epoch, as in `5:20.10.24~3-0~debian`.
        let bare = match bare.split_once(':') {
            Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) => rest,
            _ => bare,
        };
        let mut release = [NEWEST; 3];
        let mut rest = bare;
        for (index, part) in release.iter_mut().enumerate() {
            if index > 0 {
                match rest.strip_prefix('.') {
                    Some(after) if after.starts_with(|c: char| c.is_ascii_digit()) => rest = after,
                    _ => break,
                }
            }
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(digits);
            *part = number.parse().ok().filter(|n| *n != NEWEST).ok_or_else(error)?;
            rest = after;
        }
        if !rest.is_empty() && !rest.starts_with(['-', '+', '~', '.']) {
            return Err(error());
        }
        Ok(Self { text: trimmed.to_owned(), release, pre: pre_release(rest) })
    }
}

/// Whether this is a build of one night, `0.0.0-20191016130716-a5fd1c3`: no release, but of the development branch.
fn is_nightly(text: &str) -> bool {
    text.strip_prefix("0.0.0-").is_some_and(|rest| rest.bytes().take_while(u8::is_ascii_digit).count() == 14)
}

/// Reads `-rc.1`, `~rc1`, `-beta2`, `-tp`, `-dev`; every other suffix (`-ce`, `+dfsg1`, `-0ubuntu4`, `-fc25`) is a
/// distribution's or edition's mark.
fn pre_release(suffix: &str) -> Option<(PreKind, u32)> {
    const KINDS: [(&str, PreKind); 5] = [
        ("dev", PreKind::Dev),
        ("tp", PreKind::TechPreview),
        ("alpha", PreKind::Alpha),
        ("beta", PreKind::Beta),
        ("rc", PreKind::ReleaseCandidate),
    ];
    suffix.split(['-', '+', '~']).find_map(|word| {
        KINDS.iter().find_map(|(name, kind)| {
            let tail = word.trim_start_matches('.').strip_prefix(name)?;
            let digits: String = tail.trim_start_matches('.').chars().take_while(char::is_ascii_digit).collect();
            let word_ends = tail.is_empty() || tail.starts_with('.') || !digits.is_empty();
            word_ends.then(|| (*kind, digits.parse().unwrap_or(0)))
        })
    })
}

impl PartialEq for EngineVersion {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for EngineVersion {}

impl PartialOrd for EngineVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EngineVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        // No mark is the final release, which comes after its pre-releases.
        self.release.cmp(&other.release).then_with(|| match (self.pre, other.pre) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(own), Some(theirs)) => own.cmp(&theirs),
        })
    }
}

impl fmt::Display for EngineVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for EngineVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EngineVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A visitor, not `try_from`: only so does the YAML library give the exact position of a bad version.
        struct VersionVisitor;
        impl Visitor<'_> for VersionVisitor {
            type Value = EngineVersion;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an engine version such as 20.10.24")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EngineVersion, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(VersionVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> EngineVersion {
        text.parse().unwrap()
    }

    #[test]
    fn real_strings_parse() {
        for (text, release) in [
            ("1.7.1", [1, 7, 1]),
            ("17.03.2-ce", [17, 3, 2]),
            ("18.09.0", [18, 9, 0]),
            ("20.10.24+dfsg1", [20, 10, 24]),
            ("20.10.5+dfsg1-1+deb11u2", [20, 10, 5]),
            ("24.0.7-0ubuntu4", [24, 0, 7]),
            ("5:20.10.24~3-0~debian-bookworm", [20, 10, 24]),
            ("docker-v29.7.2", [29, 7, 2]),
            ("1.10.0-fc25", [1, 10, 0]),
            ("1.12.6-cs13", [1, 12, 6]),
            ("1.13.1-el7.centos", [1, 13, 1]),
            ("17.06.2-ee-16", [17, 6, 2]),
            ("19.03.13+azure", [19, 3, 13]),
            ("28.5.2+dfsg4", [28, 5, 2]),
            ("v1.7.1", [1, 7, 1]),
        ] {
            assert_eq!(version(text).release(), release, "{text}");
            assert_eq!(version(text).pre, None, "{text}");
        }
    }

    #[test]
    fn pre_releases_come_before_their_release() {
        let order = [
            "28.5.2",
            "29.0.0-dev",
            "29.0.0-alpha.1",
            "29.0.0-beta.3",
            "29.0.0-rc.1",
            "29.0.0~rc2",
            "29.0.0",
            "29",
            "dev",
        ];
        for pair in order.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn a_distribution_suffix_is_no_difference() {
        assert_eq!(version("20.10.24+dfsg1"), version("20.10.24"));
        assert_eq!(version("17.03.2-ce"), version("17.3.2"));
    }

    #[test]
    fn a_partial_version_is_the_newest_of_its_line() {
        assert!(version("20.10") > version("20.10.24"));
        assert!(version("20.10") < version("20.11.0"));
        assert!(!version("20.10").is_complete());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "abc", "1.2.3foo", "99999999999999", "-1", "v", "4294967295.0.0"] {
            assert!(text.parse::<EngineVersion>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn versions_are_found_in_the_output_of_any_era() {
        for (output, expected) in [
            ("Docker version 1.0.0, build 63fe64c", "1.0.0"),
            ("Docker version 1.7.1, build 786b29d", "1.7.1"),
            ("Docker version 1.9.1, build a34a1d5", "1.9.1"),
            ("Docker version 1.12.0, build 8eab29e, experimental", "1.12.0"),
            // The packages of Red Hat.
            ("Docker version 1.13.1, build 7d71120/1.13.1", "1.13.1"),
            ("Docker version 17.03.2-ce, build f5ec1e2\n", "17.03.2"),
            ("Docker version 18.09.0-ce-tp6, build e31eb15", "18.09.0-tp6"),
            ("Docker version 19.03.15, build 420b1d3625", "19.03.15"),
            ("Docker version 20.10.5+dfsg1, build 55c4c88", "20.10.5"),
            ("Docker version 24.0.5, build 24.0.5-0ubuntu1~22.04.1", "24.0.5"),
            ("Docker version 29.0.0-rc.1, build 1eba7b3", "29.0.0-rc.1"),
            ("Docker version 29.7.2, build 6a43e3d5afddf4111da0f864bbc7cae5d7e95001", "29.7.2"),
            ("Docker version dev, build dfdb9ab", "dev"),
            ("Docker version master-dockerproject-2022-03-26, build dd17a6c", "dev"),
            ("Docker version 0.0.0-20191016130716-a5fd1c3, build a5fd1c3", "dev"),
            ("warning: x\nDocker version 28.5.2+dfsg4, build ecc6942", "28.5.2"),
        ] {
            assert_eq!(EngineVersion::from_output(output), Some(version(expected)), "{output}");
        }
        assert_eq!(EngineVersion::from_output("podman version 4.3.1"), None);
        for (output, expected) in [
            ("runc version 1.3.6+ds1\ncommit: 1.3.6+ds1-1\n", Some("1.3.6+ds1")),
            ("containerd github.com/containerd/containerd 1.7.24~ds1 1.7.24~ds1-6\n", Some("1.7.24~ds1")),
            ("containerd containerd.io v2.1.5 fcd43222\n", Some("v2.1.5")),
            ("tini version 0.19.0\n", Some("0.19.0")),
            ("no version here", None),
            ("", None),
        ] {
            assert_eq!(EngineVersion::from_companion(output), expected.map(version), "{output}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC*") {
            let _ = text.parse::<EngineVersion>();
            let _ = EngineVersion::from_output(&text);
        }
    }
}
