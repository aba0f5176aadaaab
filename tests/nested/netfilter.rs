//! Firewall tools that are there and do not work.

use crate::lab::{look, run_script};

/// An nft flavour as it is on a kernel that has no nf_tables: every run ends with this.
const NFT_DEAD: &str = "
    rm -f /usr/sbin/xtables-nft-multi
    printf '#!/bin/sh\\necho \"iptables: Failed to initialize nft: Protocol not supported\" >&2; exit 1\\n' > /usr/sbin/xtables-nft-multi
    chmod +x /usr/sbin/xtables-nft-multi
";

#[test]
fn the_flavour_that_works_is_put_first_and_taken_back() {
    let script = format!(
        "set -e
        {NFT_DEAD}
        ! timeout 60 dockerd > /tmp/plain 2>&1
        grep -q 'Failed to initialize nft' /tmp/plain
        rm -f /run/docker.pid; find /run/docker* /run/dind* > /tmp/before 2> /dev/null || true
        ! dindcheck check --format json > /tmp/found
        dindcheck --fix --format json --exit > /tmp/works || {{ cat /tmp/works >&2; exit 9; }}
        test \"$(readlink /run/dindcheck/bin/iptables)\" = /usr/sbin/iptables-legacy
        dindcheck check --only netfilter.iptables -q >&2
        dindcheck undo >&2
        test ! -e /run/dindcheck/bin
        ! dindcheck check --only netfilter.iptables -q >&2
        cat /tmp/found /tmp/works"
    );
    let run = run_script("28.5.2", &[], &script).expect_status(0);
    let mut reports = serde_json::Deserializer::from_str(&run.stdout).into_iter().map(Result::unwrap);
    let found = crate::lab::Report(reports.next().unwrap());
    let summary = found.expect_blocking("netfilter.iptables");
    assert_eq!(summary, "rules are refused in nat, filter, raw");
    let finding = found.finding("netfilter.iptables");
    assert_eq!(finding["fix"], "put /usr/sbin/iptables-legacy in front of the daemon's PATH as iptables");
    let works = crate::lab::Report(reports.next().unwrap());
    assert!(works.mended().contains(&"netfilter.iptables"));
    works.expect("netfilter.iptables", "pass");
    works.expect_verified();
}

#[test]
fn a_match_that_is_missing_is_named() {
    // Both flavours load the same libraries: there is nothing to switch to.
    let script = "
        find / -xdev -name libxt_addrtype.so -delete
        dindcheck check --format json";
    let report = run_script("28.5.2", &[], script).expect_status(1).report();
    let summary = report.expect_blocking("netfilter.iptables");
    assert_eq!(summary, "rules are refused in nat");
    let finding = report.finding("netfilter.iptables");
    let evidence = finding["evidence"].as_array().unwrap();
    assert!(
        evidence[0]["location"].as_str().unwrap().contains("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"),
        "{finding:#}"
    );
    assert_eq!(evidence[1]["location"], "match addrtype", "{finding:#}");
    assert!(finding["fix"].is_null(), "{finding:#}");
}

#[test]
fn ip6tables_that_does_not_work_is_found_apart_from_iptables() {
    let report = look(&[], "", "netfilter.ip6tables");
    report.expect("netfilter.ip6tables", "pass");
    let fault = "rm -f /usr/sbin/ip6tables*; printf '#!/bin/sh\\necho no >&2; exit 1\\n' > /usr/sbin/ip6tables; chmod +x /usr/sbin/ip6tables; cp /usr/sbin/ip6tables /usr/sbin/ip6tables-restore
        dindcheck check --only netfilter.iptables -q >&2";
    let report = look(&[], fault, "netfilter.ip6tables");
    assert_eq!(report.expect("netfilter.ip6tables", "fail"), "rules are refused in nat, filter, raw");
}

#[test]
fn a_kernel_that_makes_no_sets_is_found_by_the_one_engine_that_needs_them() {
    const ID: &str = "netfilter.ipset";
    look(&[], "", ID).expect(ID, "not-applicable");
    look(&[], "export DINDCHECK_INNER=28.0.0", ID).expect(ID, "pass");
    let script =
        "exec setpriv --bounding-set=-net_admin dindcheck check --inner 28.0.0 --only netfilter.ipset --format json";
    let refused = run_script("28.5.2", &[], script).report();
    // Without the right to a network namespace it cannot even be tried in one's own.
    assert_eq!(refused.expect_blocking(ID), "the kernel makes no set of networks");
}
