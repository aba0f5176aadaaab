//! Where our own words end and the daemon's, or another command's, begin.
//!
//! An image says `ENTRYPOINT ["dindcheck", "--fix"]`, and what a user adds to `docker run` follows that. The rule: our
//! options come first. The first word that is not one of our options ends them, as if `--` stood before it: it is the
//! daemon's, which refuses what it does not know, or another command's. Only what is nearly one of our options is taken
//! for a mistyped one, and an error.
//!
//! A subcommand of ours counts wherever our options end: of the options before it, those of the image, it takes the ones
//! that it has. After `--job`, flags of the daemon's may stand before the job's own words.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

use clap::builder::{OsStr, Resettable};
use clap::error::ErrorKind;
use clap::{Command, CommandFactory as _, FromArgMatches as _, Parser as _};

use crate::cli::{self, Cli, yes_or_no};
use crate::configuration::{flag_of, flag_words};
use crate::report::seal::{self, Seal};

/// The option that gives a word to the daemon where the words at the end are a job's.
const DAEMON_ARGUMENT: &str = "--daemon-arg";
/// The variable that stands for `--job`.
const JOB: &str = "DINDCHECK_JOB";

/// Reads a command line.
///
/// # Errors
/// As clap has them.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    if words.get(1).is_some_and(|word| word == seal::OPTION) {
        words.remove(1);
        return sealed(words);
    }
    let by_variable = std::env::var(JOB).is_ok_and(|value| yes_or_no(&value) == Ok(true));
    Cli::try_parse_from(arranged(words, by_variable)?)
}

/// The command line for the gate of an image. The variables are that image's: how strictly it is judged, and where the
/// report goes, is not for it to say.
fn sealed(words: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = without_variables(Cli::command());
    let matches = command.try_get_matches_from_mut(arranged(words, false)?)?;
    let mut parsed = Cli::from_arg_matches(&matches)?;
    let key = io::stdin().as_fd().try_clone_to_owned().map(File::from).and_then(Seal::read);
    let key = key.map_err(|error| command.error(ErrorKind::Io, format!("{}: no key: {error}", seal::OPTION)))?;
    let output = match &mut parsed.command {
        None => &mut parsed.run.look.output,
        Some(cli::Command::Check(args)) => &mut args.look.output,
        Some(cli::Command::Verify(args)) => &mut args.look.output,
        Some(_) => return Err(command.error(ErrorKind::ArgumentConflict, format!("{}: nothing to seal", seal::OPTION))),
    };
    output.seal = Some(key);
    Ok(parsed)
}

fn without_variables(command: Command) -> Command {
    command.mut_args(|argument| argument.env(Resettable::<OsStr>::Reset)).mut_subcommands(without_variables)
}

/// One of our options, with its value.
struct Given {
    /// Its long name.
    name: String,
    words: std::ops::Range<usize>,
}

/// Puts each word where it belongs, unless the user did.
fn arranged(words: Vec<OsString>, mut is_job: bool) -> Result<Vec<OsString>, clap::Error> {
    let ours = Cli::command();
    let mut options: Vec<Given> = Vec::new();
    let mut index = 1;
    while let Some(word) = words.get(index).map(|word| word.to_string_lossy().into_owned()) {
        if word == "--" {
            return Ok(words);
        }
        if !word.starts_with('-') {
            let asked = options.iter().any(|option| option.name == "job");
            return Ok(match ours.find_subcommand(&word).filter(|_| !asked) {
                Some(command) => with_subcommand(words, index, command, &options),
                None => ended(words, index, is_job),
            });
        }
        let Some(option) = option_of(&ours, &word) else {
            // What clap answers by itself.
            if ["--help", "-h", "--version", "-V"].contains(&word.as_str()) {
                return Ok(words);
            }
            if let Some(meant) = mistyped(&ours, &word) {
                let text = format!("unknown option `{word}`: did you mean `--{meant}`? For the daemon: `-- {word}`\n");
                return Err(ours.clone().error(ErrorKind::UnknownArgument, text));
            }
            return Ok(ended(words, index, is_job));
        };
        let takes_next = option.get_action().takes_values() && !word.contains('=') && !is_short_with_value(&word);
        let end = (index + 1 + usize::from(takes_next)).min(words.len());
        let name = option.get_long().unwrap_or_default().to_owned();
        is_job |= name == "job";
        options.push(Given { name, words: index..end });
        index = end;
    }
    Ok(words)
}

/// `-oFILE`.
fn is_short_with_value(word: &str) -> bool {
    !word.starts_with("--") && word.chars().count() > 2
}

fn option_of<'c>(command: &'c Command, word: &str) -> Option<&'c clap::Arg> {
    let name = word.split('=').next().unwrap_or_default();
    command.get_arguments().find(|argument| match name.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => argument.get_short().is_some_and(|short| name.chars().nth(1) == Some(short)),
    })
}

/// The option of ours that a long one, which the daemon does not have, is nearly the same as.
fn mistyped<'c>(ours: &'c Command, word: &str) -> Option<&'c str> {
    let name = word.split('=').next().unwrap_or_default();
    let name = name.strip_prefix("--").filter(|_| flag_of(word).is_none())?;
    let own = ours.get_arguments().filter_map(clap::Arg::get_long).chain(["help", "version"]);
    // Of a short name, two letters are half.
    own.into_iter().find(|own| strsim::osa_distance(own, name) <= if own.len() < 6 { 1 } else { 2 })
}

