//! image.libc: processor and C library.

use super::{Check, Subject};
use crate::check::Docs;
use crate::finding::{Severity, Verdict};
use crate::gate::image::{Node, Program};

pub(super) const CHECK: Check = Check {
    id: "image.libc",
    docs: Docs {
        title: "processor and C library",
        motivation: "A program for another processor, or one linked against glibc in an image with musl, cannot be \
                     run, and the error is a misleading \"no such file or directory\".",
        looks_at: "The ELF headers of the engine's programs: the machine, and the dynamic linker that has to be there.",
        remedy: "Take the programs for this processor and this C library, or the static ones.",
        since: "1.0",
    },
    run,
};

fn run(Subject { image, profile, .. }: Subject<'_>) -> Verdict {
    let mut kinds: Vec<&str> = Vec::new();
    for name in &profile.binaries_required.value {
        let Some((path, Node::File { program: Some(Program { architecture: Some(own), interpreter, .. }), .. })) =
            image.find(name)
        else {
            continue;
        };
        let wanted = image.config.architecture.as_str();
        if !wanted.is_empty() && own != wanted {
            return Verdict::fail(Severity::Blocking, format!("{name} is for {own}, and the image for {wanted}"))
                .saw_wanted(path, own.clone(), wanted)
                .because("The kernel refuses it with \"exec format error\".")
                .remedy(format!("install the {name} for {wanted}"));
        }
        let kind = match interpreter.as_deref() {
            None => "static",
            Some(linker) if image.find(linker).is_none() => {
                return Verdict::fail(Severity::Blocking, format!("{name} needs {linker}, which is not in the image"))
                    .saw_wanted(path, linker, "a dynamic linker that is there")
                    .because("It was built for another C library; running it gives \"no such file or directory\".")
                    .remedy("install the engine's packages of this distribution, or the static programs");
            }
            Some(linker) if linker.contains("musl") => "musl",
            Some(_) => "glibc",
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    match kinds.as_slice() {
        [] => Verdict::not_applicable("there is no program to look at"),
        kinds => Verdict::pass(kinds.join(", ")),
    }
}
