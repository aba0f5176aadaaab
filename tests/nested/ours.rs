//! What is not proved to be ours is never touched, whatever label it carries: by verification, by a start, by the gate.

use crate::lab::Outer;

const SERVING: &str = " is ready, ";

/// Things of others that carry both of our labels, in forms that were seen to lose data: inherited from an image, with
/// values of other forms, and with the owner of a process that has ended, under a name of their own.
const FOREIGN: &str = "
    dead=$(cut -c1-8 /proc/sys/kernel/random/boot_id)-$(readlink /proc/self/ns/pid | tr -dc 0-9)-4194000-1-n
    for label in dindcheck.gate dindcheck.verification; do
        for value in x $dead; do
            name=${label#*.}-$(test $value = x && echo x || echo n)
            tar -C / -c bin/busybox | docker import --change \"LABEL $label=$value\" - $name:1 > /dev/null
            docker run -d --name $name-db -v /data $name:1 /bin/busybox sh -c 'echo kept > /data/file; exec /bin/busybox sleep 9999' > /dev/null
            docker run -d --restart always --label $label=$value --name $name-always warm /bin/busybox sleep 9999 > /dev/null
            docker volume create --label $label=$value $name-volume > /dev/null
            docker network create --label $label=$value $name-network > /dev/null
        done
    done";

const STATE: &str =
    "docker ps -a --format '{{.Names}} {{.Image}}' | sort; docker images --format '{{.Repository}}' | sort
    docker volume ls -q | sort; docker network ls --format '{{.Name}}' | sort
    for db in gate-x gate-n verification-x verification-n; do
        file=$(docker inspect -f '{{range .Mounts}}{{.Source}}{{end}}' $db-db)/file; echo $db $(cat $file)
    done";

#[test]
fn things_of_others_survive_verify_gate_and_restart() {
    let outer = Outer::start("28.5.2", &[], &["dindcheck", "--fix"]);
    outer.wait_for_log(SERVING);
    outer.script("tar -C / -c bin/busybox | docker import - warm > /dev/null");
    outer.script(FOREIGN);
    let before = outer.script(STATE);
    assert_eq!(before.matches("kept").count(), 4, "{before}");
    assert_eq!(before.matches("-always").count(), 4, "{before}");

    let report = outer.exec(&["dindcheck", "verify", "--quick", "--format", "json"]).expect_status(0).report();
    report.expect_scenario("leftovers", "pass");
    let told = report.scenario("leftovers").to_string();
    assert_eq!(before, outer.script(STATE));
    for reason in [
        "container verification-x-db has the label dindcheck.verification=x, but the label has another form",
        "volume verification-x-volume has",
        "network verification-n-network has",
        "image verification-n:1 has",
        "but its name is not one that goes with the label",
    ] {
        assert!(told.contains(reason), "{reason}: {told}");
    }

    let gate = outer.script("dindcheck gate --static -v warm || true");
    // However wide the lines are.
    let gate = gate.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(gate.contains("container gate-n-db has the label dindcheck.gate="), "{gate}");
    assert_eq!(before, outer.script(STATE));

    outer.stop();
    outer.restart();
    outer.wait_for_logs(SERVING, 2);
    assert_eq!(before, outer.script(STATE));
}

/// One that is ours by its name, its label and its dead maker goes; a container that was started from an image that
/// inherits the label and bears the name of ours stays.
#[test]
fn what_a_killed_verification_left_is_removed_and_an_heir_of_its_label_is_not() {
    let outer = Outer::start("28.5.2", &[], &["dindcheck", "--fix"]);
    outer.wait_for_log(SERVING);
    outer.script(
        "tar -C / -c bin/busybox | docker import - warm > /dev/null
        dead=$(cut -c1-8 /proc/sys/kernel/random/boot_id)-$(readlink /proc/self/ns/pid | tr -dc 0-9)-4194000-1-n
        docker run -d --label dindcheck.verification=$dead --name dindcheck-$dead-0-work warm /bin/busybox sleep 9999
        docker volume create --label dindcheck.verification=$dead dindcheck-$dead-0-volume
        docker network create --label dindcheck.verification=$dead dindcheck-$dead-0-network
        docker import --change \"LABEL dindcheck.verification=$dead\" /bin/busybox dindcheck-$dead-0-image 2> /dev/null ||
            tar -C / -c bin/busybox | docker import --change \"LABEL dindcheck.verification=$dead\" - dindcheck-$dead-0-image
        docker tag dindcheck-$dead-0-image mine
        tar -C / -c bin/busybox | docker import --change \"LABEL dindcheck.verification=$dead\" - heir:1
        docker run -d --name dindcheck-$dead-1-work heir:1 /bin/busybox sleep 9999
        dindcheck inside busy /var/run/docker.sock || test $? = 42",
    );
    let report = outer.exec(&["dindcheck", "verify", "--quick", "--format", "json"]).expect_status(0).report();
    let told = report.scenario("leftovers").to_string();
    assert!(told.contains("-1-work has the label"), "{told}");
    assert!(told.contains("but the label is its image's"), "{told}");
    let left = outer.script("docker ps -a --format '{{.Names}}'; docker volume ls -q; docker network ls --format '{{.Name}}'; docker images --format '{{.Repository}}'");
    let ours: Vec<&str> = left.lines().filter(|name| name.starts_with("dindcheck-")).collect();
    assert!(matches!(ours.as_slice(), [heir] if heir.ends_with("-1-work")), "{left}");
    assert!(left.lines().any(|name| name == "mine") && left.lines().any(|name| name == "heir"), "{left}");
}
