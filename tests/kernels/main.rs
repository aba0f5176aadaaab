//! The main job on real kernels: each test goes on from a virtual host of `scripts/lab vm` that runs its outer engine.
//!
//! Those that are not ignored are the core that each run of `scripts/test` has; `scripts/test --kernels` runs all.

#[path = "../common/binary.rs"]
mod binary;
mod host;
mod limits;
mod matrix;
mod modules;
#[path = "../common/report.rs"]
mod report;
#[path = "../common/rows.rs"]
mod rows;
