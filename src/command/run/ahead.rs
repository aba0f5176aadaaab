//! The start ahead: the daemon is started as soon as what can be read speaks for it, and what has to be tried is tried
//! beside it. Most of what a look takes is waiting for what was tried.

use std::collections::BTreeSet;

use super::stage::Stage;
use super::{launch, prepare};
use crate::cli::RunArgs;
use crate::command::fix::{any_failed, mend, open_fixes, waits_for_trials};
use crate::command::look::Look;
use crate::engine::command::CommandLine;
use crate::fix::apply::Applied;
use crate::init::tell::Phase;

/// Mends, and starts the daemon once nothing that can be read speaks against it; what has to be tried is tried beside
/// it. If that speaks against it, the daemon is stopped again, and that is mended. Gives how the daemon was started, if
/// it was, and the signal that asked us to end.
pub(super) fn start(
    args: &RunArgs,
    stage: &mut Stage,
    look: &mut Look,
    applied: &mut Vec<Applied>,
) -> anyhow::Result<(Option<CommandLine>, Option<i32>)> {
    if let asked @ Some(_) = stage.init.asked_to_stop()? {
        return Ok((None, asked));
    }
    mend_found(args, stage, look, applied);
    if let asked @ Some(_) = stage.init.asked_to_stop()? {
        return Ok((None, asked));
    }
    let mut line = None;
    if !(look.blocks(args.look.strict) || any_failed(applied) || args.fix && waits_for_trials(look)) {
        // Where that cannot be done, a check says why, or the second attempt does.
        line = prepare::command_line(args, stage, look).ok().filter(|ready| launch(stage, ready).is_ok());
    }
    let is_as_claimed = look.complete()?;
    let mut asked = stage.init.asked_to_stop()?;
    let found = found_meanwhile(args, look, applied);
    if asked.is_none() && !(is_as_claimed && found.is_empty()) {
        if line.take().is_some() {
            let found = found.into_iter().collect::<Vec<_>>().join(", ");
            stage.withdraw(if is_as_claimed { &found } else { "the engine is not what DOCKER_VERSION says" })?;
        }
        if !is_as_claimed {
            look.again();
        }
        mend_found(args, stage, look, applied);
        asked = stage.init.asked_to_stop()?;
    }
    Ok((line, asked))
}

/// What has to be dealt with before a daemon is started.
fn found_meanwhile(args: &RunArgs, look: &Look, applied: &[Applied]) -> BTreeSet<&'static str> {
    let mends = open_fixes(look, applied).filter(|_| args.fix).map(|fix| fix.check);
    let blocking = look.findings.iter().filter(|(finding, _)| finding.blocks(args.look.strict));
    mends.chain(blocking.map(|(finding, _)| finding.id)).collect()
}

/// Mends what was found so far, with --fix.
fn mend_found(args: &RunArgs, stage: &mut Stage, look: &mut Look, applied: &mut Vec<Applied>) {
    if args.fix && open_fixes(look, applied).next().is_some() {
        stage.tell.phase(Phase::Mending);
        mend(look, &args.mend, applied);
    }
}
