//! Limits that the outer container was given.

use crate::for_each_inner;
use crate::lab::{Report, look, mends, plain, run, run_script};

const CHECK: [&str; 4] = ["dindcheck", "check", "--format", "json"];

/// A limit of the outer container, what the check says of it, and what becomes of the plain daemon under it.
struct Held {
    id: &'static str,
    option: &'static str,
    fault: &'static str,
    severity: &'static str,
    fates: &'static [&'static str],
}

const DEAD: &[&str] = &["dies", "every-container-fails"];
const ALIVE: &[&str] = &["works"];

/// The values are those at which the plain daemon was measured to be on one side for certain.
const HELD: [Held; 10] = [
    Held { id: "limits.open-files", option: "", fault: "ulimit -n 80", severity: "warning", fates: ALIVE },
    Held { id: "limits.open-files", option: "", fault: "ulimit -n 500", severity: "warning", fates: ALIVE },
    Held { id: "limits.open-files", option: "", fault: "ulimit -n 16", severity: "blocking", fates: DEAD },
    Held { id: "limits.tasks", option: "--pids-limit=40", fault: "", severity: "blocking", fates: DEAD },
    Held { id: "limits.tasks", option: "--pids-limit=100", fault: "", severity: "warning", fates: ALIVE },
    Held { id: "limits.memory", option: "--memory=40m", fault: "", severity: "blocking", fates: DEAD },
    Held { id: "limits.memory", option: "--memory=200m", fault: "", severity: "warning", fates: ALIVE },
    Held {
        id: "storage.space",
        option: "",
        fault: "mount -t tmpfs -o size=64m,nr_inodes=900 tmpfs /var/lib/docker",
        severity: "warning",
        fates: ALIVE,
    },
    Held {
        id: "storage.space",
        option: "",
        fault: "mount -t tmpfs -o size=64m,nr_inodes=60 tmpfs /var/lib/docker",
        severity: "blocking",
        fates: DEAD,
    },
    Held {
        id: "storage.space",
        option: "",
        fault: "mount -t tmpfs -o size=512k tmpfs /var/lib/docker",
        severity: "blocking",
        fates: DEAD,
    },
];

