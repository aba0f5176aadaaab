//! dindcheck makes a nested container engine work, and says why when it cannot.
//!
//! Data flows one way: facts → findings (by profile) → fixes → launch → verification → report.
//! A module uses only what comes before it in that flow: readers of facts never judge, judges never read the system,
//! fixes are values that only `fix::apply` carries out, and reports only render.

pub mod check;
pub mod cli;
pub mod command;
pub mod diagnosis;
mod embedded;
pub mod engine;
pub mod exit;
pub mod fact;
pub mod facts;
pub mod finding;
pub mod fix;
pub mod gate;
pub mod probe;
pub mod process;
pub mod profile;
pub mod report;
pub mod supervisor;
pub mod verification;
pub mod version;
