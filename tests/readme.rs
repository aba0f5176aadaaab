//! The README's table of checks is what the checks say.

use std::fmt::Write as _;

use dindcheck::check::CHECKS;

const BEGIN: &str = "<!-- generated from the checks themselves; tests/readme.rs says when it is out of date -->\n";
const END: &str = "<!-- end of the generated table -->";

#[test]
fn the_table_of_checks_is_current() {
    let mut table = String::from(
        "| check | what it looks at or tries | remedy | `--fix` (in this container alone) | engines |\n|---|---|---|---|---|\n",
    );
    for check in CHECKS {
        let docs = check.docs();
        let mend = check.mend().unwrap_or("-");
        writeln!(table, "| `{}` | {} | {} | {mend} | {} |", check.id(), docs.looks_at, docs.remedy, docs.engines())
            .expect("writing to a string");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("there is a README");
    let (head, rest) = readme.split_once(BEGIN).expect("the table's beginning");
    let (current, tail) = rest.split_once(END).expect("the table's end");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(path, format!("{head}{BEGIN}{table}{END}{tail}")).expect("the README can be written");
        return;
    }
    assert_eq!(current, table, "UPDATE_README=1 cargo test --test readme writes the table anew");
}
