//! The binary: parse, dispatch, exit status.

fn main() {}
