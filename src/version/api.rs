//! Versions of the engine's HTTP API: `1.24`, with or without the `v` of a path.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use crate::foreign;

/// A version of the engine's HTTP API, such as `1.24`. Its parts are whole numbers: 1.9 comes before 1.10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    major: u16,
    minor: u16,
}

/// Why a text is not an API version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an API version; expected two numbers such as 1.41")]
pub struct ApiVersionError {
    text: String,
}

impl ApiVersion {
    /// Its two numbers.
    pub const fn parts(self) -> (u16, u16) {
        (self.major, self.minor)
    }

    /// The version with these two numbers.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl FromStr for ApiVersion {
    type Err = ApiVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // `parse` would take a sign too.
        let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten();
        let bare = text.trim();
        let bare = bare.strip_prefix('v').unwrap_or(bare);
        bare.split_once('.')
            .and_then(|(major, minor)| Some(Self { major: number(major)?, minor: number(minor)? }))
            .ok_or_else(|| ApiVersionError { text: foreign::line(text).chars().take(80).collect() })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Serialize for ApiVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ApiVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A visitor for the same reason as that of `EngineVersion`: the exact position of a bad one.
        struct ApiVersionVisitor;
        impl Visitor<'_> for ApiVersionVisitor {
            type Value = ApiVersion;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an API version such as \"1.41\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ApiVersion, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(ApiVersionVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_numbers() {
        let version = |text: &str| text.parse::<ApiVersion>().unwrap();
        assert!(version("1.9") < version("1.12"));
        assert!(version("1.55") < version("2.0"));
        assert_eq!(version("v1.24"), version("1.24"));
        assert_eq!(version("v1.24").to_string(), "1.24");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "1", "1.", ".1", "1.2.3", "1.-2", "1.+2", "1.99999", "x.y"] {
            assert!(text.parse::<ApiVersion>().is_err(), "{text:?}");
        }
    }
}
