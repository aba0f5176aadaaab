//! PID 1 is a supervisor and nothing else: what happens to its children, or to who reads it, is survived in order.

use std::time::{Duration, Instant};

use crate::lab::{Outer, docker, run_script};

const SERVING: &str = " is ready, ";

/// How often each kill is tried.
fn rounds() -> usize {
    std::env::var("DINDCHECK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2)
}

#[test]
fn an_unread_standard_error_blocks_nothing() {
    let script = "mkfifo /tmp/f; exec 3<>/tmp/f; exec dindcheck --fix --output /tmp/report -D 2>/tmp/f";
    let outer = Outer::start("28.5.2", &[], &["bash", "-c", script]);
    let until = Instant::now() + Duration::from_secs(120);
    while outer.exec(&["dindcheck", "health"]).status != 0 {
        assert!(Instant::now() < until, "{}", outer.exec(&["dindcheck", "health"]).stdout);
    }
    // The pipe is full by now, and so is what is kept for it.
    outer.script("for i in $(seq 2000); do docker info > /dev/null 2>&1 || true; [ $i -lt 300 ] || break; done");
    outer.script("for i in $(seq 50); do (true &); done; sleep 1; test $(ps -eo stat= | grep -c ^Z) = 0");
    assert_eq!(outer.stop(), 0);
}

#[test]
fn dropped_output_is_counted_once_it_is_read_again() {
    let script = "
        used() { awk \"{ print \\$14 + \\$15 }\" /proc/$1/stat; }
        mkfifo /tmp/f; exec 3<>/tmp/f
        printf '#!/bin/sh\\ncase \"$*\" in *--version*|*--validate*) exec /usr/sbin/dockerd \"$@\";; esac\\n\
            yes \"a line that comes again and again and again\" | head -c 3000000; exec /usr/sbin/dockerd \"$@\"\\n' > /usr/local/sbin/dockerd
        chmod +x /usr/local/sbin/dockerd
        dindcheck --fix --job --output /dev/null -- sleep 20 2>/tmp/f & P=$!
        sleep 7; before=$(used $P); sleep 5; echo used $(($(used $P) - before)) ticks
        cat <&3 > /tmp/read & C=$!; wait $P; echo ended with $?; sleep 0.5; kill $C
        grep -a -o '[0-9]* bytes were dropped' /tmp/read";
    let run = run_script("28.5.2", &[], &format!("exec bash -c '{}'", script.replace('\'', "'\\''"))).expect_status(0);
    assert!(run.stdout.contains("ended with 0"), "{}", run.stdout);
    assert!(run.stdout.contains("bytes were dropped"), "{}", run.stdout);
    // Of 5 s, in hundredths: a deadline that had passed woke it again and again, for 500 of them.
    assert!(field(&run.stdout, "used") < 50, "{}", run.stdout);
}

/// A daemon that does nothing but log.
const FLOOD: &str = "
    cat > /usr/local/sbin/dockerd <<'END'
#!/bin/sh
case \"$*\" in *--version*) echo 'Docker version 28.5.2, build x'; exit 0;; *--validate*) exit 0;; esac
exec yes 'time=\"x\" level=info msg=\"a line that comes again and again and again and again\"'
END
    chmod +x /usr/local/sbin/dockerd
    mkfifo /tmp/f
    (while head -c 4096 > /dev/null; do sleep 0.05; done) < /tmp/f &";

#[test]
fn a_log_that_is_faster_than_its_reader_starves_no_deadline() {
    let start = Instant::now();
    let script = format!("{FLOOD}\nexec dindcheck --fix -q --timeout 10s --output /tmp/report 2>/tmp/f");
    run_script("28.5.2", &[], &script).expect_status(4);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn a_log_that_is_faster_than_its_reader_starves_no_signal() {
    let script = format!("{FLOOD}\nexec dindcheck --fix -q --timeout 100s --output /tmp/report 2>/tmp/f");
    let outer = Outer::start("28.5.2", &[], &["sh", "-c", &script]);
    outer.script("until pgrep -x yes > /dev/null; do sleep 0.1; done; sleep 2");
    assert_eq!(outer.stop(), 143);
}

#[test]
fn the_end_is_in_order_where_no_process_can_be_made() {
    let outer = Outer::start("28.5.2", &[], &["dindcheck", "--fix", "--format", "json", "--output", "/report.json"]);
    outer.wait_for_log(SERVING);
    docker(&["update", "--pids-limit", "2", outer.name()]);
    assert_eq!(outer.stop(), 0, "{}", outer.log());
    assert!(outer.log().contains("Daemon shutdown complete"), "{}", outer.log());
    docker(&["update", "--pids-limit", "-1", outer.name()]);
    expect_clean_restart(&outer, 2);
}

/// Starts a container again and asserts that its last end has left nothing for the start to remove.
fn expect_clean_restart(outer: &Outer, starts: usize) {
    outer.restart();
    outer.wait_for_logs(SERVING, starts);
    let report = outer.exec(&["cat", "/report.json"]).report();
    let left: Vec<_> = report.mended().into_iter().filter(|check| check.starts_with("leftovers.")).collect();
    assert!(left.is_empty(), "{left:?}\n{}", outer.log());
    assert_eq!(outer.stop(), 0, "{}", outer.log());
}

#[test]
fn a_proof_that_gets_no_thread_and_no_process_ends_it_in_order() {
    // As soon as the test image is there, nothing more can be started in the outer container. A daemon that gets no thread
    // may die of it (the Go runtime gives up: newosproc), so that its own last words prove nothing: what it leaves does.
    let script = "
        test -e /limited || {
            touch /limited
            ( until ls /var/lib/docker/overlay2/*/diff/dindcheck; do :; done; echo 3 > /sys/fs/cgroup/pids/pids.max ) > /dev/null 2>&1 &
        }
        exec dindcheck --fix --format json --output /report.json";
    let outer = Outer::start("28.5.2", &[], &["sh", "-c", script]);
    let status = outer.wait();
    assert!([4, 5, 6].contains(&status), "{status}\n{}", outer.log());
    expect_clean_restart(&outer, 1);
}

#[test]
fn the_layer_that_breaks_is_named_the_same_every_time() {
    let script = "
        cat > /usr/local/sbin/runc <<'END'
#!/bin/sh
bundle=$(echo \"$*\" | sed -n 's/.*--bundle \\([^ ]*\\).*/\\1/p')
case $bundle in */moby/*) exit 1;; esac
exec /usr/sbin/runc \"$@\"
END
        chmod +x /usr/local/sbin/runc
        exec dindcheck --fix --exit --format json";
    for _ in 0..4 {
        let report = run_script("28.5.2", &[], script).expect_status(5).report();
        let summary = report.scenario("bisect")["summary"].as_str().expect("a summary").to_owned();
        assert!(summary.contains("it breaks in dockerd"), "{summary}");
    }
}

#[test]
fn a_job_does_not_get_our_own_broken_pipe() {
    let script = "
        mkfifo /tmp/f; (read line; exit) < /tmp/f &
        dindcheck --fix --job --output /dev/null -- sh -c 'sleep 2; exit 7' 2> /tmp/f";
    run_script("28.5.2", &[], script).expect_status(7);
}

/// The processes of the main job beside the daemon, by what they are called.
const CHILDREN: [(&str, &str); 2] =
    [("the look process", "^dindcheck --fix"), ("the prover", "^/proc/self/exe part prove")];

#[test]
fn a_child_that_is_killed_in_any_phase_is_survived_in_order() {
    for (what, pattern) in CHILDREN {
        for phase in ["checking", "starting", "verifying"] {
            for round in 0..rounds() {
                let script = format!(
                    "
                    (
                        until grep -q {phase} /run/dindcheck/status 2> /dev/null || [ $((n += 1)) -gt 20000 ]; do :; done
                        until pid=$(pgrep -f '{pattern}' | grep -vx 1 | head -n 1) && [ -n \"$pid\" ] || [ $((n += 1)) -gt 20100 ]; do :; done
                        sleep 0.0{round}; kill -9 $pid
                    ) 2> /dev/null &
                    exec dindcheck --fix"
                );
                let outer = Outer::start("28.5.2", &[], &["bash", "-c", &script]);
                let until = Instant::now() + Duration::from_secs(90);
                let over = loop {
                    if outer.log().contains(SERVING) {
                        break false;
                    }
                    if docker(&["inspect", "-f", "{{.State.Running}}", outer.name()]).trim() == "false" {
                        break true;
                    }
                    assert!(Instant::now() < until, "{what}, {phase}: neither served nor ended: {}", outer.log());
                    std::thread::sleep(Duration::from_millis(100));
                };
                if over {
                    assert_eq!(outer.wait(), 6, "{what}, {phase}: {}", outer.log());
                    assert!(outer.log().contains("ended"), "{what}, {phase}: {}", outer.log());
                } else {
                    outer.script("docker ps -aq | wc -l | grep -qx 0 && docker images -q | wc -l | grep -qx 0");
                    assert_eq!(outer.stop(), 0, "{what}, {phase}: {}", outer.log());
                }
            }
        }
    }
}

#[test]
fn a_helper_of_the_end_that_is_killed_costs_nothing_but_its_work() {
    let script = "
        (until pid=$(pgrep -f '^dindcheck part'); do :; done; kill -9 $pid) &
        exec dindcheck --fix";
    let outer = Outer::start("28.5.2", &[], &["bash", "-c", script]);
    outer.wait_for_log(SERVING);
    assert_eq!(outer.stop(), 0, "{}", outer.log());
    assert!(outer.log().contains("Daemon shutdown complete"), "{}", outer.log());
}

#[test]
fn an_orphan_of_an_exec_is_not_taken_for_the_daemons() {
    // The drill kills all that is the daemon's, and the end clears what is left of it.
    let script = "
        dindcheck --fix --drill --job --output /tmp/report -- sh -c 'pgrep -x sleep > /dev/null && echo it lives' &
        P=$!
        until [ -e /run/dindcheck/status ]; do :; done
        exec 9<&-; wait $P";
    let outer = Outer::start("28.5.2", &[], &["bash", "-c", &format!("sleep 3; {script}")]);
    outer.script("(setsid sleep 1000 > /dev/null 2>&1 &)");
    outer.wait_for_log("it lives");
    assert!(!outer.log().contains("killed what was left: sleep"), "{}", outer.log());
}

#[test]
fn the_supervisor_is_small() {
    let outer = Outer::start("28.5.2", &[], &["dindcheck", "--fix"]);
    outer.wait_for_log(SERVING);
    // Its daemon has worked, and has written of it.
    outer.script(
        "tar -C / -c bin/busybox | docker import - busybox > /dev/null
        for i in 1 2 3 4 5; do docker run --rm busybox /bin/busybox true; (true &); done
        dindcheck health",
    );
    let status = outer.script("cat /proc/1/status");
    assert_eq!(field(&status, "Threads:"), 1);
    // Of it RssAnon is its own; pages of the program's file are shared with all that run it.
    assert!(field(&status, "VmRSS:") <= 2048, "{status}");
    assert!(field(&status, "RssAnon:") < 1024, "{status}");
}

/// A number of /proc/PID/status.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with(name)).expect("the field");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}
