//! Writing the rules that the daemon will write, in a network namespace that nobody else is in.

use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;

use crate::facts::netfilter::{Attempt, Failure};
use crate::facts::{Fact, FactError};
use crate::system;

/// How long one run of iptables may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Attempts under way, one thread for all tables.
pub struct Running(JoinHandle<Fact<Vec<Attempt>>>);

/// Starts trying the rules of each table with a program.
pub fn start(program: &str, tables: &[String]) -> Running {
    let program = program.to_owned();
    let tables = tables.to_vec();
    Running(thread::spawn(move || tables.iter().map(|table| attempt(&program, table)).collect()))
}

impl Running {
    /// Waits for the attempts.
    ///
    /// # Errors
    /// A program that could not be run or did not end in time.
    pub fn finish(self) -> Fact<Vec<Attempt>> {
        self.0.join().unwrap_or_else(|_| Err(FactError::new("try", "iptables", "the probe broke")))
    }
}

/// The kinds of rules that a daemon writes to a table: its chains, and each match and target that it relies on
/// (moby daemon/libnetwork/drivers/bridge/internal/iptabler; the names are of no interface or container).
fn rules(table: &str) -> &'static [&'static str] {
    match table {
        "filter" => &[
            "-N DOCKER",
            "-A FORWARD -o dindcheck0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "-A FORWARD -o dindcheck0 -j DOCKER",
        ],
        "nat" => &[
            "-N DOCKER",
            "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
            "-A POSTROUTING -s 192.0.2.0/24 ! -o dindcheck0 -j MASQUERADE",
            "-A DOCKER ! -i dindcheck0 -p tcp -m tcp --dport 1 -j DNAT --to-destination 192.0.2.2:1",
        ],
        "raw" => &["-A PREROUTING -d 192.0.2.2/32 ! -i dindcheck0 -j DROP"],
        _ => &[],
    }
}

fn attempt(program: &str, table: &str) -> Fact<Attempt> {
    let rules = rules(table);
    // All rules of a table in one run: iptables-restore is the same program under another name.
    let restore = format!("{program}-restore");
    let input = format!("*{table}\n{}\nCOMMIT\n", rules.join("\n"));
    let mut command = Command::new(&restore);
    command.arg("--noflush");
    system::clean_signals(&mut command);
    system::in_namespaces(&mut command, CloneFlags::CLONE_NEWNET);
    let output = system::output_until(&mut command, Some(input.as_bytes()), Instant::now() + DEADLINE)
        .map_err(|error| FactError::new("run", restore.clone(), error))?;
    let failure = (!output.status.success()).then(|| {
        let message = output.stderr.trim().to_owned();
        Failure { rule: refused_rule(&message, rules), message }
    });
    Ok(Attempt { program: program.to_owned(), table: table.to_owned(), failure })
}

/// The program names the line: `iptables-restore: line 3 failed`, `Error occurred at line: 3`,
/// `line 3: RULE_APPEND failed`. Line 1 is the table's, so that rule N stands on line N + 1.
fn refused_rule(message: &str, rules: &[&str]) -> String {
    message
        .split("line")
        .skip(1)
        .filter_map(|tail| {
            let digits: String = tail.trim_start_matches([' ', ':']).chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().ok()
        })
        .find_map(|line| rules.get(line.checked_sub(2)?))
        .map(|rule| (*rule).to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refused_rule_is_found_by_its_line() {
        let nat = rules("nat");
        for message in [
            "iptables-restore: line 3 failed",
            "iptables-restore v1.8.9 (nf_tables): \nline 3: RULE_APPEND failed (No such file or directory): rule in chain PREROUTING",
            "iptables-restore v1.8.9 (legacy): Couldn't load match `addrtype':No such file or directory\n\nError occurred at line: 3",
        ] {
            assert_eq!(refused_rule(message, nat), "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER", "{message}");
        }
        assert_eq!(refused_rule("Permission denied (you must be root)", nat), "");
        assert_eq!(refused_rule("line 0 line 1 line 99", nat), "");
    }
}
