//! The subcommands.

pub mod diagnose;
