//! dindcheck makes a nested container engine work, and says why when it cannot.
//!
//! Data flows one way: facts → findings (by profile) → fixes → launch → verification → report.
//! A module uses only what comes before it in that flow: readers of facts never judge, judges never read the system,
//! fixes are values that only `fix::apply` carries out, and reports only render. The order of the rooms is a list in
//! `tests/house.rs`, which holds it.
//!
//! # Three walks
//!
//! An engine's version → the daemon's arguments:
//! 1. [`facts::engine`] asks the program, [`version`] reads its answer;
//! 2. [`profile`] merges the files up to that version: what it needs, what it takes;
//! 3. [`fix`] adds the flags that mends have given (`fix::journal`);
//! 4. [`engine`] puts the words together: the version's own, the official image's variables, the user's;
//! 5. [`supervisor`] starts them.
//!
//! A line of mountinfo → a finding:
//! 1. [`fact`] reads the file, below a root that may be a captured machine;
//! 2. [`facts::mounts`] parses the line, [`facts::cgroup`] and [`facts::storage`] find theirs among them;
//! 3. [`check`] judges: `check/cgroup/writable.rs` is the rule `cgroup.writable`;
//! 4. [`finding`] is what it says, with the line's number as evidence, and [`fix`] what would mend it;
//! 5. [`report`] renders.
//!
//! A line of the daemon's log → a diagnosis:
//! 1. [`supervisor`] reads the pipe, passes the line on, and keeps it;
//! 2. [`command::run`] hands the kept log over when the daemon has failed, with the engine's version;
//! 3. [`diagnosis`] scans it for what signatures have in common, matches, and ranks: the first error and its cause;
//! 4. [`report`] has it as the failure's cause, and renders.

pub mod check;
pub mod cli;
pub mod command;
pub mod configuration;
pub mod diagnosis;
mod embedded;
pub mod engine;
pub mod exit;
pub mod fact;
pub mod facts;
pub mod finding;
pub mod fix;
pub mod foreign;
pub mod gate;
pub mod pages;
pub mod probe;
pub mod process;
pub mod profile;
pub mod report;
pub mod state;
pub mod supervisor;
pub mod verification;
pub mod version;
