//! Writing the table that the daemon will write with nft, in a network namespace that nothing else is in.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;

use super::background::{self, Background};
use super::netfilter::{Attempt, Failure, as_v6};
use crate::fact::{Fact, FactError};
use crate::process;

/// What shall be written, as the profile has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The commands of nft, one a line, for IPv4.
    pub rules: Vec<String>,
    /// Whether the same is written for IPv6.
    pub v6: bool,
}

/// How long one run of nft may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Starts writing the rules, each family's in one run.
pub fn start(program: String, wanted: &Wanted) -> Background<Vec<Attempt>> {
    let wanted = wanted.clone();
    background::start(move || {
        let families = [false, true].into_iter().filter(|v6| !v6 || wanted.v6);
        families.map(|v6| attempt(&program, &wanted.rules, v6)).collect()
    })
}

fn attempt(program: &str, rules: &[String], v6: bool) -> Fact<Attempt> {
    let rules: Vec<String> = rules.iter().map(|rule| if v6 { in_v6(rule) } else { rule.clone() }).collect();
    let input: String = rules.iter().flat_map(|rule| [rule, "\n"]).collect();
    let mut command = Command::new(program);
    command.args(["-f", "-"]);
    process::clean_signals(&mut command);
    process::in_namespaces(&mut command, CloneFlags::CLONE_NEWNET);
    let output = process::output_until(&mut command, Some(input.as_bytes()), Instant::now() + DEADLINE)
        .map_err(|error| FactError::new("run", program, error))?;
    let failure = (!output.status.success()).then(|| {
        let message = output.stderr.text();
        let first = message.lines().next().map_or_else(|| format!("{} and no word", output.status), str::to_owned);
        Failure { rule: refused_rule(&message, &rules), message: first }
    });
    Ok(Attempt { program: program.to_owned(), v6, table: table(&rules), failure })
}

/// The table that the first of the commands adds: `add table ip NAME`.
fn table(rules: &[String]) -> String {
    rules.first().and_then(|rule| rule.split(' ').next_back()).unwrap_or_default().to_owned()
}

/// The same for IPv6: the family, and each address.
fn in_v6(rule: &str) -> String {
    let words: Vec<String> =
        rule.split(' ').map(|word| if word == "ip" { "ip6".to_owned() } else { as_v6(word) }).collect();
    words.join(" ")
}

/// The program names the line: `/dev/stdin:2:15-21: Error: …`.
fn refused_rule(message: &str, rules: &[String]) -> String {
    let line = message
        .lines()
        .filter_map(|line| line.split_once(": Error: ")?.0.rsplit(':').nth(1)?.parse::<usize>().ok())
        .find_map(|line| rules.get(line.checked_sub(1)?));
    line.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refused_rule_is_found_by_its_line() {
        let rules = ["add table ip d", "add rule ip d c fib daddr type local"].map(str::to_owned);
        let said = "/dev/stdin:2:15-21: Error: Could not process rule: No such file or directory\nadd rule\n^^^";
        assert_eq!(refused_rule(said, &rules), rules[1]);
        for odd in ["", "Error: ", ": Error: ", "x:y:z: Error: ", "a:0:1: Error: ", "a:99999999999999999999:1: Error: "]
        {
            assert_eq!(refused_rule(odd, &rules), "", "{odd}");
        }
        assert_eq!(table(&rules), "d");
    }

    #[test]
    fn rules_are_rewritten_for_ipv6() {
        assert_eq!(in_v6("add rule ip d c ip daddr 172.17.0.2 drop"), "add rule ip6 d c ip6 daddr fd00::ac11:2 drop");
    }
}
