//! The first scenario, and the bare minimum: a container that runs.

use super::nest::Nest;
use super::scenario::{Refused, blocking, judge};
use super::{STATUS, inside};
use crate::finding::{Evidence, Verdict};

/// Created, started, heard on both streams, ended with its status, and gone.
pub(super) async fn prove(nest: &Nest<'_>) {
    nest.ledger.prove("run", run(nest)).await;
}

async fn run(nest: &Nest<'_>) -> Result<(Verdict, ()), Refused> {
    let container = nest.api.create(&nest.spec("run", &[])).await?;
    let ran = nest.api.run(&container).await;
    let removed = nest.api.remove_container(&container).await;
    let ran = ran?;
    removed?;
    let evidence = [
        ("exit status", ran.status.to_string(), STATUS.to_string()),
        ("standard output", ran.stdout.trim().to_owned(), inside::STDOUT.to_owned()),
        ("standard error", ran.stderr.trim().to_owned(), inside::STDERR.to_owned()),
    ]
    .map(|(location, value, wanted)| Evidence { location: location.to_owned(), value, wanted: Some(wanted) });
    if nest.api.state(&container).await.is_ok() {
        return Err(blocking("the test container is still there after it was removed").saw("id", container).into());
    }
    Ok((judge("a container was created, ran, said what it should, and is gone", evidence.to_vec()), ()))
}
