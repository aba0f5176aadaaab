//! The outer container's limits, read from where the mend of cgroup.delegation has put its processes.

use crate::host::on_host;
use crate::report::part;

/// In one container: its limits, what is below once that is mended and once it is taken back, and what a job reads beside
/// the daemon.
const SCRIPT: &str = r#"
outer sh -c '
    read_limits() { cat cpu.max memory.max pids.max; }
    cd /sys/fs/cgroup; echo "=== own;"; read_limits
    dindcheck fix -q >&2
    echo "=== below;"; (cd init && read_limits)
    dindcheck undo >&2
    echo "=== undone;"; ls -d init* 2> /dev/null || echo none
    exec dindcheck --fix -q --output /report --job sh -c "
        echo \"=== job;\"; cd /sys/fs/cgroup\$(cut -d: -f3 /proc/self/cgroup); pwd >&2; cat cpu.max memory.max pids.max"'
"#;

#[test]
fn a_job_reads_the_limits_of_its_container() {
    let limits = ["--docker-arg", "--cpus=0.5", "--docker-arg", "--memory=768m", "--docker-arg", "--pids-limit=900"];
    let (stdout, all) = on_host(&[&["--kernel", "6.12"], &limits[..]].concat(), &["bash", "-c", SCRIPT]);
    let part = |name: &str| part(&stdout, &format!("{name};")).unwrap_or_else(|| panic!("no {name}: {all}"));
    assert_eq!(part("own"), "50000 100000\n805306368\n900", "{all}");
    assert_eq!(part("below"), part("own"), "{all}");
    assert_eq!(part("job"), part("own"), "{all}");
    assert!(all.contains("/sys/fs/cgroup/init"), "the job is below: {all}");
    assert_eq!(part("undone"), "none", "{all}");
}
