//! What is foretold is what becomes of the plain daemon, in each scenario of scripts/lab-scenarios.

use dindcheck::version::EngineVersion;

use crate::for_each_inner;
use crate::lab::{docker, lab, plain, run_script, text};

/// One line of the table.
struct Scenario<'t> {
    name: &'t str,
    options: Vec<&'t str>,
    fault: &'t str,
    args: &'t str,
}

/// The scenarios that there are for an engine.
fn scenarios(inner: &EngineVersion) -> Vec<Scenario<'static>> {
    let table = include_str!("../../scripts/lab-scenarios");
    let given = |field: &'static str| if field == "-" { "" } else { field };
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let rows = lines.map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, since, options, fault, args @ ..] = fields.as_slice() else { panic!("too few fields: {line}") };
        let is_of = *since == "-" || since.parse::<EngineVersion>().expect("a version").release() <= inner.release();
        let args = args.first().copied().unwrap_or_default();
        is_of.then(|| Scenario {
            name,
            options: given(options).split_whitespace().collect(),
            fault: given(fault),
            args,
        })
    });
    rows.flatten().collect()
}

for_each_inner!(what_is_foretold_becomes_of_the_plain_daemon);
fn what_is_foretold_becomes_of_the_plain_daemon(inner: &str) {
    let scenarios = scenarios(&inner.parse().expect("a version"));
    let mut wrong = Vec::new();
    for Scenario { name, options, fault, args } in &scenarios {
        let script = format!("set -- {args}\n{fault}\nexec dindcheck check --format json -- \"$@\"");
        let report = run_script(inner, options, &script).report();
        let foretold = report.0["foretold"].as_str().unwrap_or("nothing").to_owned();
        let (fate, log) = plain(inner, options, fault, args);
        if foretold != fate {
            let end: Vec<&str> = log.lines().rev().take(4).collect();
            wrong.push(format!("{name}: foretold {foretold}, and it {fate}\n    {}", end.join("\n    ")));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), scenarios.len(), wrong.join("\n"));
}

/// The lab's own engine, taken out of its image, in the form of an engine that is in no package.
#[test]
fn an_engine_in_a_directory_is_run_in_the_scenarios() {
    let directory = tempfile::tempdir().unwrap();
    let made = docker(&["create", "dindcheck-lab:28.5.2"]);
    for program in [
        "sbin/dockerd",
        "bin/docker",
        "bin/containerd",
        "bin/containerd-shim-runc-v2",
        "sbin/runc",
        "sbin/docker-proxy",
    ] {
        let to = directory.path().join(program.rsplit('/').next().unwrap());
        docker(&["cp", "-L", &format!("{}:/usr/{program}", made.trim()), &to.display().to_string()]);
    }
    docker(&["rm", "-fv", made.trim()]);
    let path = directory.path().display().to_string();
    let output = lab(&["inner", "--dindcheck", crate::binary::path(), &path, "driver as flag"]);
    let (table, log) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{table}{log}");
    assert!(table.starts_with("Docker 28.5.2"), "{table}");
    assert!(table.contains("| overlay, driver as flag | dies | dies |  | 1 | 1 |"), "{table}");
    assert!(table.ends_with("0 of 1 were foretold wrong.\n"), "{table}");
    // There is nothing in it: an engine of the image that it was put in would be another one.
    let empty = tempfile::tempdir().unwrap();
    let output = lab(&["inner", &empty.path().display().to_string()]);
    assert!(!output.status.success() && text(&output.stderr).contains("neither dockerd nor docker"));
}
