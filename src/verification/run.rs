//! The first scenario, and the bare minimum: a container that runs.

use super::nest::Nest;
use super::scenario::{Refused, blocking, judge};
use super::{STATUS, inside};
use crate::engine::api::container::Run;
use crate::engine::ours::VERIFICATION;
use crate::finding::{Evidence, Verdict};

/// Created, started, heard on both streams, ended with its status, and gone.
pub(super) async fn prove(nest: &Nest<'_>) {
    nest.ledger.prove("run", run(nest)).await;
}

async fn run(nest: &Nest<'_>) -> Result<(Verdict, ()), Refused> {
    let (container, ran, _) = nest.run_any(&nest.spec("run", &[])).await?;
    if nest.api.labelled_containers(VERIFICATION.label).await?.iter().any(|made| made.id == container) {
        return Err(blocking("the test container is still there after it was removed").saw("id", container).into());
    }
    Ok((verdict(&ran, &ran.stdout.text()), ()))
}

/// Judges how a container ended and what came out of it: `stdout` is what it printed for this.
pub(super) fn verdict(ran: &Run, stdout: &str) -> Verdict {
    let evidence = [
        ("exit status", ran.status.to_string(), STATUS.to_string()),
        ("standard output", stdout.to_owned(), inside::STDOUT.to_owned()),
        ("standard error", ran.stderr.text(), inside::STDERR.to_owned()),
    ]
    .map(|(location, value, wanted)| Evidence { location: location.to_owned(), value, wanted: Some(wanted) });
    judge("a container was created, ran, printed what it should, and is gone", evidence.to_vec())
}
