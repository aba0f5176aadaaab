//! The command line, with a scrubbed environment: help, bad input, captured machines.

#![expect(clippy::unwrap_used, reason = "what cannot be run or read is a failed test")]

mod common;

mod around;
mod bad_input;
mod captured;
mod follow;
mod output;
mod outside;
mod profiles;
