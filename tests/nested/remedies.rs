//! What a report gives to paste cures what it reports: the line is run as it is printed.

use crate::lab::{Run, run, run_script};

const INNER: &str = "28.5.2";

/// The words of the printed command: options, and flags for the daemon.
fn pasted(report: &str) -> (Vec<String>, Vec<String>) {
    let line = report.lines().find_map(|line| line.strip_prefix("  docker run "));
    let line = line.unwrap_or_else(|| panic!("no command in\n{report}"));
    let (options, flags) = line.split_once("IMAGE").expect("an image");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    (words(options), words(flags))
}

/// Runs the image with just the options that were printed, and proves it.
fn run_pasted(report: &str) -> Run {
    let (options, flags) = pasted(report);
    let mut lab = vec!["--unprivileged", "--data-root", "overlay"];
    lab.extend(options.iter().flat_map(|option| ["--docker-arg", option]));
    let mut command = vec!["dindcheck", "--exit"];
    command.extend(flags.iter().map(String::as_str));
    run(INNER, &lab, &command)
}

#[test]
fn the_printed_command_cures_what_a_command_can_cure() {
    for (fault, status, id) in [
        (&["--unprivileged"][..], 1, "not-privileged"),
        (&["--data-root", "overlay"], 0, "storage.data-root"),
        (&["--docker-arg", "--memory=64m"], 4, "limits.memory"),
        (&["--docker-arg", "--pids-limit=30"], 1, "limits.tasks"),
        (&["--data-root", "overlay", "--docker-arg", "--tmpfs=/var/lib/docker"], 0, "storage.flags"),
        (&["--docker-arg", "--sysctl=net.ipv4.conf.all.arp_ignore=8"], 5, "network.arp"),
        // Two causes at once, and one command.
        (&["--unprivileged", "--data-root", "overlay", "--docker-arg", "--memory=64m"], 1, "not-privileged"),
    ] {
        let broken = run(INNER, fault, &["dindcheck", "--exit"]);
        let said = format!("{fault:?}:\n{}\n{}", broken.stdout, broken.stderr);
        assert_eq!(broken.status, status, "{said}");
        assert!(broken.stdout.contains(&format!("  {id}  ")), "{said}");
        let cured = run_pasted(&broken.stdout);
        assert_eq!(cured.status, 0, "{said}\n{}\n{}", cured.stdout, cured.stderr);
        assert!(!cured.stdout.contains(&format!("  {id}  ")), "{said}\n{}", cured.stdout);
    }
}

#[test]
fn the_printed_fix_mends_what_it_says() {
    let options = ["--no-cgroup-mounts"];
    let stale = "sleep 1000 & echo $! > /run/docker.pid; exec dindcheck --exit";
    let broken = run_script(INNER, &options, stale).expect_status(1);
    assert!(broken.stdout.contains("dindcheck --fix   # mount this container's own part"), "{}", broken.stdout);
    assert!(broken.stdout.contains("remove stale pid files"), "{}", broken.stdout);
    run_script(INNER, &options, &stale.replace("dindcheck", "dindcheck --fix")).expect_status(0);
}

#[test]
fn the_printed_package_is_the_missing_one() {
    let take = "mkdir /gone; for name in iptables ip6tables; do mv $(command -v $name) /gone/$name; done;";
    let broken = run_script(INNER, &[], &format!("{take} exec dindcheck --exit")).expect_status(1);
    assert!(broken.stdout.contains("in the image:\n  install iptables\n"), "{}", broken.stdout);
    run_script(INNER, &[], &format!("{take} cp -a /gone/* /usr/local/sbin/; exec dindcheck --exit")).expect_status(0);
}

#[test]
fn a_healthy_start_is_one_line_and_standard_output_is_the_jobs() {
    let job = run(INNER, &[], &["dindcheck", "--job", "echo", "RESULT"]).expect_status(0);
    assert_eq!(job.stdout, "RESULT\n");
    let ours: Vec<&str> = job.stderr.lines().filter(|line| !line.starts_with("time=")).collect();
    let (ready, rest) = ours.split_first().expect("a line");
    assert!(ready.starts_with("dindcheck: Docker 28.5.2") && ready.contains(" is ready, proved in "), "{ours:?}");
    assert_eq!(rest, ["dindcheck: stopping the inner containers, then the daemon"], "{ours:?}");
    // What went wrong is told beside the job's output too.
    let failed = run(INNER, &["--unprivileged"], &["dindcheck", "--job", "echo", "RESULT"]).expect_status(1);
    assert_eq!(failed.stdout, "");
    assert!(failed.stderr.contains("  docker run --privileged IMAGE\n"), "{}", failed.stderr);
}

#[test]
fn a_daemon_that_ran_out_of_memory_is_told_so() {
    let killed = run(INNER, &["--docker-arg", "--memory=64m"], &["dindcheck"]).expect_status(4);
    assert!(killed.stderr.contains("the kernel killed the daemon") && killed.stderr.contains("out of memory; exit"));
}

#[test]
fn a_full_disk_is_one_cause_of_all_claims() {
    let options = ["--data-root", "overlay", "--docker-arg", "--tmpfs=/var/lib/docker:size=4m,exec,dev"];
    let full = run(INNER, &options, &["dindcheck", "--exit"]).expect_status(5);
    assert!(full.stdout.contains("FAIL  storage.space  "), "{}", full.stdout);
    assert!(full.stdout.contains("cannot be told because of it: verification "), "{}", full.stdout);
    assert!(full.stdout.lines().count() <= 25, "{}", full.stdout);
}
