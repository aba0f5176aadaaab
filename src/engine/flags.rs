//! The daemon's flags, of all versions: what tells them from our own options.

/// Long flags without their dashes, from `docker -d --help` (1.0) to `dockerd --help` (29), sorted.
/// Sources: docs/reference/commandline/daemon.md and cmd/dockerd/config*.go of moby, and `--help` itself.
const LONG: &[&str] = &[
    "add-runtime",
    "allow-direct-routing",
    "allow-nondistributable-artifacts",
    "api-cors-header",
    "api-enable-cors",
    "authorization-plugin",
    "bip",
    "bip6",
    "bridge",
    "bridge-accept-fwmark",
    "cdi-spec-dir",
    "cgroup-parent",
    "cluster-advertise",
    "cluster-store",
    "cluster-store-opt",
    "config-file",
    "containerd",
    "containerd-namespace",
    "containerd-plugins-namespace",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "cri-containerd",
    "data-root",
    "debug",
    "default-address-pool",
    "default-cgroupns-mode",
    "default-gateway",
    "default-gateway-v6",
    "default-ipc-mode",
    "default-network-opt",
    "default-runtime",
    "default-shm-size",
    "default-ulimit",
    "deprecated-key-path",
    "disable-legacy-registry",
    "dns",
    "dns-opt",
    "dns-search",
    "exec-driver",
    "exec-opt",
    "exec-root",
    "experimental",
    "feature",
    "firewall-backend",
    "fixed-cidr",
    "fixed-cidr-v6",
    "graph",
    "group",
    "host",
    "host-gateway-ip",
    "http-proxy",
    "https-proxy",
    "icc",
    "init",
    "init-path",
    "insecure-registry",
    "ip",
    "ip-forward",
    "ip-forward-no-drop",
    "ip-masq",
    "ip6tables",
    "iptables",
    "ipv6",
    "label",
    "live-restore",
    "log-driver",
    "log-format",
    "log-level",
    "log-opt",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "metrics-addr",
    "mtu",
    "network-control-plane-mtu",
    "network-diagnostic-port",
    "no-new-privileges",
    "no-proxy",
    "node-generic-resource",
    "oom-score-adjust",
    "pidfile",
    "raw-logs",
    "registry-mirror",
    "restart",
    "rootless",
    "seccomp-profile",
    "selinux-enabled",
    "shutdown-timeout",
    "storage-driver",
    "storage-opt",
    "swarm-default-advertise-addr",
    "tls",
    "tlscacert",
    "tlscert",
    "tlskey",
    "tlsverify",
    "userland-proxy",
    "userland-proxy-path",
    "userns-remap",
    "validate",
];

/// Short flags. `-v`, which dockerd has too, is ours.
const SHORT: &[char] = &['D', 'G', 'H', 'b', 'e', 'g', 'l', 'p', 'r', 's'];

/// Whether a word is one of the daemon's flags, with or without a value in it.
pub fn is_daemon_flag(word: &str) -> bool {
    match word.strip_prefix("--") {
        Some(long) => LONG.binary_search(&long.split('=').next().unwrap_or_default()).is_ok(),
        None => word.strip_prefix('-').and_then(|short| short.chars().next()).is_some_and(|c| SHORT.contains(&c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_the_search() {
        assert!(LONG.is_sorted());
    }

    #[test]
    fn flags_are_told_with_and_without_values() {
        for flag in ["--storage-driver", "--storage-driver=vfs", "-D", "-Hunix:///x", "-s=vfs", "--tls=false"] {
            assert!(is_daemon_flag(flag), "{flag}");
        }
        for other in ["--fix", "-q", "-v", "--storage", "dockerd", "-", "--", ""] {
            assert!(!is_daemon_flag(other), "{other}");
        }
    }
}
