//! The main job of a user who may become root by sudo: it goes on as root, in place of this process, and a `--job` is
//! run as the user again. As dev containers have it, whose users are no root and may do all without a password.

use std::collections::BTreeMap;
use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::{getegid, getgroups, getuid};
use serde::{Deserialize, Serialize};

use crate::cli::RunArgs;
use crate::command::Misuse;
use crate::command::pass_on::CannotRun;
use crate::command::progress::Progress;
use crate::fact::Root;
use crate::facts::engine::{find, search_path};
use crate::facts::rootless::{ROOTLESSKIT, is_outside};
use crate::process;
use crate::process::level::Level;
use crate::supervisor::message::Identity;

/// The program.
const SUDO: &str = "sudo";
/// The variable in which the user goes along.
pub(super) const VARIABLE: &str = "_DINDCHECK_SUDO";
/// What sudo sets for root although it keeps the environment (sudoers(5): secure_path, set_logname, always_set_home).
pub(super) const CHANGED: [&str; 6] = ["HOME", "LOGNAME", "MAIL", "PATH", "SHELL", "USER"];
/// What it adds (sudo(8), ENVIRONMENT).
pub(super) const ADDED: [&str; 5] = ["SUDO_COMMAND", "SUDO_GID", "SUDO_HOME", "SUDO_UID", "SUDO_USER"];
/// How long it may take to say whether a password is needed: sudoers may ask a directory in the network.
const ANSWER: Duration = Duration::from_secs(20);

/// The user who went on as root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct User {
    /// Who that is.
    pub(super) identity: Identity,
    /// The user's own values of what sudo has changed.
    pub(super) variables: BTreeMap<String, String>,
}

impl User {
    /// The user, where this process has become root by sudo.
    pub(super) fn read() -> Option<Self> {
        serde_json::from_str(&env::var(VARIABLE).ok()?).ok()
    }

    fn of_this_process() -> anyhow::Result<Self> {
        let numbers = getgroups()?.into_iter().map(nix::unistd::Gid::as_raw).collect();
        let identity = Identity { uid: getuid().as_raw(), gid: getegid().as_raw(), groups: numbers };
        let variables = CHANGED.into_iter().filter_map(|name| Some((name.to_owned(), env::var(name).ok()?)));
        Ok(Self { identity, variables: variables.collect() })
    }
}

/// Becomes root, where that is asked for, or is the only way to a daemon and needs no password. Returns where the main job
/// goes on as who this is.
///
/// # Errors
/// It is asked for, and sudo refuses.
pub(super) fn exec_if_allowed(args: &RunArgs) -> anyhow::Result<()> {
    let (root, path) = (Root::new("/"), search_path());
    let is_rootless = || ROOTLESSKIT.iter().any(|program| find(&root, &path, program).is_some());
    if !is_outside() || !args.sudo && is_rootless() {
        return Ok(());
    }
    let ours = env::current_exe()?;
    let command = || {
        let mut command = Command::new(SUDO);
        command.args(["--non-interactive", "--preserve-env", "--"]).arg(&ours);
        process::clean_signals(&mut command);
        command
    };
    let mut probe = command();
    probe.arg("--version");
    let refused = match process::output_until(&mut probe, None, Instant::now() + ANSWER) {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(output.stderr.text()),
        Err(error) => Some(format!("cannot run sudo: {error}")),
    };
    let progress = Progress::new(&args.look.output);
    if let Some(reason) = refused {
        let rule = format!("#{} ALL=(root) SETENV:NOPASSWD:{}", getuid(), ours.display());
        let text = format!("{reason}; what allows it is a line in /etc/sudoers: {rule}");
        if args.sudo {
            return Err(Misuse(format!("--sudo: {text}")).into());
        }
        if find(&root, &path, SUDO).is_some() {
            progress.say(Level::Warning, &format!("not by sudo: {text}"));
        }
        return Ok(());
    }
    if args.ready_fd.is_some() {
        let text = "--ready-fd: sudo hands no descriptor on; sd_notify and `dindcheck health` tell the same";
        return Err(Misuse(text.to_owned()).into());
    }
    progress.step("going on as root, by sudo");
    let mut command = command();
    command.args(env::args_os().skip(1)).stdin(Stdio::inherit());
    command.env(VARIABLE, serde_json::to_string(&User::of_this_process()?)?);
    Err(CannotRun::new(SUDO, command.exec()).into())
}
