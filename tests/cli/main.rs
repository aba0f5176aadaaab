//! The command line, with a scrubbed environment: help, bad input, captured machines.

#![expect(clippy::unwrap_used, reason = "what cannot be run or read is a failed test")]

#[path = "../common/binary.rs"]
mod binary;
mod common;
mod diagnose;

mod around;
mod bad_input;
mod captured;
mod follow;
mod foreign;
mod formats;
mod gate;
mod last_words;
mod manual;
mod mended;
mod outers;
mod output;
mod outside;
mod pages;
mod parts;
mod profiles;
mod user;
