//! What the kernel says of a process in one line.

use crate::foreign::Foreign;

/// The fields of /proc/PID/stat (proc_pid_stat(5)) that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The program's name, as the kernel keeps it: at most 15 bytes, and any of them may be a parenthesis or a blank.
    pub name: Foreign,
    /// `R`, `S`, `D`, `Z` and so on.
    pub state: char,
    /// The parent's number; 0 for one outside of this pid namespace.
    pub parent: i32,
    rest: Vec<String>,
}

/// What comes after the name begins with field 3.
const FIRST: usize = 3;

impl Stat {
    /// Reads the line; `None` if it is no such line.
    pub fn parse(line: &str) -> Option<Self> {
        // The name stands in parentheses and may hold any byte, so that the fields are counted from its end.
        let (head, tail) = line.rsplit_once(')')?;
        let rest: Vec<String> = tail.split_whitespace().map(str::to_owned).collect();
        Some(Self {
            name: head.split_once('(')?.1.into(),
            state: rest.first()?.chars().next()?,
            parent: rest.get(1)?.parse().ok()?,
            rest,
        })
    }

    /// Whether it has ended and only its status is left, or not even that.
    pub fn is_over(&self) -> bool {
        "ZX".contains(self.state)
    }

    /// The CPU time that it has had, in user and in kernel mode, in clock ticks.
    pub fn cpu_ticks(&self) -> u64 {
        [14, 15].into_iter().filter_map(|number| self.field(number)).sum()
    }

    /// When it was started, in clock ticks since boot. With the number it tells a process from a later one that has the
    /// same number.
    pub fn started_ticks(&self) -> Option<u64> {
        self.field(22)
    }

    /// Whether it is scheduled in real time: SCHED_FIFO or SCHED_RR.
    pub fn is_realtime(&self) -> Option<bool> {
        self.field(41).map(|policy| [1, 2].contains(&policy))
    }

    fn field(&self, number: usize) -> Option<u64> {
        self.rest.get(number - FIRST)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_numbers_whatever_the_name_is() {
        let mut fields: Vec<String> = (0..=52).map(|number| number.to_string()).collect();
        fields[2] = "(a) b (c)".to_owned();
        fields[3] = "R".to_owned();
        fields[41] = "2".to_owned();
        let stat = Stat::parse(&fields[1..].join(" ")).unwrap();
        assert_eq!((stat.name.raw(), stat.state, stat.parent), ("a) b (c", 'R', 4));
        assert_eq!((stat.cpu_ticks(), stat.started_ticks(), stat.is_realtime()), (14 + 15, Some(22), Some(true)));
        fields[41] = "0".to_owned();
        assert_eq!(Stat::parse(&fields[1..].join(" ")).unwrap().is_realtime(), Some(false));
    }

    #[test]
    fn a_short_line_has_what_it_has() {
        let stat = Stat::parse("7 (x) Z 1 5").unwrap();
        assert!(stat.is_over());
        assert_eq!((stat.cpu_ticks(), stat.started_ticks(), stat.is_realtime()), (0, None, None));
        for odd in ["", "7", "7 (x)", "7 (x) ", "7 (x) S", "7 (x) S y", "x) S 1"] {
            assert_eq!(Stat::parse(odd), None, "{odd}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in "(\\PC|[() 0-9])*") {
            let _ = Stat::parse(&text);
        }
    }
}
