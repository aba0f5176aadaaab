//! The command line, with a scrubbed environment: help, bad input, captured machines.

mod common;

mod bad_input;
mod captured;
mod output;
mod outside;
