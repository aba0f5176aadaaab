//! Writing the rules that the daemon will write, in a network namespace that nothing else is in.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;
use serde::{Deserialize, Serialize};

use super::background::{self, Background};
use super::nftables;
use crate::fact::{Fact, FactError};
use crate::process;

/// Which interface of the kernel an iptables program writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// ip_tables, by socket options.
    Legacy,
    /// nf_tables, by netlink.
    Nft,
    /// Not told by the program's file name.
    Unknown,
}

/// What shall be written, as the profile has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The chains, as table/CHAIN.
    pub chains: Vec<String>,
    /// The rules, as arguments of iptables.
    pub rules: Vec<String>,
    /// Whether the same is written for IPv6.
    pub ip6tables: bool,
    /// Whether the rules need a set of networks in the kernel.
    pub ipset: bool,
    /// What nft writes instead, where it is asked to; `None` if this version cannot be asked.
    pub nftables: Option<nftables::Wanted>,
}

/// One attempt to write the rules of a table in a network namespace of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The program that was run.
    pub program: String,
    /// Whether it is the one for IPv6.
    #[serde(default)]
    pub v6: bool,
    /// The table.
    pub table: String,
    /// None: all rules were written. Otherwise the rule that was refused, where it is known, and what was reported.
    pub failure: Option<Failure>,
}

/// A refused rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The rule, in iptables' own words; empty where the program did not name it.
    pub rule: String,
    /// What the program or the kernel said.
    pub message: String,
}

/// The programs of one flavour, and what they were able to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which kernel interface they write to.
    pub flavour: Flavour,
    /// The program for IPv4.
    pub iptables: String,
    /// The program for IPv6.
    pub ip6tables: Option<String>,
    /// Why nothing was tried with it.
    pub not_tried: Option<String>,
    /// What was tried.
    pub attempts: Vec<Attempt>,
}

impl Candidate {
    /// Whether all rules for IPv4 were written.
    pub fn writes_v4(&self) -> bool {
        let mut v4 = self.attempts.iter().filter(|attempt| !attempt.v6).peekable();
        v4.peek().is_some() && v4.all(|attempt| attempt.failure.is_none())
    }
}

/// How long one run of iptables may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Starts trying the rules with the programs of each flavour, the daemon's own first, until all are written by one.
pub fn start(candidates: Vec<Candidate>, wanted: &Wanted) -> Background<Vec<Candidate>> {
    let wanted = wanted.clone();
    background::start(move || {
        let mut tried = Vec::new();
        for mut candidate in candidates {
            let mut attempts = Vec::new();
            if candidate.not_tried.is_none() {
                attempts.extend(attempt(&candidate.iptables, &wanted, false)?);
                if let Some(program) = candidate.ip6tables.as_ref().filter(|_| wanted.ip6tables) {
                    attempts.extend(attempt(program, &wanted, true)?);
                }
            }
            candidate.attempts = attempts;
            let done = candidate.writes_v4();
            tried.push(candidate);
            if done {
                break;
            }
        }
        Ok(tried)
    })
}

/// One table and what is written to it, in the words of iptables-restore.
struct Section {
    table: String,
    lines: Vec<String>,
}

/// The chains and rules of a profile (`nat/DOCKER`, `-t nat -A …`), by table.
fn sections(wanted: &Wanted, v6: bool) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut add = |table: &str, line: String| match sections.iter_mut().find(|section| section.table == table) {
        Some(section) => section.lines.push(line),
        None => sections.push(Section { table: table.to_owned(), lines: vec![line] }),
    };
    for (table, chain) in wanted.chains.iter().filter_map(|chain| chain.split_once('/')) {
        add(table, format!("-N {chain}"));
    }
    for rule in &wanted.rules {
        let words: Vec<&str> = rule.split_whitespace().collect();
        let (table, rest) = match words.as_slice() {
            ["-t", table, rest @ ..] => (*table, rest),
            rest => ("filter", rest),
        };
        let line: Vec<String> = rest.iter().map(|word| if v6 { as_v6(word) } else { (*word).to_owned() }).collect();
        add(table, line.join(" "));
    }
    sections
}

