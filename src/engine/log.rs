//! What a daemon's log says of its end.

/// Why a daemon gave up, if it is something that passes by itself: its containerd was slow to start, on a busy machine.
/// It gives it 15 s (moby, libcontainerd/supervisor: `startupTimeout`).
pub fn passing_cause(log: &str) -> Option<&'static str> {
    const SLOW_CONTAINERD: [&str; 2] =
        ["timeout waiting for containerd to start", "containerd.sock\": context deadline exceeded"];
    // Where it did not start at all, waiting longer is of no use.
    const NO_CONTAINERD: &str = "executable file not found";
    (SLOW_CONTAINERD.iter().any(|words| log.contains(words)) && !log.contains(NO_CONTAINERD))
        .then_some("its containerd was slow to start")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_slow_containerd_passes_by_itself() {
        let slow = "failed to start containerd: timeout waiting for containerd to start";
        let late = r#"failed to dial "/run/containerd/containerd.sock": context deadline exceeded"#;
        let none = format!("{slow}\nexec: \"containerd\": executable file not found in $PATH");
        let said = [slow, late, &none, "Devices cgroup isn't mounted", ""].map(|log| passing_cause(log).is_some());
        assert_eq!(said, [true, true, false, false, false]);
    }
}
