//! Mends of the daemon's configuration: flags. Its file is the user's, and never written.

use super::Fix;
use super::step::Step;

/// Says outright that there is no TLS.
pub fn say_no_tls(check: &'static str) -> Fix {
    let steps = vec![Step::AddFlag { flag: "--tls=false".to_owned() }];
    Fix::in_container(check, "start the daemon with --tls=false", steps)
}