for_each_inner!(what_blocks_is_what_the_plain_daemon_fails_of);
fn what_blocks_is_what_the_plain_daemon_fails_of(inner: &str) {
    let mut wrong = Vec::new();
    for Held { id, option, fault, severity, fates } in HELD {
        let options = if option.is_empty() { vec![] } else { vec!["--docker-arg", option] };
        // A client of Go needs threads and memory too, but dindcheck looks at the same container.
        let look = run_script(inner, &options, &format!("{fault}\nexec dindcheck check --only {id} --format json"));
        let said = look.report().finding(id)["severity"].clone();
        let (fate, log) = plain(inner, &options, fault, "");
        if said != severity || !fates.contains(&fate.as_str()) {
            let end: Vec<&str> = log.lines().rev().take(3).collect();
            wrong.push(format!("{id} {option}{fault}: said {said}, and the daemon: {fate}\n{}", end.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), HELD.len(), wrong.join("\n"));
}

/// What the plain daemon refuses where the check reports it, and what it grants nevertheless.
#[test]
fn more_than_the_hard_limits_is_refused_as_foretold() {
    const SCRIPT: &str = "
        dindcheck check --only limits.raising --format json
        dockerd > /tmp/log 2>&1 & until docker version > /dev/null 2>&1; do sleep 0.1; done
        tar -C / -c bin/busybox | docker import - plain > /dev/null
        hard=$(ulimit -Hn)
        try() { docker run --rm \"$@\" plain /bin/busybox true >> /tmp/said 2>&1 && echo granted \"$1\" || echo refused \"$1\"; }
        {
            try --ulimit=nofile=$hard:$hard; try --oom-score-adj=100
            try --ulimit=nofile=$((hard + 1)):$((hard + 1)); try --ulimit=memlock=-1; try --oom-score-adj=-500
        } | sed s/nofile=$((hard + 1)).*/more/\\;s/nofile=$hard.*/all/ >&2
        cat /tmp/said >&2";
    for inner in ["20.10.24", "28.5.2"] {
        let script = format!("exec setpriv --bounding-set=-sys_resource sh -c '{SCRIPT}'");
        let run = run_script(inner, &[], &script).expect_status(0);
        let report = run.report();
        report.expect("limits.raising", "fail");
        assert_eq!(report.finding("limits.raising")["severity"], "info", "{inner}");
        let answers = "granted --ulimit=all\ngranted --oom-score-adj=100\nrefused --ulimit=more\n\
                       refused --ulimit=memlock=-1\nrefused --oom-score-adj=-500\n";
        assert!(run.stderr.contains(answers), "{inner}: {}", run.stderr);
        assert!(run.stderr.contains("error setting rlimit type 7: operation not permitted"), "{}", run.stderr);
    }
}

#[test]
fn without_limits_nothing_is_found() {
    let report = run("28.5.2", &[], &CHECK).expect_status(0).report();
    for id in ["limits.open-files", "limits.tasks", "limits.memory"] {
        report.expect(id, if id == "limits.open-files" { "fail" } else { "pass" });
        assert!(["info"].contains(&report.finding(id)["severity"].as_str().unwrap()), "{:#}", report.finding(id));
    }
}

#[test]
fn a_hard_limit_of_few_open_files_is_the_outer_containers_to_raise() {
    const ID: &str = "limits.open-files";
    let job = ["dindcheck", "--fix", "--exit", "--format", "json"];
    let report = run("28.5.2", &["--docker-arg", "--ulimit=nofile=32:32"], &job).expect_status(1).report();
    assert_eq!(report.expect_blocking(ID), "32 at most");
    assert!(report.finding(ID)["fix"].is_null(), "{:#}", report.finding(ID));
    // What the remedy says.
    let options = ["--docker-arg", "--ulimit=nofile=4096:4096"];
    run("28.5.2", &options, &job).expect_status(0).report().expect_verified();
}

#[test]
fn a_daemon_needs_no_watches() {
    // inotify_init(2) gives EMFILE where a user's instances are used up; the real limit is the whole machine's.
    let filter = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["inotify_init1", "inotify_init"], "action": "SCMP_ACT_ERRNO", "errnoRet": 24}]}"#;
    let profile = tempfile::NamedTempFile::new_in(crate::lab::share()).unwrap();
    std::fs::write(&profile, filter).unwrap();
    let option = format!("--security-opt=seccomp={}", profile.path().display());
    let options = ["--docker-arg", &option];
    assert_eq!(plain("28.5.2", &options, "", "").0, "works");
    run("28.5.2", &options, &["dindcheck", "--exit", "--format", "json"]).expect_status(0).report().expect_verified();
}

#[test]
fn few_inotify_instances_are_found() {
    look(&[], "", "limits.kernel").expect("limits.kernel", "pass");
    // Those of a user namespace of its own: the host's stay as they are.
    let script = "exec unshare -U -r sh -c 'echo 5 > /proc/sys/user/max_inotify_instances; exec dindcheck check --only limits.kernel --format json'";
    let report = run_script("28.5.2", &[], script).expect_status(0).report();
    assert_eq!(report.expect("limits.kernel", "fail"), "low: user/max_inotify_instances");
}

