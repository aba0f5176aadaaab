//! The inner daemon: its command line by version, its start, its log, its API. The only user of the API client.

pub mod api;
pub mod command;
pub mod drain;
pub mod end;
pub mod iptables;
pub mod listen;
pub mod log;
pub mod nest;
pub(crate) mod ours;
pub mod preload;
pub mod remote;
pub mod rootless;
pub mod socket;
pub mod stop;
pub mod tls;
