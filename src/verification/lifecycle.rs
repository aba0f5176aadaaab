//! What is done with a container that runs: more processes, files in and out, signals, its end, its log.

use super::inside;
use super::nest::{NO_NETWORK, Nest};
use super::scenario::{Refused, blocking, judge};
use super::work::Work;
use super::{STATUS, image};
use crate::engine::api::exec::Exec;
use crate::finding::{Evidence, Verdict};
use crate::version::ApiVersion;

/// Copying by /archive came with API 1.20 (moby docs/reference/api/docker_remote_api.md, v1.20).
const ARCHIVE_SINCE: ApiVersion = ApiVersion::new(1, 20);
/// ExecConfig.User came with API 1.19 (same, v1.19).
const EXEC_USER_SINCE: ApiVersion = ApiVersion::new(1, 19);
/// Up to 1.10 (API 1.22) the last words of a process with a terminal are lost when it ends at once: seen on 1.7.1 and
/// 1.10.3, not on 1.12.6.
const LAST_WORDS_SINCE: ApiVersion = ApiVersion::new(1, 23);
/// How long the container may take to end when it is asked to. It does so at once.
const GRACE_S: i32 = 5;

/// More processes in the container: plain, with a terminal, as another user.
pub(super) async fn exec(nest: &Nest<'_>, work: &Work) {
    let plain = async {
        let ran = nest.api.exec(&work.id, Exec { command: &command(&[]), ..Exec::default() }).await?;
        let evidence = [
            ("exit status", ran.status.to_string(), STATUS.to_string()),
            ("standard output", ran.stdout.text(), inside::STDOUT.to_owned()),
            ("standard error", ran.stderr.text(), inside::STDERR.to_owned()),
        ];
        Ok((judge("a second process ran in a running container", wanted(evidence)), ()))
    };
    let terminal = async {
        let patience: &[&str] = if nest.profile.api_max.value < LAST_WORDS_SINCE { &["linger"] } else { &[] };
        let command = command(&[&["tty"], patience].concat());
        let exec = Exec { command: &command, terminal: Some((41, 101)), ..Exec::default() };
        let ran = nest.api.exec(&work.id, exec).await?;
        Ok((judge("a process had a terminal of the size that was set", nest.told(&ran, "tty")?.evidence), ()))
    };
    let started = async {
        let mut spec = nest.spec("user", &["user"]);
        (spec.user, spec.network) = (Some(inside::USER.to_owned()), Some(NO_NETWORK.to_owned()));
        nest.told(&nest.run(&spec).await?.0, "user")
    };
    let second = async {
        // Without it the container says enough.
        if nest.has(EXEC_USER_SINCE, "exec as another user").is_err() {
            return Ok(Vec::new());
        }
        let exec = Exec { command: &command(&["user"]), user: Some(inside::USER), ..Exec::default() };
        let told = nest.told(&nest.api.exec(&work.id, exec).await?, "user")?;
        Ok(told
            .evidence
            .into_iter()
            .map(|one| Evidence { location: format!("exec: {}", one.location), ..one })
            .collect())
    };
    let user = async {
        let (started, second): (_, Result<Vec<Evidence>, Refused>) = futures_util::future::join(started, second).await;
        Ok((judge(inside::IS_USER, started?.evidence.into_iter().chain(second?).collect()), ()))
    };
    futures_util::future::join3(
        nest.ledger.prove("exec", plain),
        nest.ledger.prove("tty", terminal),
        nest.ledger.prove("user", user),
    )
    .await;
}

/// A file into the container, read there; and the container's own file out of it.
pub(super) async fn copy(nest: &Nest<'_>, work: &Work) {
    let scenario = async {
        nest.has(ARCHIVE_SINCE, "copying of files into a container")?;
        let content = nest.name("copied");
        let tar = image::files(&[("copied", content.as_bytes())]).map_err(|error| blocking(error.to_string()))?;
        nest.api.upload(&work.id, "/image", tar).await?;
        let exec = Exec { command: &command(&["cat", "/image/copied"]), ..Exec::default() };
        let ran = nest.api.exec(&work.id, exec).await?;
        let tar = nest.api.download(&work.id, "/image/copied").await?;
        let back = image::first_file(&tar).map_err(|error| blocking(format!("what came out is no tar: {error}")))?;
        let evidence = [
            ("the file in the container", ran.stdout.text(), content.clone()),
            ("the file that came out", String::from_utf8_lossy(&back).into_owned(), content),
        ];
        Ok((judge("a file went in and came out", wanted(evidence)), ()))
    };
    nest.ledger.prove("cp", scenario).await;
}

/// A signal, the end, and the log of it all.
pub(super) async fn end(nest: &Nest<'_>, work: &mut Work) {
    let id = work.id.clone();
    let output = &mut work.output;
    nest.ledger
        .prove("kill", async {
            nest.api.kill(&id, "USR1").await?;
            output.line(inside::SIGNALLED).await?;
            Ok((Verdict::pass("SIGUSR1 reached the container").saw("standard output", inside::SIGNALLED), ()))
        })
        .await;
    nest.ledger
        .prove("stop", async {
            nest.api.stop(&id, GRACE_S).await?;
            let state = nest.api.state(&id).await?;
            // 137 would be the SIGKILL that follows when the time is up.
            let status = state.exit_code.map_or_else(|| "none".to_owned(), |status| status.to_string());
            let evidence = wanted([("exit status", status, STATUS.to_string())]);
            Ok((judge("a container that was asked to end ended by itself", evidence), ()))
        })
        .await;
    nest.ledger.prove("logs", logs(nest, &id)).await;
}

async fn logs(nest: &Nest<'_>, id: &str) -> Result<(Verdict, ()), Refused> {
    let (all, last) = futures_util::future::join(nest.api.logs(id, None), nest.api.logs(id, Some(1))).await;
    let (all, last) = (all?, last?);
    let own = |line: &&str| line.starts_with("dindcheck: ");
    let output = all.stdout.text();
    let lines: Vec<&str> = output.lines().filter(own).collect();
    let evidence = [
        ("standard output", lines.join(", "), [inside::READY, inside::SIGNALLED, inside::ENDED].join(", ")),
        ("standard error", all.stderr.text(), inside::READY.to_owned()),
        ("the last line", last.stdout.text(), inside::ENDED.to_owned()),
    ];
    Ok((judge("both streams can be read back, in order, whole and by lines", wanted(evidence)), ()))
}

/// The words that run our binary in a container.
fn command<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [image::PATH, inside::COMMAND].into_iter().chain(words.iter().copied()).collect()
}

fn wanted<const N: usize>(evidence: [(&str, String, String); N]) -> Vec<Evidence> {
    evidence
        .map(|(location, value, wanted)| Evidence { location: location.to_owned(), value, wanted: Some(wanted) })
        .to_vec()
}
