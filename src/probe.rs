//! Facts that only trying can tell. A probe runs in a child, in namespaces of its own that vanish with it, with a
//! deadline, and leaves nothing.

pub mod child;
pub mod netfilter;
pub mod network;
pub mod privileges;
pub mod storage;
