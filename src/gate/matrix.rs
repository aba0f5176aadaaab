//! In which ways an image is run: cells, built in or from a file.

use std::collections::BTreeMap;

use serde::Deserialize;

const BUILT_IN: &str = include_str!("matrix.yaml");
/// More cells are a slip.
const MAX_CELLS: usize = 1000;

/// One way to run an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CellSpec {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// Whose cgroup namespace; `None`: the engine's default.
    #[serde(default)]
    pub cgroup_namespace: Option<Namespace>,
    /// What the data-root lies on.
    #[serde(default)]
    pub data_root: DataRoot,
    /// The memory limit, as `docker run -m` takes it.
    #[serde(default)]
    pub memory: Option<String>,
    /// Whether nothing can be written to the root; /run and /tmp are a tmpfs then.
    #[serde(default)]
    pub read_only: bool,
    /// Whether the outer engine's init is in front.
    #[serde(default)]
    pub init: bool,
    /// Whether it is privileged.
    #[serde(default = "yes")]
    pub privileged: bool,
    /// Capabilities beyond the usual ones, where it is not; seccomp and AppArmor are off then.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Its network.
    #[serde(default)]
    pub network: NetworkKind,
    /// What is done to it once it is proved.
    #[serde(default)]
    pub drill: Drill,
    /// What is wanted of it.
    #[serde(default)]
    pub expect: Expect,
}

fn yes() -> bool {
    true
}

/// A cgroup namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Namespace {
    /// Its own.
    Private,
    /// The host's.
    Host,
}

/// What a data-root lies on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataRoot {
    /// A volume of the outer engine.
    #[default]
    Volume,
    /// What the image leaves it on: the container's own layers, or a VOLUME.
    Overlay,
    /// Memory.
    Tmpfs,
}

/// A network of the outer engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkKind {
    /// The default one.
    #[default]
    Default,
    /// One made for it.
    User,
}

/// What is done to a container once it is proved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drill {
    /// It ends by itself.
    #[default]
    None,
    /// It is killed while an inner container runs, started again, and has to be proved again.
    Kill,
    /// It is stopped while an inner container runs, and has to end in time.
    Stop,
}

/// What is wanted of a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// That nothing blocks.
    #[default]
    Pass,
    /// That something does: what is found there is no failure of the gate, nothing found is.
    Fail,
}

/// The cells of a matrix that is built in; `None` if there is none of this name.
///
/// # Errors
/// What is built in is wrong, which a test would have seen.
pub fn built_in(name: &str) -> Result<Option<Vec<CellSpec>>, String> {
    let mut all: BTreeMap<String, Vec<CellSpec>> = serde_yaml::from_str(BUILT_IN).map_err(|error| error.to_string())?;
    all.remove(name).map(checked).transpose()
}

/// Reads a file with a list of cells.
///
/// # Errors
/// It is no YAML of this form, or its names are not fit.
pub fn parse(text: &str) -> Result<Vec<CellSpec>, String> {
    checked(serde_yaml::from_str(text).map_err(|error| error.to_string())?)
}

fn checked(cells: Vec<CellSpec>) -> Result<Vec<CellSpec>, String> {
    if cells.is_empty() || cells.len() > MAX_CELLS {
        return Err(format!("{} cells: there have to be 1 to {MAX_CELLS}", cells.len()));
    }
    for (index, cell) in cells.iter().enumerate() {
        let fit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if cell.name.is_empty() || !cell.name.chars().all(fit) {
            return Err(format!("`{}` is no name of a cell: letters, digits, - and _", cell.name));
        }
        if cells[..index].iter().any(|other| other.name == cell.name) {
            return Err(format!("there are two cells called {}", cell.name));
        }
        cell.memory_bytes()?;
    }
    Ok(cells)
}

impl CellSpec {
    /// The memory limit in bytes.
    ///
    /// # Errors
    /// It is no number with one of the units b, k, m and g.
    pub fn memory_bytes(&self) -> Result<Option<i64>, String> {
        let Some(text) = &self.memory else { return Ok(None) };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            _ => return Err(format!("memory: `{text}` is no size such as 512m or 1g")),
        };
        let number: i64 = digits.parse().map_err(|_| format!("memory: `{text}` is no size such as 512m or 1g"))?;
        let bytes = number.checked_mul(1 << shift).filter(|bytes| *bytes > 0);
        bytes.map(Some).ok_or_else(|| format!("memory: `{text}` is no size such as 512m or 1g"))
    }

    /// What `docker run` would be given.
    pub fn title(&self) -> String {
        let mut words = vec!["docker run".to_owned()];
        if self.privileged {
            words.push("--privileged".to_owned());
        } else {
            words.extend(["seccomp", "apparmor"].map(|what| format!("--security-opt {what}=unconfined")));
            words.extend(self.capabilities.iter().map(|name| format!("--cap-add {name}")));
        }
        words.extend(self.cgroup_namespace.map(|namespace| match namespace {
            Namespace::Private => "--cgroupns private".to_owned(),
            Namespace::Host => "--cgroupns host".to_owned(),
        }));
        match self.data_root {
            DataRoot::Volume => words.push("-v /var/lib/docker".to_owned()),
            DataRoot::Tmpfs => words.push("--tmpfs /var/lib/docker".to_owned()),
            DataRoot::Overlay => {}
        }
        words.extend(self.memory.iter().map(|memory| format!("-m {memory}")));
        if self.read_only {
            words.push("--read-only --tmpfs /run --tmpfs /tmp".to_owned());
        }
        if self.init {
            words.push("--init".to_owned());
        }
        if self.network == NetworkKind::User {
            words.push("--network NETWORK".to_owned());
        }
        let then = match self.drill {
            Drill::None => "",
            Drill::Kill => "; killed with an inner container running, and started again",
            Drill::Stop => "; stopped with an inner container running",
        };
        words.join(" ") + then
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_can_be_read() {
        for name in ["default", "full"] {
            assert!(built_in(name).unwrap().is_some_and(|cells| cells.len() > 3), "{name}");
        }
        assert_eq!(built_in("none"), Ok(None));
    }

    #[test]
    fn a_file_of_cells_is_checked() {
        let cells = parse("[{name: a, memory: 512m, data-root: tmpfs}, {name: b, drill: stop}]").unwrap();
        assert_eq!(cells[0].memory_bytes(), Ok(Some(512 << 20)));
        assert_eq!(
            cells[1].title(),
            "docker run --privileged -v /var/lib/docker; stopped with an inner container running"
        );
        for (text, reason) in [
            ("[]", "0 cells"),
            ("[{name: a}, {name: a}]", "two cells"),
            ("[{name: 'a b'}]", "no name"),
            ("[{name: a, memory: much}]", "no size"),
            ("[{name: a, memory: 99999999999g}]", "no size"),
            ("[{name: a, colour: red}]", "unknown field"),
        ] {
            assert!(parse(text).unwrap_err().contains(reason), "{text}");
        }
    }
}
