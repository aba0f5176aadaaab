//! System calls of a mend that fail, or never return.

use crate::lab::run;

/// Every call that changes something fails once, by turns with each error that is documented for it, or is the last one
/// before SIGKILL. `DINDCHECK_INJECT=1` takes each call instead of each tenth: many minutes.
#[test]
fn a_mend_is_done_or_taken_back_whatever_fails_in_it() {
    let stride = std::env::var("DINDCHECK_INJECT").unwrap_or_else(|_| "10".to_owned());
    let script = format!("set -- {stride}\n{}", include_str!("inject.sh"));
    let run = run("28.5.2", &["--no-cgroup-mounts", "--tools"], &["bash", "-c", &script]).expect_status(0);
    let told = run.stdout.lines().last().expect("a count");
    let count = told.strip_prefix("injected: ").and_then(|rest| rest.split(',').next()?.parse::<u32>().ok());
    assert!(count.is_some_and(|count| count >= 40), "{run}");
}
