//! rootless.tun: the tun device.

use super::of_user;
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::rootless::TUN;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "rootless.tun",
    docs: Docs {
        title: "the tun device",
        motivation: "The packets of a rootless daemon go through a tap device. Where /dev/net/tun is missing or is \
                     root's alone, RootlessKit ends with \"setting up tap tap0: executing ip tuntap add: exit \
                     status 1\".",
        looks_at: "/dev/net/tun is opened for reading and writing.",
        remedy: "--device /dev/net/tun, with mode 0666 on the host.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    of_user(facts, |seen| {
        Ok(match &seen.tun {
            None => Verdict::pass("it can be opened"),
            Some(error) => Verdict::fail(Severity::Blocking, format!("{TUN} cannot be opened"))
                .saw_wanted(TUN, error.clone(), "it can be opened")
                .because(format!("{} carries the daemon's packets through it.", seen.network.0))
                .remedy(format!("docker run --device {TUN} …"))
                .remedy(format!("on the host, if it is root's alone there: chmod 0666 {TUN}"))
                .source("kernel Documentation/networking/tuntap.rst; docker/for-mac#3838"),
        })
    })
}
