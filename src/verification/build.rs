//! Images that are made here: of a container, and by the builder.

use super::nest::{NO_NETWORK, Nest};
use super::scenario::{Refused, blocking, judge};
use super::work::Work;
use super::{image, inside};
use crate::finding::{Evidence, Verdict};

/// Makes an image of the work container and runs it.
pub(super) async fn commit(nest: &Nest<'_>, work: &Work) {
    let scenario = async {
        let commit = async || nest.api.commit(&work.id, &nest.name("committed"), nest.labels()).await;
        // What is copied into and out of the container meanwhile can change a directory while the engine reads it: on
        // fuse-overlayfs that ends a commit (readdirent: no such file or directory).
        let committed = match commit().await {
            Err(error) if error.status == Some(500) => commit().await?,
            committed => committed?,
        };
        let mut spec = nest.spec("committed", &["kept"]);
        spec.network = Some(NO_NETWORK.to_owned());
        spec.image.clone_from(&committed);
        let ran = nest.run(&spec).await;
        let removed = nest.api.remove_image(&nest.name("committed")).await;
        let told = nest.told(&ran?.0, "kept")?;
        removed?;
        Ok((judge("a container became an image, and runs from it with its changes", told.evidence), ()))
    };
    nest.ledger.prove("commit", scenario).await;
}

/// Builds an image in two steps, of which the second runs a container with what the first has copied.
pub(super) async fn build(nest: &Nest<'_>) {
    nest.ledger.prove("build", run(nest)).await;
}

async fn run(nest: &Nest<'_>) -> Result<(Verdict, ()), Refused> {
    let tag = nest.name("built");
    let dockerfile = format!(
        "FROM {}\nCOPY context /image/built\nRUN [\"{}\", \"{}\", \"build\", \"/image/built\"]\n",
        nest.image_name,
        image::PATH,
        inside::COMMAND,
    );
    let context = [("Dockerfile", dockerfile.as_bytes()), ("context", inside::STDOUT.as_bytes())];
    let tar = image::files(&context).map_err(|error| blocking(format!("cannot make a tar: {error}")))?;
    let said = nest.api.build(&tag, &nest.labels(), tar).await?;
    nest.api.remove_image(&tag).await?;
    let heard = said.lines().find(|line| *line == inside::STDOUT).unwrap_or("nothing").to_owned();
    let evidence = Evidence {
        location: "what the second step ran with the file of the first".to_owned(),
        value: heard,
        wanted: Some(inside::STDOUT.to_owned()),
    };
    Ok((judge("an image was built in two steps, without a network", vec![evidence]), ()))
}