#[test]
fn a_low_soft_limit_is_raised_for_the_daemon_and_its_containers() {
    const ID: &str = "limits.open-files";
    let script = "
        ulimit -Sn 300
        dindcheck check --only limits.open-files --format json
        dindcheck fix --only limits.open-files -q > /dev/null
        cp /run/dindcheck/journal /tmp/journal
        dindcheck fix --only limits.open-files -q > /dev/null
        cmp /tmp/journal /run/dindcheck/journal || exit 9
        dindcheck --job -q --output /tmp/report -- sh -c '
            tar -C / -c bin/busybox | docker import - busybox > /dev/null
            docker run --rm busybox /bin/busybox sh -c \"ulimit -Sn\"' > /tmp/inside 2> /tmp/log || { cat /tmp/log >&2; exit 8; }
        test $(cat /tmp/inside) -gt 1000 || { cat /tmp/inside >&2; exit 7; }
        dindcheck undo > /dev/null
        dindcheck fix --only limits.open-files --dry-run > /tmp/plan
        (. /tmp/plan; dindcheck check --only limits.open-files --format json)
        exec dindcheck check --only limits.open-files --format json";
    let run = run_script("28.5.2", &[], script).expect_status(0);
    let reports = serde_json::Deserializer::from_str(&run.stdout).into_iter().map(Result::unwrap);
    let reports: Vec<Report> = reports.map(Report).collect();
    assert_eq!(reports.len(), 3, "{}", run.stdout);
    for red in [&reports[0], &reports[2]] {
        assert!(red.expect(ID, "fail").starts_with("300, where "), "{:#}", red.finding(ID));
        assert_eq!(red.finding(ID)["severity"], "warning");
    }
    // A hard limit that is low itself is no more than worth knowing.
    assert_ne!(reports[1].finding(ID)["severity"], "warning");
}

#[test]
fn a_low_soft_limit_of_processes_is_raised() {
    let finding = mends(&[], "ulimit -S -p 100", "limits.tasks");
    assert_eq!(finding["summary"], "100 at most");
}

#[test]
fn settings_of_the_host_are_raised_only_where_that_is_allowed() {
    // A file in the place of the sysctl, so that no test changes the machine.
    let script = "
        set -e
        echo 200 > /tmp/keys; mount --bind /tmp/keys /proc/sys/kernel/keys/root_maxkeys
        dindcheck fix --only limits.kernel --format json
        test $(cat /tmp/keys) = 200
        dindcheck fix --only limits.kernel --dry-run >&2
        dindcheck fix --only limits.kernel --allow-host-changes --format json
        test $(cat /tmp/keys) = 1000000
        dindcheck undo > /dev/null
        test $(cat /tmp/keys) = 200";
    let run = run_script("28.5.2", &[], script).expect_status(0);
    let mut reports = serde_json::Deserializer::from_str(&run.stdout).into_iter().map(|report| Report(report.unwrap()));
    let (refused, done) = (reports.next().unwrap(), reports.next().unwrap());
    assert_eq!(refused.expect("limits.kernel", "fail"), "low: kernel/keys/root_maxkeys");
    assert_eq!(refused.0["fixes"][0]["result"], "not-allowed");
    assert_eq!(refused.0["fixes"][0]["fix"]["scope"], "host");
    assert!(run.stderr.contains("echo 1000000 > /proc/sys/kernel/keys/root_maxkeys"), "{}", run.stderr);
    assert_eq!(done.mended(), ["limits.kernel"]);
    done.expect("limits.kernel", "pass");
}

#[test]
fn settings_of_an_own_user_namespace_are_this_containers() {
    let script = "exec unshare -U -r sh -ec '
        echo 5 > /proc/sys/user/max_inotify_instances
        dindcheck fix --only limits.kernel --format json
        test $(cat /proc/sys/user/max_inotify_instances) = 512
        dindcheck undo > /dev/null
        test $(cat /proc/sys/user/max_inotify_instances) = 5'";
    let report = run_script("28.5.2", &[], script).expect_status(0).report();
    assert_eq!(report.mended(), ["limits.kernel"]);
    report.expect("limits.kernel", "pass");
}

/// The daemon serves, and the kernel takes it as the first when another process eats the container's memory.
#[test]
fn a_daemon_that_the_kernel_kills_while_it_serves_is_no_riddle() {
    let script = "dindcheck --fix 2> /err & main=$!
        for i in $(seq 240); do dindcheck health > /dev/null 2>&1 && break; sleep 0.5; done
        echo 1000 > /proc/$(cat /run/docker.pid)/oom_score_adj
        perl -e '$x = \"x\" x (1 << 30); sleep 60' & wait $main; echo $?; cat /err";
    let run = run_script("28.5.2", &["--docker-arg", "-m512m"], script);
    assert!(run.stdout.contains("the daemon ended with signal 9"), "{run}");
    assert!(run.stdout.contains("dindcheck: out of memory: the kernel has killed"), "{run}");
}
