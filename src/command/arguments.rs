//! Where our own words end and the daemon's, or another command's, begin.
//!
//! An image says `ENTRYPOINT ["dindcheck", "--fix"]`, and what a user adds to `docker run` follows that. The rule: our
//! options come first. The first word that is one of the daemon's flags, or neither an option nor a subcommand of
//! ours, ends them, as if `--` stood before it. An unknown option that the daemon does not have either is an error.

use std::ffi::OsString;

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::configuration::flag_of;

/// Puts `--` where the rule says, unless the user did.
pub fn separated(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    if let Some(index) = end_of_ours(&words) {
        words.insert(index, "--".into());
    }
    words
}

fn end_of_ours(words: &[OsString]) -> Option<usize> {
    let ours = Cli::command();
    let mut is_value = false;
    for (index, word) in words.iter().enumerate().skip(1) {
        if std::mem::take(&mut is_value) {
            continue;
        }
        let word = word.to_string_lossy();
        if !word.starts_with('-') {
            let known = word == "help" || ours.get_subcommands().any(|command| command.get_name() == word);
            return (!known).then_some(index);
        }
        let name = word.split('=').next().unwrap_or_default();
        if ["--help", "-h", "--version", "-V"].contains(&name) {
            return None;
        }
        let option = ours.get_arguments().find(|argument| match name.strip_prefix("--") {
            Some(long) => argument.get_long() == Some(long),
            None => argument.get_short().is_some_and(|short| name.chars().nth(1) == Some(short)),
        });
        match option {
            Some(option) => is_value = option.get_action().takes_values() && !word.contains('='),
            None => return flag_of(&word).map(|_| index),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(separated(line.split(' ').map(OsString::from)))
    }

    fn args(line: &str) -> Vec<String> {
        parse(line).unwrap().run.args
    }

    #[test]
    fn what_is_the_daemons_needs_no_separator() {
        assert_eq!(args("dindcheck --fix --storage-driver=vfs -D"), ["--storage-driver=vfs", "-D"]);
        assert_eq!(args("dindcheck --fix -H unix:///x --mtu 1400"), ["-H", "unix:///x", "--mtu", "1400"]);
        assert_eq!(args("dindcheck --format json dockerd --debug"), ["dockerd", "--debug"]);
        assert_eq!(args("dindcheck --fix -- --storage-driver=vfs"), ["--storage-driver=vfs"]);
        assert!(args("dindcheck --fix --format json").is_empty());
    }

    #[test]
    fn another_command_needs_none_either() {
        assert_eq!(args("dindcheck sh -c true"), ["sh", "-c", "true"]);
        assert_eq!(args("dindcheck --fix docker -H tcp://x ps"), ["docker", "-H", "tcp://x", "ps"]);
        assert_eq!(args("dindcheck --job docker build --help"), ["docker", "build", "--help"]);
    }

    #[test]
    fn what_is_ours_stays_ours() {
        assert!(parse("dindcheck check --strict").unwrap().command.is_some());
        assert!(parse("dindcheck --fix -q --timeout 90s").unwrap().run.fix);
        assert_eq!(parse("dindcheck --output sh dockerd").unwrap().run.args, ["dockerd"]);
    }

    #[test]
    fn an_option_that_nobody_has_is_an_error() {
        for line in ["dindcheck --fxi", "dindcheck --fix -x", "dindcheck --fix check", "dindcheck --storag-driver vfs"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
