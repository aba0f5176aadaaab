//! Companions of the engine that do not work with it.

use crate::lab::Outer;

#[test]
fn a_bad_companion_is_found_by_what_it_says_its_version_is() {
    let outer = Outer::start("28.5.2", &[], &["sleep", "infinity"]);
    let check = |from: &str| {
        outer.script(&format!(
            r#"mkdir -p /profiles
            cat > /profiles/own.yaml << EOF
since: 28.5.0
summary: a test
runtime.bad_pairings:
  value: [{{ program: runc, from: "{from}", outer: [docker], effect: no container runs, remedy: another runc }}]
  source: a test
EOF
            dindcheck check --format json --profile-dir /profiles --only engine.pairing || true"#
        ))
    };
    let installed = outer.script("runc --version").lines().next().unwrap_or_default().replace("runc version ", "");
    let bad = check("1.0.0");
    assert!(bad.contains(&format!("runc {installed} does not work in docker")), "{bad}");
    let good = check("99.0.0");
    assert!(good.contains(&format!(r#""summary": "runc {installed}""#)), "{good}");
}
