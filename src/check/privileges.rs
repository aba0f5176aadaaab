//! What the outer container may do.

pub(super) mod capabilities;
pub(super) mod grants;
pub(super) mod no_new_privs;
pub(super) mod operations;
pub(super) mod seccomp;

const PRIVILEGED: &str = "start the outer container with --privileged";

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}
