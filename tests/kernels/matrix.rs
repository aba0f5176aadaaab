//! Host × (the daemon alone | dindcheck | dindcheck --fix): what each row says is what its test sees, and the README
//! has the same table.

use std::fmt::Write as _;

use crate::host::three_runs;

/// What the daemon does when it is started with nothing before it.
enum Plain {
    /// It starts, and runs a container with a memory limit.
    Works,
    /// It starts, and that container fails with this.
    RunsNone(&'static str),
    /// It does not start, and says this.
    Dies(&'static str),
}

/// A host, and what happens on it.
struct Row {
    /// The host, as the table names it.
    host: &'static str,
    /// The same as options of `scripts/lab vm`.
    options: &'static [&'static str],
    /// Shell lines that each of its containers begins with.
    prologue: &'static str,
    /// The daemon alone.
    plain: Plain,
    /// The checks that find something, and a word that each finding must have.
    found: &'static [(&'static str, &'static str)],
    /// The checks that `--fix` mends; afterwards the daemon is proved.
    mended: &'static [&'static str],
}

/// Makes a test and a row of the table out of each host.
macro_rules! rows {
    ($($(#[$attribute:meta])* $test:ident: $row:expr,)*) => {
        const ROWS: &[Row] = &[$($row),*];
        $(
            $(#[$attribute])*
            #[test]
            fn $test() {
                holds(&$row);
            }
        )*
    };
}

/// Asserts that a host does what its row says.
fn holds(row: &Row) {
    let runs = three_runs(row.options, row.prologue);
    let all = &runs.all;
    match row.plain {
        Plain::Works => assert_eq!(runs.plain, "works", "{all}"),
        Plain::RunsNone(error) | Plain::Dies(error) => assert!(runs.plain.contains(error), "{all}"),
    }
    let found: Vec<&str> = row.found.iter().map(|(id, _)| *id).collect();
    assert_eq!(runs.check.found(), found, "{all}");
    for (id, word) in row.found {
        let finding = runs.check.finding(id);
        assert!(finding.contains(word), "{word} is not in {finding}");
    }
    assert_eq!(runs.fixed.mended(), row.mended, "{all}");
    assert_eq!(runs.status, 0, "{all}");
    assert_eq!(runs.moved, "", "{all}");
}

rows! {
    v2_6_12: Row {
        host: "6.12, v2, Docker 26.1.5",
        options: &["--kernel", "6.12", "--outer", "docker-26.1.5", "--inner", "26.1.5"],
        prologue: "",
        plain: Plain::RunsNone("cannot enter cgroupv2"),
        found: &[("cgroup.delegation", "cgroup.subtree_control")],
        mended: &["cgroup.delegation"],
    },
    v1_5_10: Row {
        host: "5.10, v1, Docker 20.10.24",
        options: &["--kernel", "5.10", "--cgroup", "v1", "--outer", "docker-20.10.24", "--inner", "20.10.24"],
        prologue: "",
        plain: Plain::Works,
        found: &[],
        mended: &[],
    },
    #[ignore = "minutes: scripts/test --kernels"]
    legacy_iptables_without_its_module: Row {
        host: "6.12, v2, Docker 26.1.5, iptables-legacy in the image, `ip_tables` not loaded",
        options: &["--kernel", "6.12", "--outer", "docker-26.1.5", "--inner", "26.1.5"],
        prologue: "update-alternatives --set iptables /usr/sbin/iptables-legacy >&2;",
        plain: Plain::Dies("can't initialize iptables table `nat'"),
        found: &[("cgroup.delegation", "cgroup.subtree_control"), ("netfilter.iptables", "ip_tables")],
        mended: &["cgroup.delegation", "netfilter.iptables"],
    },
}

const BEGIN: &str = "<!-- generated from what tests/kernels asserts; it says when this is out of date -->\n";
const END: &str = "<!-- end of the generated matrix -->";

#[test]
fn the_matrix_in_the_readme_is_current() {
    let ids = |ids: &[&str]| ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    let mut table = String::from("| host | the daemon alone | dindcheck | dindcheck --fix |\n|---|---|---|---|\n");
    for row in ROWS {
        let plain = match row.plain {
            Plain::Works => "works".to_owned(),
            Plain::RunsNone(error) => format!("starts; `docker run -m 64m`: \"{error}\""),
            Plain::Dies(error) => format!("dies: \"{error}\""),
        };
        let found = match row.found {
            [] => "nothing is wrong".to_owned(),
            found => ids(&found.iter().map(|(id, _)| *id).collect::<Vec<_>>()),
        };
        let mended = match row.mended {
            [] => String::new(),
            mended => format!("mends {}; ", ids(mended)),
        };
        writeln!(table, "| {} | {plain} | {found} | {mended}proved |", row.host).expect("writing to a string");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("there is a README");
    let (head, rest) = readme.split_once(BEGIN).expect("the matrix's beginning");
    let (current, tail) = rest.split_once(END).expect("the matrix's end");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(path, format!("{head}{BEGIN}{table}{END}{tail}")).expect("the README can be written");
        return;
    }
    assert_eq!(current, table, "UPDATE_README=1 cargo test --test kernels matrix_in_the_readme writes it anew");
}
