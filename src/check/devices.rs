//! Device nodes.

pub(super) mod nodes;
