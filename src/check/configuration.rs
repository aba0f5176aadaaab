//! How the daemon is told to listen.

pub(super) mod accepted;
pub(super) mod client;
pub(super) mod mounted_socket;
pub(super) mod open_tcp;
pub(super) mod tcp_delay;
pub(super) mod tls_files;
