//! configuration.tls-files: the daemon's certificate and key.

use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::tls::PemFile;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "configuration.tls-files",
    docs: Docs {
        title: "the daemon's certificate and key",
        motivation: "A daemon that is told to use TLS reads its certificate, its key and the CA of its clients before \
                 anything else, and dies if one is missing, cannot be read or belongs to another: a volume that is \
                 not there, or --tlsverify without files, for which it looks in ~/.docker.",
        looks_at: "The files that the flags, daemon.json or the defaults name: whether each holds what it should, and \
               whether the key is the certificate's.",
        remedy: "Name files that are there, or set DOCKER_TLS_CERTDIR: then certificates are made.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let Some(files) = facts.tls.as_ref()? else {
        return Ok(Verdict::pass("the daemon is told of no files for TLS"));
    };
    let roles =
        [("--tlscert", Some(&files.certificate)), ("--tlskey", Some(&files.key)), ("--tlscacert", files.ca.as_ref())];
    let bad: Vec<(&str, &PemFile, &String)> =
        roles.into_iter().filter_map(|(flag, file)| Some((flag, file?, file?.problem.as_ref()?))).collect();
    let failed = |summary: String| Verdict::fail(Severity::Blocking, summary);
    let verdict = match bad.as_slice() {
        [] if files.fit == Some(false) => {
            let (certificate, key) = (&files.certificate.path, &files.key.path);
            failed(format!("the key {key} does not belong to the certificate {certificate}")).saw_wanted(
                "--tlskey",
                key.clone(),
                format!("the key of {certificate}"),
            )
        }
        [] => return Ok(Verdict::pass("certificate and key are there, and the daemon can read them")),
        [(flag, file, _)] => failed(format!("the daemon cannot use {} ({flag})", file.path)),
        more => {
            let paths: Vec<&str> = more.iter().map(|(_, file, _)| file.path.as_str()).collect();
            failed(format!("the daemon cannot use {}", paths.join(", ")))
        }
    };
    let verdict = bad.iter().fold(verdict, |verdict, (flag, file, problem)| {
        let location = if file.is_named { (*flag).to_owned() } else { format!("{flag}, by default") };
        verdict.saw(location, format!("{}: {problem}", file.path))
    });
    Ok(verdict
        .because(format!("Docker {} dies of it at once: it is told to use TLS.", profile.version))
        .remedy("mount or name the files (--tlscert, --tlskey, --tlscacert)")
        .remedy("or set DOCKER_TLS_CERTDIR=/certs: certificates are made there, and clients are asked for theirs")
        .source("moby v28.5.2 cmd/dockerd/daemon.go newAPIServerTLSConfig, cmd/dockerd/options.go setDefaultOptions"))
}
