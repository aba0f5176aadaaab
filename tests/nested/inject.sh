#!/bin/sh
# Makes one system call of `dindcheck fix` fail, or kills it there, for each of the calls that change something, and holds
# that the container is as before or mended, that the exit status tells which, and that undo gives back what was.
# usage: inject.sh STRIDE [all]    every STRIDE-th call (1: each) fails once, by turns with each of its errors, or, with
#                                  `all`, with each of them; and is killed there
# shellcheck shell=bash
stride=$1 all=${2:-}
calls=mkdir,mkdirat,rmdir,mount,umount2,mknodat,unlink,unlinkat,renameat,renameat2,rename,ftruncate,fsync,fdatasync,write

# What Linux documents for each (man 2), and what a full or broken disk gives.
errors() {
    case $1 in
    mkdir | mkdirat) echo EACCES EDQUOT EEXIST EMLINK ENOENT ENOMEM ENOSPC ENOTDIR EPERM EROFS ;;
    rmdir) echo EACCES EBUSY EINVAL ENOENT ENOMEM ENOTEMPTY EPERM EROFS ;;
    mount) echo EACCES EBUSY EINVAL ENODEV ENOENT ENOMEM ENOSPC ENOTDIR EPERM EROFS ;;
    umount2) echo EAGAIN EBUSY EINVAL ENOENT ENOMEM EPERM ;;
    mknodat) echo EACCES EDQUOT EEXIST EINVAL ENOENT ENOMEM ENOSPC EPERM EROFS ;;
    unlink | unlinkat) echo EACCES EBUSY EIO ENOENT ENOMEM EPERM EROFS ;;
    rename | renameat | renameat2) echo EACCES EBUSY EDQUOT ENOENT ENOMEM ENOSPC EPERM EROFS ;;
    ftruncate) echo EFBIG EINTR EINVAL EIO EPERM ;;
    fsync | fdatasync) echo EIO ENOSPC EROFS EDQUOT ;;
    write) echo EAGAIN EDQUOT EFBIG EINTR EIO ENOSPC EPIPE ;;
    esac
}

state() { # Mounts without their numbers, the files that mends make and remove, and values of the kernel's.
    sed -E 's/^[0-9]+ [0-9]+ [0-9:]+ //; s/(shared|master):[0-9]+/\1/g' /proc/self/mountinfo | sort
    find /run /dev /sys/fs/cgroup -xdev -printf '%p %y %m %l\n' 2> /dev/null | grep -v '^/dev/pts' | sort
    grep -r . /run/docker.pid /run/docker/containerd/*.pid 2> /dev/null
    grep . /proc/sys/net/ipv4/ip_forward
}

faults() {
    mount --make-rprivate /
    mkdir -p /run/docker/containerd
    echo 99999 > /run/docker.pid
    echo 99998 > /run/docker/containerd/containerd.pid
    rm -f /dev/full /dev/fuse
}

fix() { # [OPTION OF STRACE...]
    timeout 60 "$@" dindcheck fix --only cgroup.mounted,mounts.propagation,devices.nodes,leftovers.pidfile > /fix.out 2> /fix.err
    status=$?
}

failed=0 runs=0
wrong() {
    failed=$((failed + 1))
    echo "wrong: $1: status $status; $2"
    diff "$3" <(state) | cut -c 1-160 | head -n 8
    tail -n 3 /fix.err
    ((failed < 20)) || exit 1
}

undone() { # LABEL
    timeout 60 dindcheck undo > /undo.out 2>&1 || { wrong "$1" "undo ends with $?: $(tail -n 1 /undo.out)" /before; exit 1; }
    state | cmp -s - /before || { wrong "$1" 'undo does not give back what was' /before; exit 1; }
}

faults
state > /before
fix
state > /after
! cmp -s /before /after || { echo "nothing was mended"; cat /fix.out /fix.err; exit 1; }
undone plain
fix strace -qq -o /calls -e "trace=$calls"
undone traced

for call in ${calls//,/ }; do
    count=$(grep -c "^$call(" /calls)
    for ((number = 1; number <= count; number += stride)); do
        read -ra errors < <(errors "$call")
        [[ $all ]] || errors=("${errors[runs % ${#errors[@]}]}")
        for error in "${errors[@]}"; do
            runs=$((runs + 1))
            fix strace -qq -o /dev/null -e "trace=$call" -e "inject=$call:error=$error:when=$number"
            label="$call $number of $count: $error"
            if ((status == 0)) && ! state | cmp -s - /after; then wrong "$label" 'it ends well, and is not mended' /after; fi
            # 6: nobody can be told; what was to be mended is.
            if ((status == 6)) && grep -q 'cannot write the report' /fix.err && state | cmp -s - /after; then status=0; fi
            if ((status > 3)); then wrong "$label" "it ends otherwise than with what is mended or not" /after; fi
            undone "$label"
        done
        runs=$((runs + 1))
        fix strace -qq -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$number"
        label="$call $number of $count: killed"
        # The next one carries on from there, or it is taken back as it is.
        if ((runs % 2)); then
            fix
            ((status == 0)) || wrong "$label" 'the next does not mend what is left' /after
        fi
        undone "$label"
    done
done
echo "injected: $runs, wrong: $failed"
((failed == 0))
