//! Logs that are no logs: nothing panics, nothing is missed for them, and memory stays bounded.

use std::io::{self, ErrorKind, Read};

use dindcheck::diagnosis::{Options, diagnose};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{diagnosed, first};

const CAUSE: &[u8] = b"failed to start daemon: process with PID 30 is still running";

#[test]
fn nul_bytes_and_broken_utf8_around_a_message_do_no_harm() {
    let mut log = b"\0\0\xff\xfe garbage\n\xc3\x28".to_vec();
    log.extend_from_slice(CAUSE);
    log.extend_from_slice(b"\xf0\x9f\n\0\0\0");
    assert_eq!(first(&diagnosed(&log)), (Some("stale-docker-pid"), Some(2)));
}

#[test]
fn a_message_in_a_line_of_megabytes_is_found() {
    for before in [0, 70_000, 262_100, 262_144, 700_000, 3_000_000] {
        let mut log = vec![b'x'; before];
        log.extend_from_slice(CAUSE);
        log.extend(std::iter::repeat_n(b'y', 400_000));
        assert_eq!(first(&diagnosed(&log)), (Some("stale-docker-pid"), Some(1)), "after {before} bytes");
    }
}

#[test]
fn lines_are_counted_across_buffers() {
    for lines in [1, 1000, 30_000] {
        let mut log = b"level=info msg=\"nothing of interest\"\n".repeat(lines);
        log.extend_from_slice(CAUSE);
        let answer = diagnosed(&log);
        assert_eq!(first(&answer), (Some("stale-docker-pid"), Some(lines as u64 + 1)));
        assert!(!answer.first_error.unwrap().before.is_empty());
    }
}

/// The end of a piece is looked at again with the next one: lines in it are counted once.
#[test]
fn lines_on_the_seam_of_two_pieces_are_counted_once() {
    // Words of an error that a level takes back: they are looked at each time.
    let quiet = b" level=info msg=\"error: none\"\n";
    for chunks in 2..=3 {
        let mut log = vec![b'x'; chunks * 256 * 1024 - 800];
        log.extend_from_slice(quiet);
        log.extend_from_slice(quiet);
        log.extend(std::iter::repeat_n(b'y', 2000));
        log.push(b'\n');
        log.extend_from_slice(CAUSE);
        assert_eq!(first(&diagnosed(&log)), (Some("stale-docker-pid"), Some(4)), "{chunks}");
    }
}

/// A reader that is interrupted, then gives a log, and then an error.
struct Faulty<'a>(std::slice::Iter<'a, Result<&'static [u8], ErrorKind>>);

impl Read for Faulty<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.0.next().copied().unwrap_or(Ok(&[]))?;
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

#[test]
fn a_read_that_was_interrupted_is_done_again_and_one_that_failed_is_the_end() {
    let read = |pieces: &[Result<&'static [u8], ErrorKind>]| {
        diagnose(Faulty(pieces.iter()), Options::default()).map_err(|error| error.to_string())
    };
    let interrupted = Err(ErrorKind::Interrupted);
    let answer = read(&[interrupted, interrupted, Ok(&CAUSE[..20]), interrupted, Ok(&CAUSE[20..])]).unwrap();
    assert_eq!(first(&answer), (Some("stale-docker-pid"), Some(1)));
    let error = read(&[Ok(CAUSE), Err(ErrorKind::BrokenPipe), Ok(CAUSE)]).unwrap_err();
    assert_eq!(error, "cannot read the log: broken pipe");
}

#[test]
fn an_empty_log_says_nothing() {
    for log in ["", "\n", "\n\n\n", " "] {
        assert_eq!(first(&diagnosed(log.as_bytes())), (None, None));
    }
}

#[test]
fn an_unknown_error_is_shown_without_a_cause() {
    let log = b"level=info msg=start\nlevel=error msg=\"the flux capacitor is gone\"\nlevel=info msg=end\n";
    assert_eq!(first(&diagnosed(log)), (None, Some(2)));
}

