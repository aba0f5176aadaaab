//! After the proof: the daemon is looked after until it ends or is to end; or a job is run beside it.

use std::process::{Command, Stdio};

use nix::unistd::Pid;

use super::describe_status;
use super::stage::Stage;
use crate::command::pass_on::CannotRun;
use crate::facts::rootless::VARIABLE;
use crate::init::{Event, asks_to_stop};
use crate::process as system;

/// Of the time for stopping, how much the job may take to end when we are asked to.
const JOB_PART: u32 = 4;

/// Stays with the daemon: passes signals on, reaps, and ends with the daemon's own status.
pub(super) fn serve(stage: &mut Stage) -> anyhow::Result<u8> {
    loop {
        match stage.next::<()>(None, None)? {
            Event::Ended(pid, status) if stage.is_daemon(pid) => {
                stage.progress.say(&format!("the daemon ended, with {}", describe_status(status)));
                return Ok(stage.stop()?);
            }
            Event::Signal(signal) if asks_to_stop(signal) => return Ok(stage.stop()?),
            Event::Signal(signal) => stage.signal_daemon(signal),
            Event::Ended(..) | Event::Message | Event::TimedOut | Event::Reaped => {}
        }
    }
}

/// Runs a command beside the daemon; its status is ours. Signals are the command's; one that asks to end starts a
/// clock, since the daemon needs its time too.
pub(super) fn job(stage: &mut Stage, words: &[String]) -> anyhow::Result<u8> {
    let job = match start(stage, words) {
        Ok(job) => job,
        Err(error) => {
            stage.progress.say(&error.to_string());
            stage.stop()?;
            return Ok(error.status());
        }
    };
    let mut deadline = None;
    let status = loop {
        match stage.next::<()>(None, deadline)? {
            Event::Ended(pid, status) if pid == job => break status,
            // What it does without a daemon is the job's own matter.
            Event::Ended(pid, status) if stage.is_daemon(pid) => {
                stage.progress.say(&format!("the daemon ended under the job, with {}", describe_status(status)));
            }
            Event::Signal(signal) => {
                if asks_to_stop(signal) && deadline.is_none() {
                    let part = stage.plan.grace / JOB_PART;
                    deadline = Some(std::time::Instant::now() + part);
                    // What is left is the daemon's.
                    stage.plan.grace -= part;
                }
                system::send_signal(job, signal);
            }
            Event::TimedOut => {
                stage.progress.say("the job did not end in time and was killed");
                system::send_signal(job, nix::sys::signal::Signal::SIGKILL as i32);
                deadline = None;
            }
            Event::Ended(..) | Event::Message | Event::Reaped => {}
        }
    };
    system::foreground(nix::unistd::getpgrp());
    stage.stop()?;
    Ok(status)
}

fn start(stage: &mut Stage, words: &[String]) -> Result<Pid, CannotRun> {
    let program = words.first().map(String::as_str).unwrap_or_default();
    let failed = |error| CannotRun::new(program, error);
    let mut command = Command::new(program);
    command.args(words.iter().skip(1)).stdin(Stdio::inherit());
    if let Some(daemon) = &stage.daemon {
        // A daemon in the environment would be another one than the one that was proved.
        command.env("DOCKER_HOST", format!("unix://{}", daemon.socket));
        command.env_remove("DOCKER_TLS_VERIFY");
    }
    command.env_remove(VARIABLE);
    system::takes_terminal(&mut command);
    system::clean_signals(&mut command);
    let child = command.spawn().map_err(failed)?;
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(|error| failed(std::io::Error::other(error)))?);
    stage.init.watch(pid);
    Ok(pid)
}
