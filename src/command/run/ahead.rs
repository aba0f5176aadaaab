//! The start ahead: the daemon is started as soon as what can be read speaks for it, and what has to be tried is tried
//! beside its start, which waits for programs most of the time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::prepare::Start;
use super::stage::Stage;
use super::{prepare, prove};
use crate::cli::RunArgs;
use crate::command::fix::{mend, open_fixes, waits_for_trials};
use crate::command::look::Look;
use crate::fix::apply::Applied;
use crate::supervisor::message::Phase;

/// How long the API is waited for before it is tried what may be in its way: a daemon that will answer does so in a
/// fraction of that.
const PATIENCE: Duration = Duration::from_secs(3);

/// Mends, and starts the daemon once nothing that can be read speaks against it. What has to be tried is tried beside its
/// start, and looked at when it answers, has ended, or is late: if that speaks against it, the daemon is stopped again, and
/// that is mended. Gives how the daemon was started, if it was.
pub(super) fn start(
    args: &RunArgs,
    stage: &mut Stage,
    look: &mut Look,
    applied: &mut Vec<Applied>,
) -> anyhow::Result<Option<Start>> {
    mend_found(args, stage, look, applied)?;
    let mut start = None;
    let is_refused = look.blocks(args.look.strict) && !args.report_only;
    if !(is_refused || args.fix && waits_for_trials(look)) {
        // Where that cannot be done, a check says why, or the second attempt does.
        start = prepare::start(args, stage, look)
            .ok()
            .filter(|ready| stage.start(&ready.line, ready.order.clone(), &ready.plan, args.timeout).is_ok());
    }
    if let Some(ready) = &start {
        look.start_trials();
        let until = Instant::now() + PATIENCE.min(args.timeout);
        prove::wait_for_answer(args, stage, &ready.api, until)?;
    }
    if stage.asked()?.is_some() {
        return Ok(start);
    }
    let wrong = look.full()?;
    let found = found_meanwhile(args, look, applied);
    if wrong.is_some() || !found.is_empty() {
        if start.take().is_some() {
            let found = found.into_iter().collect::<Vec<_>>().join(", ");
            stage.withdraw(&wrong.as_ref().map_or(found, |by| format!("the engine is not what {by} says")))?;
        }
        if wrong.is_some() {
            look.recheck();
        }
        mend_found(args, stage, look, applied)?;
    }
    Ok(start)
}

/// What has to be dealt with before a daemon is started.
fn found_meanwhile(args: &RunArgs, look: &Look, applied: &[Applied]) -> BTreeSet<&'static str> {
    let mends = open_fixes(look, applied).filter(|_| args.fix).map(|fix| fix.check);
    let blocking = look.findings.iter().filter(|(finding, _)| finding.blocks(args.look.strict) && !args.report_only);
    mends.chain(blocking.map(|(finding, _)| finding.id)).collect()
}

/// Mends what was found so far, with --fix.
fn mend_found(args: &RunArgs, stage: &mut Stage, look: &mut Look, applied: &mut Vec<Applied>) -> anyhow::Result<()> {
    if args.fix && open_fixes(look, applied).next().is_some() {
        stage.phase(Phase::Mending)?;
        mend(look, &args.mend, applied);
    }
    Ok(())
}
