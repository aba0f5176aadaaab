//! image.command: what the image runs.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};
use crate::gate::image::Node;

pub(super) const CHECK: Check = Check {
    id: "image.command",
    docs: Docs {
        title: "what the image runs",
        motivation: "An image whose entrypoint is missing, or cannot be run, ends before anything else can be told.",
        looks_at: "Entrypoint and command of the image, the program that they name, and what has to run that.",
        remedy: "Name a program that is in the image: ENTRYPOINT [\"dindcheck\", \"--fix\"].",
        since: "1.0",
    },
    run,
};

fn run(Subject { image, .. }: Subject<'_>) -> Verdict {
    let words = image.words();
    let Some(first) = words.first() else {
        return Verdict::fail(Severity::Warning, "the image has neither an entrypoint nor a command")
            .because("docker run IMAGE is refused; its users have to know what to run.")
            .remedy("ENTRYPOINT [\"dindcheck\", \"--fix\"]");
    };
    let shown = words.join(" ");
    let Some((path, node)) = image.find(first) else {
        return Verdict::fail(Severity::Blocking, format!("{first} is not in the image, or cannot be run"))
            .saw_wanted(format!("PATH={}", image.path()), "no such program", first.clone())
            .because(format!("Every start ends with status 127 or 126; the image runs `{shown}`."))
            .remedy("COPY it into the image, or chmod +x it, or name another ENTRYPOINT");
    };
    if let Node::File { program: Some(program), .. } = node
        && program.architecture.is_none()
        && let Some(interpreter) = &program.interpreter
        && image.find(interpreter).is_none()
    {
        return Verdict::fail(Severity::Blocking, format!("{interpreter} is not in the image, and {first} needs it"))
            .saw_wanted(path, format!("#!{interpreter}"), "an interpreter that is there")
            .because("The kernel answers with ENOENT, as if the script itself were missing.")
            .remedy(format!("install what brings {interpreter}, or use an entrypoint that needs no shell"));
    }
    Verdict::pass(shown)
}
