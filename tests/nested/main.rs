//! The main job on real engines: each test starts an outer container of `scripts/lab`, which makes what it needs.
//!
//! Needs root and the package registries the first time; see `scripts/lab --help`.

#[path = "../common/binary.rs"]
mod binary;
mod lab;

mod cgroup;
mod client;
mod configuration;
mod detach;
mod devices;
mod doors;
mod drain;
mod drill;
mod dropin;
mod engine;
mod entrypoint;
mod faults;
mod foretold;
mod gate;
mod inject;
mod launch;
mod leftovers;
mod limits;
mod mounts;
mod netfilter;
mod network;
mod nftables;
mod ours;
mod outers;
mod page;
mod pairing;
mod privileges;
mod recipes;
mod remedies;
mod rootless;
mod state;
mod stop;
mod storage;
mod story;
mod sudo;
mod supervisor;
mod tls;
mod trace;
mod verification;

/// The inner engines that every scenario is run with.
const INNER: [&str; 4] = ["20.10.5", "20.10.24", "26.1.5", "28.5.2"];

/// Makes one test for each inner engine out of a function that takes the version.
macro_rules! for_each_inner {
    ($scenario:ident) => {
        mod $scenario {
            #[test]
            fn docker_20_10_5() {
                super::$scenario(crate::INNER[0]);
            }

            #[test]
            fn docker_20_10_24() {
                super::$scenario(crate::INNER[1]);
            }

            #[test]
            fn docker_26_1_5() {
                super::$scenario(crate::INNER[2]);
            }

            #[test]
            fn docker_28_5_2() {
                super::$scenario(crate::INNER[3]);
            }
        }
    };
}
pub(crate) use for_each_inner;