#[test]
fn what_dindcheck_says_as_json_is_no_error_of_the_daemon() {
    let own = |level: &str, text: &str| {
        serde_json::json!({"module": "dindcheck", "level": level, "msg": text, "time": "2026-11-29T01:02:03Z"})
            .to_string()
    };
    let row = "FAIL  storage.space  the flux capacitor leaks";
    for text in
        ["the flux capacitor is gone", row, "      why  the flux capacitor is gone", "failed to load: it is gone"]
    {
        for level in ["error", "warning", "info"] {
            let line = own(level, text);
            let prefix = "{\"module\":\"dindcheck\"";
            // The key that it begins with stands first, as it is written.
            let line = format!("{prefix},{}", line[1..].replace(",\"module\":\"dindcheck\"", ""));
            let boxed = serde_json::json!({"log": format!("{line}\n"), "stream": "stderr"}).to_string();
            for line in [line, boxed] {
                let log = format!("{line}\n{{\"level\":\"error\",\"msg\":\"the other one is gone\"}}\n");
                assert_eq!(first(&diagnosed(log.as_bytes())), (None, Some(2)), "{line}");
            }
        }
    }
}

#[test]
fn an_unknown_end_of_the_daemon_is_not_explained_by_a_warning() {
    let log = b"level=error msg=\"failed to mount overlay: invalid argument\" storage-driver=overlay2\n\
        failed to start daemon: the flux capacitor is gone\n";
    let answer = diagnosed(log);
    assert_eq!(first(&answer), (None, Some(2)));
    assert_eq!(answer.diagnoses[0].id, "overlay-on-overlay");
}

#[test]
fn what_ended_the_start_script_goes_before_what_systemd_tells_of_its_end() {
    let log = b"rundocker[96]: Trying to load overlay module (this may fail)\n\
        rundocker[96]: /usr/local/bin/rundocker: line 94: DIND_CRI: unbound variable\n\
        systemd[1]: docker.service: Main process exited, code=exited, status=1/FAILURE\n\
        systemd[1]: Failed to start Docker Application Container Engine.\n";
    assert_eq!(first(&diagnosed(log)), (None, Some(2)));
}

#[test]
fn what_selinux_only_logs_is_no_error() {
    for (permissive, cause) in [(0, Some("selinux-denied")), (1, None)] {
        let line = format!(
            "kernel: audit: type=1400 audit(1.2:3): avc:  denied  {{ create }} for pid=7 comm=\"sh\" \
             scontext=system_u:system_r:container_t:s0 tclass=file permissive={permissive}\n"
        );
        let answer = diagnosed(line.as_bytes());
        assert_eq!(first(&answer), (cause, cause.map(|_| 1)), "{line}");
    }
}

#[test]
fn an_nvidia_variable_does_not_hide_what_runc_may_not_write() {
    let log = b"NVIDIA_VISIBLE_DEVICES=all nvidia-container-runtime\n\
        runc create failed: failed to write \"c 10:200 rwm\": write /sys/fs/cgroup/devices/docker/1/devices.allow: \
        operation not permitted\n";
    assert_eq!(first(&diagnosed(log)), (Some("cgroup-write-permission-denied"), Some(2)));
}

proptest! {
    #[test]
    fn any_bytes_are_fine(log in vec(any::<u8>(), 0..3000)) {
        diagnosed(&log);
    }

    #[test]
    fn a_cause_among_any_bytes_is_found(
        before in vec(any::<u8>(), 0..500),
        after in vec(any::<u8>(), 0..500),
    ) {
        let mut log = before.clone();
        log.push(b'\n');
        log.extend_from_slice(CAUSE);
        log.push(b'\n');
        log.extend_from_slice(&after);
        let line = before.iter().filter(|byte| **byte == b'\n').count() as u64 + 2;
        let answer = diagnosed(&log);
        prop_assert_eq!(first(&answer), (Some("stale-docker-pid"), Some(line)));
    }
}
