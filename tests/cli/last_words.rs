//! How it ends when it cannot go on: one line and a status of its own, in any environment and as PID 1, too.

use std::process::{Command, Output};

use crate::common::host;

/// An error, a panic (the layout of that many bytes overflows) and a failed allocation (more than a process can address):
/// the arguments, the exit status, and what the line says.
const ENDS: [(&[&str], i32, &str); 3] = [
    (&["explain", "no.such.check"], 2, "no.such.check"),
    (&["inside", "hog", "18446744073709551615"], 6, "a bug in dindcheck: capacity overflow"),
    (&["inside", "hog", "1000000000000000"], 6, "out of memory: cannot allocate 1000000000000000 bytes"),
];
const BACKTRACES: [&[(&str, &str)]; 4] =
    [&[], &[("RUST_BACKTRACE", "1")], &[("RUST_BACKTRACE", "full")], &[("RUST_LIB_BACKTRACE", "1")]];
/// As a command, and as the first process of a PID namespace, where the kernel drops signals such as SIGABRT.
const STARTS: [&str; 2] = ["exec", "exec unshare --pid --fork"];

/// Runs a shell line in which `$0` is the program.
fn shell(line: &str, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new("sh");
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(variables.iter().copied());
    command.args(["-c", line, crate::binary::path()]).args(args).output().unwrap()
}

#[test]
fn each_end_is_one_line() {
    for (args, status, words) in ENDS {
        for variables in BACKTRACES {
            for start in STARTS {
                let output = shell(&format!("{start} \"$0\" \"$@\""), args, variables);
                let told = String::from_utf8(output.stderr).unwrap();
                let case = format!("{start} {args:?} {variables:?}: {} {told}", output.status);
                assert_eq!(output.status.code(), Some(status), "{case}");
                assert!(told.starts_with("dindcheck: ") && told.contains(words), "{case}");
                assert!(told.ends_with('\n') && told.lines().count() == 1, "{case}");
                assert!(output.stdout.is_empty(), "{case}");
            }
        }
    }
}

#[test]
fn the_status_does_not_depend_on_a_stderr_that_takes_the_line() {
    for (args, status, _) in ENDS {
        for variables in BACKTRACES {
            for start in STARTS {
                for stderr in ["2>&-", "2> /dev/full", "2>&- >&- <&-"] {
                    let output = shell(&format!("{start} \"$0\" \"$@\" {stderr}"), args, variables);
                    assert_eq!(output.status.code(), Some(status), "{start} {args:?} {variables:?} {stderr}");
                }
            }
        }
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let host = host("healthy-28.5.2");
    let args = ["check", "--inner", "28.5.2", "--format", "json", "--root", host.to_str().unwrap()];
    for start in STARTS {
        let output = shell(&format!("{start} \"$0\" \"$@\" > /dev/full"), &args, &[("RUST_BACKTRACE", "1")]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(6), "{start}: {told}");
        let wanted = "dindcheck: cannot write the report: No space left on device (os error 28)\n";
        assert_eq!(told, wanted, "{start}");
    }
}
