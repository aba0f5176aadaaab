//! Images that are made here: of a container, and by the builder.

use super::nest::Nest;
use super::scenario::{Refused, judge};
use super::work::Work;
use super::{image, inside};
use crate::finding::{Evidence, Verdict};

/// Makes an image of the work container and runs it.
pub(super) async fn commit(nest: &Nest<'_>, work: &Work) {
    let scenario = async {
        let committed = nest.api.commit(&work.id, nest.labels()).await?;
        let mut spec = nest.spec("committed", &["kept"]);
        spec.image.clone_from(&committed);
        let ran = nest.run(&spec).await;
        let removed = nest.api.remove_image(&committed).await;
        let told = nest.told(&ran?, "kept")?;
        removed?;
        Ok((judge("a container became an image, and runs from it with its changes", told.evidence), ()))
    };
    nest.ledger.prove("commit", scenario).await;
}

/// Builds an image in two steps, of which the second needs what the first has made.
pub(super) async fn build(nest: &Nest<'_>) {
    nest.ledger.prove("build", run(nest)).await;
}

async fn run(nest: &Nest<'_>) -> Result<(Verdict, ()), Refused> {
    let tag = nest.name("built");
    let step = |words: &[&str]| {
        let words: Vec<String> =
            [image::PATH, inside::COMMAND].iter().chain(words).map(|word| format!("{word:?}")).collect();
        format!("RUN [{}]\n", words.join(", "))
    };
    let dockerfile = format!(
        "FROM {}\n{}{}",
        nest.image_name,
        step(&["build", "first", "/image/built"]),
        step(&["build", "second", "/image/built"])
    );
    let tar = image::file("Dockerfile", dockerfile.as_bytes())
        .map_err(|error| super::scenario::blocking(format!("cannot make a tar: {error}")))?;
    let said = nest.api.build(&tag, &nest.labels(), tar).await?;
    let removed = nest.api.remove_image(&tag).await;
    removed?;
    let heard = said.lines().find(|line| *line == inside::STDOUT).unwrap_or("nothing").to_owned();
    let evidence = Evidence {
        location: "what the second step read of the first".to_owned(),
        value: heard,
        wanted: Some(inside::STDOUT.to_owned()),
    };
    Ok((judge("an image was built in two steps, without a network", vec![evidence]), ()))
}