/// Our options end at `index`.
fn ended(mut words: Vec<OsString>, index: usize, is_job: bool) -> Vec<OsString> {
    let rest: Vec<String> = words[index..].iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let flags = if is_job { flag_words(&rest) } else { 0 };
    let command = words.split_off(index + flags);
    let flags = words.split_off(index);
    words.extend(flags.into_iter().map(|word| {
        let mut option = OsString::from(format!("{DAEMON_ARGUMENT}="));
        option.push(word);
        option
    }));
    if command.first().is_none_or(|word| word != "--") {
        words.push("--".into());
    }
    words.extend(command);
    words
}

/// The subcommand comes first, with those options before it that it has and that are not given again behind it.
fn with_subcommand(words: Vec<OsString>, index: usize, command: &Command, options: &[Given]) -> Vec<OsString> {
    let behind: Vec<String> = words[index + 1..]
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .take_while(|word| word != "--")
        .filter_map(|word| Some(option_of(command, &word).filter(|_| word.starts_with('-'))?.get_long()?.to_owned()))
        .collect();
    let is_wanted = |option: &&Given| {
        let has = command.get_arguments().any(|argument| argument.get_long() == Some(&option.name));
        has && !behind.contains(&option.name)
    };
    let mut arranged = vec![words[0].clone(), words[index].clone()];
    for option in options.iter().filter(is_wanted) {
        arranged.extend(words[option.words.clone()].iter().cloned());
    }
    arranged.extend(words[index + 1..].iter().cloned());
    arranged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(arranged(line.split(' ').map(OsString::from).collect(), false)?)
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
    fn an_unknown_option_is_the_daemons_to_refuse_unless_it_is_nearly_ours() {
        for line in
            ["dindcheck --fxi", "dindcheck --fx", "dindcheck --verbos=1", "dindcheck --fix --tiemout 9s dockerd"]
        {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains("did you mean `--"), "{line}: {error}");
        }
        for (line, rest) in [
            ("dindcheck --fix --nri-opts=x", vec!["--nri-opts=x"]),
            ("dindcheck --of-tomorrow 1 -D", vec!["--of-tomorrow", "1", "-D"]),
            ("dindcheck --fix -x", vec!["-x"]),
            ("dindcheck --storag-driver vfs", vec!["--storag-driver", "vfs"]),
            // One letter from --only and --exit.
            ("dindcheck --init", vec!["--init"]),
        ] {
            assert_eq!(args(line), rest, "{line}");
        }
    }

    #[test]
    fn a_subcommand_works_after_the_options_of_an_image() {
        let check = |line: &str| match parse(line).unwrap().command {
            Some(crate::cli::Command::Check(args)) => args,
            other => panic!("{line}: {other:?}"),
        };
        assert!(!check("dindcheck --fix check").look.strict);
        let args = check(
            "dindcheck --fix --timeout 90s --strict --format json --skip mounts.writable check --only mounts.writable -- -D",
        );
        assert!(args.look.strict);
        assert_eq!((args.look.only.len(), args.look.skip.len()), (1, 1));
        assert_eq!(args.args, ["-D"]);
        let args = check("dindcheck -q --format=json check --format table");
        assert_eq!(args.look.output.format, crate::cli::Format::Table);
        for command in ["fix", "undo", "health", "verify", "facts", "explain mounts.writable", "profiles list", "man"] {
            let line = format!("dindcheck --fix --drill -q --stop-grace 20s {command}");
            assert!(parse(&line).unwrap_or_else(|error| panic!("{line}: {error}")).command.is_some(), "{line}");
        }
        // The words of a job are its own.
        assert_eq!(args_of_job("dindcheck --job check").1, ["check"]);
    }

    fn args_of_job(line: &str) -> (Vec<String>, Vec<String>) {
        let run = parse(line).unwrap().run;
        (run.daemon_args, run.args)
    }

    #[test]
    fn the_daemon_of_a_job_takes_flags() {
        for (line, daemon, job) in [
            ("dindcheck --job --mtu 1400 docker info", vec!["--mtu", "1400"], vec!["docker", "info"]),
            (
                "dindcheck --fix --job -DHtcp://x:1 --tls=false sh -c -D",
                vec!["-DHtcp://x:1", "--tls=false"],
                vec!["sh", "-c", "-D"],
            ),
            ("dindcheck --job --mtu 1400 -- docker -D", vec!["--mtu", "1400"], vec!["docker", "-D"]),
            ("dindcheck --daemon-arg=-D --job docker info", vec!["-D"], vec!["docker", "info"]),
            ("dindcheck --job -- -x", vec![], vec!["-x"]),
        ] {
            assert_eq!(
                args_of_job(line),
                (daemon.into_iter().map(str::to_owned).collect(), job.into_iter().map(str::to_owned).collect()),
                "{line}"
            );
        }
        let words = ["dindcheck", "-l", "debug", "true"].map(OsString::from).to_vec();
        let run = Cli::try_parse_from(arranged(words, true).unwrap()).unwrap().run;
        assert_eq!((run.daemon_args, run.args), (vec!["-l".to_owned(), "debug".to_owned()], vec!["true".to_owned()]));
        assert!(
            yes_or_no("1").unwrap_or_default()
                && yes_or_no("yes").unwrap_or_default()
                && !yes_or_no("0").unwrap_or_default()
                && !yes_or_no("false").unwrap_or_default()
        );
    }
}