/// An IPv4 address, network or address with port in its IPv6 form, in a range for local use (RFC 4193); other words stay.
pub(super) fn as_v6(word: &str) -> String {
    let mapped = |address: Ipv4Addr| {
        let bits = address.to_bits();
        format!("fd00::{:x}:{:x}", bits >> 16, bits & 0xffff)
    };
    if let Ok(address) = word.parse() {
        return mapped(address);
    }
    if let Some((address, bits)) = word.split_once('/')
        && let (Ok(address), Ok(bits)) = (address.parse(), bits.parse::<u8>())
    {
        return format!("{}/{}", mapped(address), bits.saturating_add(96));
    }
    if let Some((address, port)) = word.split_once(':')
        && let (Ok(address), Ok(port)) = (address.parse(), port.parse::<u16>())
    {
        return format!("[{}]:{port}", mapped(address));
    }
    word.to_owned()
}

/// All tables at once, which is quick; where that is refused, one by one, to tell which.
fn attempt(program: &str, wanted: &Wanted, v6: bool) -> Fact<Vec<Attempt>> {
    let sections = sections(wanted, v6);
    let attempt = |section: &Section, failure: Option<Failure>| Attempt {
        program: program.to_owned(),
        v6,
        table: section.table.clone(),
        failure,
    };
    let all: Vec<&Section> = sections.iter().collect();
    if restore(program, &all)?.is_none() {
        return Ok(sections.iter().map(|section| attempt(section, None)).collect());
    }
    sections.iter().map(|section| Ok(attempt(section, restore(program, &[section])?))).collect()
}

/// Writes sections in a fresh network namespace; gives what was refused, if anything was.
fn restore(program: &str, sections: &[&Section]) -> Fact<Option<Failure>> {
    // All rules in one run: iptables-restore is the same program under another name.
    let restore = format!("{program}-restore");
    let input: String =
        sections.iter().map(|section| format!("*{}\n{}\nCOMMIT\n", section.table, section.lines.join("\n"))).collect();
    let mut command = Command::new(&restore);
    command.arg("--noflush");
    process::clean_signals(&mut command);
    process::in_namespaces(&mut command, CloneFlags::CLONE_NEWNET);
    let output = process::output_until(&mut command, Some(input.as_bytes()), Instant::now() + DEADLINE)
        .map_err(|error| FactError::new("run", restore.clone(), error))?;
    Ok((!output.status.success()).then(|| {
        let message = output.stderr.text();
        let rule = sections.first().map(|section| refused_rule(&message, &section.lines)).unwrap_or_default();
        let message = if message.is_empty() { format!("{} and no word", output.status) } else { message };
        Failure { rule, message }
    }))
}

/// The program names the line: `iptables-restore: line 3 failed`, `Error occurred at line: 3`,
/// `line 3: RULE_APPEND failed`. Line 1 is the table's, so that rule N stands on line N + 1.
fn refused_rule(message: &str, rules: &[String]) -> String {
    message
        .split("line")
        .skip(1)
        .filter_map(|tail| {
            let digits: String = tail.trim_start_matches([' ', ':']).chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().ok()
        })
        .find_map(|line| rules.get(line.checked_sub(2)?))
        .cloned()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            chains: vec!["nat/DOCKER".to_owned(), "filter/DOCKER-USER".to_owned()],
            rules: [
                "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
                "-t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80",
                "-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
            ]
            .map(str::to_owned)
            .to_vec(),
            ip6tables: true,
            ipset: false,
            nftables: None,
        }
    }

    #[test]
    fn the_refused_rule_is_found_by_its_line() {
        let nat = &sections(&wanted(), false)[0].lines;
        for message in [
            "iptables-restore: line 3 failed",
            "iptables-restore v1.8.9 (nf_tables): \nline 3: RULE_APPEND failed (No such file or directory): rule in chain PREROUTING",
            "iptables-restore v1.8.9 (legacy): Couldn't load match `addrtype':No such file or directory\n\nError occurred at line: 3",
        ] {
            assert_eq!(refused_rule(message, nat), "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER", "{message}");
        }
        assert_eq!(refused_rule("Permission denied (you must be root)", nat), "");
        assert_eq!(refused_rule("line 99999999999999999999999999 failed", nat), "");
        assert_eq!(refused_rule("line 1 failed", nat), "");
    }

    #[test]
    fn rules_stand_in_their_tables_and_are_rewritten_for_ipv6() {
        let sections = sections(&wanted(), true);
        let tables: Vec<&str> = sections.iter().map(|section| section.table.as_str()).collect();
        assert_eq!(tables, ["nat", "filter"]);
        assert_eq!(sections[0].lines[0], "-N DOCKER");
        assert!(sections[0].lines[2].ends_with("--to-destination [fd00::ac11:2]:80"), "{:?}", sections[0].lines);
        assert!(sections[0].lines[3].contains("-s fd00::ac11:0/112 "), "{:?}", sections[0].lines);
    }
}
