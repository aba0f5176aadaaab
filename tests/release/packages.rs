//! The archive, the packages of distributions, and those for people whose CI has no other registry.

use super::dist::{VERSION, expect_report, fresh, sha256};

/// Looks at what is installed: the version, the program's sum, a check, and where the manual page and the completions are.
const LOOK: &str = "
    dindcheck --version
    sha256sum $(readlink -f $(command -v dindcheck))
    dindcheck check --inner 28.5.2 --format json > /report || [ $? = 1 ]
    cat /report";
/// The manual page as man finds it, and the completions as each shell loads them by itself.
const PAGES: &str = r#"
    man -w dindcheck
    man dindcheck | grep -c 'DINDCHECK CHECK'
    bash -c '
        . /usr/share/bash-completion/bash_completion
        _completion_loader dindcheck || [ $? = 124 ]
        COMP_WORDS=(dindcheck profiles sh) COMP_CWORD=2; _dindcheck dindcheck sh profiles; echo "${COMPREPLY[@]}"'
    zsh -c 'autoload -Uz compinit; compinit -u -d /dump; echo $_comps[dindcheck]'
    fish -c 'complete -C "dindcheck profiles sh"'"#;

/// Installs by a line and looks.
fn installed(line: &str) {
    let output = fresh(&format!("exec 3>&1; {{ {line}; }} >&2; {LOOK}"));
    let mut lines = output.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let version = next();
    assert!(version.starts_with(&format!("dindcheck {VERSION} (commit ")), "{output}");
    assert!(version.ends_with(", profile release)"), "{output}");
    let sum = sha256(std::path::Path::new(crate::binary::path()));
    assert!(next().starts_with(&sum), "not the file that was tested, {}: {output}", crate::binary::path());
    expect_report(next());
}

fn pages(line: &str) {
    let output = fresh(&format!("{{ {line}; }} >&2; {PAGES}"));
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.first(), Some(&"/usr/share/man/man1/dindcheck.1.gz"), "{output}");
    assert_eq!(lines[1..4], ["1", "show", "_dindcheck"], "{output}");
    assert!(lines[4].starts_with("show"), "{output}");
}

#[test]
fn the_archive() {
    let name = format!("dindcheck-{VERSION}-x86_64-linux");
    installed(&format!("tar -C /opt -xf /dist/{name}.tar.gz; ln -s /opt/{name}/dindcheck /usr/local/bin/"));
    pages(&format!(
        "cd /opt; tar -xf /dist/{name}.tar.gz; cd {name}; for each in LICENSE README.md CHANGELOG.md; do test -s $each; done
        install -D dindcheck.bash /usr/share/bash-completion/completions/dindcheck
        install -D _dindcheck /usr/share/zsh/vendor-completions/_dindcheck
        install -D dindcheck.fish /usr/share/fish/vendor_completions.d/dindcheck.fish
        install dindcheck /usr/bin; install -D dindcheck.1 -t /usr/share/man/man1; gzip /usr/share/man/man1/dindcheck.1"
    ));
}

#[test]
fn debian_package() {
    let line = format!("dpkg -i /dist/dindcheck_{VERSION}_amd64.deb");
    installed(&line);
    pages(&line);
    let after = fresh(&format!(
        "{{ {line}; dpkg --verify dindcheck; dpkg -r dindcheck; }} >&2; find / -xdev -name '*dindcheck*'"
    ));
    assert!(after.lines().all(|path| path.starts_with("/var/") || path.starts_with("/dist")), "{after}");
}

#[test]
fn rpm_package() {
    let line = format!("rpm -i /dist/dindcheck-{VERSION}-1.x86_64.rpm");
    installed(&line);
    // Here zsh looks elsewhere than in the distributions the package is for.
    pages(&format!(
        "{line}; ln -s /usr/share/zsh/site-functions/_dindcheck /usr/share/zsh/vendor-completions/; rpm -V dindcheck"
    ));
}

#[test]
fn python_wheel() {
    installed(&format!("pip install --no-index --break-system-packages /dist/dindcheck-{VERSION}-*x86_64.whl"));
}

#[test]
fn npm_package() {
    installed(&format!("npm install --offline --global /dist/dindcheck-linux-x64-{VERSION}.tgz"));
}
