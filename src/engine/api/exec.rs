//! More processes in a running container.

use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::query_parameters::ResizeExecOptionsBuilder;
use futures_util::TryStreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::container::{Run, spread};
use super::{Api, ApiError};

/// A process that is wanted in a container.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exec<'a> {
    /// Its command.
    pub command: &'a [&'a str],
    /// Its user, as `docker exec --user` takes it; `None`: the container's.
    pub user: Option<&'a str>,
    /// What it gets on its standard input.
    pub input: &'a [u8],
    /// The height and width of its terminal; `None` if it has no terminal.
    pub terminal: Option<(i32, i32)>,
}

impl Api {
    /// Runs a process in a container to its end.
    ///
    /// # Errors
    /// The daemon's error.
    pub async fn exec(&self, container: &str, exec: Exec<'_>) -> Result<Run, ApiError> {
        let failed = |error| ApiError::new("run a command in the test container", error);
        let options = CreateExecOptions {
            cmd: Some(exec.command.to_vec()),
            user: exec.user,
            tty: Some(exec.terminal.is_some()),
            attach_stdin: (!exec.input.is_empty()).then_some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let id = self.docker.create_exec(container, options).await.map_err(failed)?.id;
        let start = StartExecOptions { tty: exec.terminal.is_some(), ..StartExecOptions::default() };
        let StartExecResults::Attached { mut output, mut input } =
            self.docker.start_exec(&id, Some(start)).await.map_err(failed)?
        else {
            return Err(ApiError::odd("run a command in the test container", "the daemon detached it"));
        };
        if !exec.input.is_empty() {
            // One that has ended already says so by its status.
            let _ = input.write_all(exec.input).await;
            let _ = input.shutdown().await;
        }
        let mut pieces = Vec::new();
        if let Some((height, width)) = exec.terminal {
            // Engines up to 1.8 fall over a size for a terminal that is not there yet (moby v1.8.3 daemon/exec.go, Resize);
            // what comes out of it shows that it is.
            pieces.extend(output.try_next().await.map_err(failed)?);
            let size = ResizeExecOptionsBuilder::new().h(height).w(width).build();
            self.docker.resize_exec(&id, size).await.map_err(|e| ApiError::new("set the terminal's size", e))?;
        }
        pieces.extend(output.try_collect::<Vec<_>>().await.map_err(failed)?);
        let ended = self.docker.inspect_exec(&id).await.map_err(failed)?;
        Ok(Run { status: ended.exit_code.unwrap_or(-1), ..spread(&pieces) })
    }
}
