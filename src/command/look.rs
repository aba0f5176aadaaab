//! The first half of every job: read the facts, choose the profile, judge.

use crate::check::around::Around;
use crate::check::{self, Selection};
use crate::cli::LookArgs;
use crate::command::Misuse;
use crate::engine::command::daemon_args;
use crate::engine::defaults::{self, Environment};
use crate::facts::netfilter::Wanted;
use crate::facts::nftables;
use crate::facts::places::Places;
use crate::facts::{Early, Fact, Facts, Request, Root, engine, outer};
use crate::finding::Finding;
use crate::fix::Fix;
use crate::fix::journal::{self, Journal};
use crate::profile::{Nftables, Outer, Profile, Profiles, outers};
use crate::version::{ApiVersion, EngineVersion};

/// The API of Docker 1.12: clients that are older than that are in no image of today.
const EVERY_CLIENT: ApiVersion = ApiVersion::new(1, 24);

/// What was found.
pub(super) struct Look {
    pub(super) facts: Facts,
    pub(super) profile: Profile,
    pub(super) findings: Vec<(Finding, Option<Fix>)>,
    /// What to read again after a mend, and the daemon's arguments without those of a mend; none for facts of another
    /// machine.
    request: Option<(Request, Vec<String>)>,
    selection: Selection,
    around: Around,
}

impl Look {
    /// Reads this machine, or the captured one below `root`, and judges it.
    pub(super) fn new(args: &LookArgs, root: Root, given_args: &[String]) -> anyhow::Result<Self> {
        let asked = engine::start(&root, args.inner.as_ref());
        let early = Early::start(&root);
        let profiles = Profiles::load(args.profile_dir.as_deref())?;
        let known = outers()?;
        let mut outer = outer::read(&root, &known);
        if let (Ok(outer), Some(said)) = (&mut outer, &args.outer) {
            outer.believe(said);
        }
        let around = around(&outer, &known, &profiles)?;
        let mut engine = asked.finish();
        let profile = choose(&profiles, engine.as_ref().ok().map(|engine| &engine.version))?;
        if let Ok(engine) = &mut engine {
            let names =
                [&profile.binaries_required.value, &profile.binaries_optional.value, &profile.binaries_rootless.value];
            let names: Vec<String> = names.into_iter().flatten().cloned().collect();
            engine.locate(&root, &names);
            let layers: Vec<&str> = outer.iter().flat_map(outer::Outer::layers).collect();
            let pairings = profile.runtime_bad_pairings.value.iter().filter(|pairing| pairing.holds_in(&layers));
            engine.ask_companions(&root, pairings.map(|pairing| pairing.program.as_str()));
        }
        let own_args = if root.is_live() {
            defaults::complete(given_args, &Environment::read(), &root)
        } else {
            daemon_args(given_args)
        };
        let places = Places::of(&root);
        let own = |paths: &[String]| paths.iter().map(|path| places.translate(path)).collect();
        let request = Request {
            daemon: profile.launch_command.value.clone(),
            ask_client: profile.api_min.value > EVERY_CLIENT,
            can_validate: profile.launch_can_validate.value,
            root: root.clone(),
            daemon_args: mended(&root, &own_args),
            soft_limits: soft_limits(&root),
            pidfiles: own(&profile.pidfiles.value),
            sockets: own(&profile.sockets.value),
            directories: profile.storage_directories.value.clone(),
            netfilter: Wanted {
                chains: profile.netfilter_chains.value.clone(),
                rules: profile.netfilter_rules.value.clone(),
                ip6tables: profile.netfilter_ip6tables_default.value,
                ipset: profile.netfilter_ipset.value,
                nftables: nftables(&profile),
            },
        };
        let facts = Facts::go_on(early, &request, engine, outer);
        Ok(Self::judge(facts, profile, Some((request, own_args)), around, args))
    }

    /// Judges facts that were read before, here or elsewhere.
    pub(super) fn of_facts(args: &LookArgs, mut facts: Facts) -> anyhow::Result<Self> {
        let profiles = Profiles::load(args.profile_dir.as_deref())?;
        let own = facts.engine.as_ref().ok().map(|engine| &engine.version);
        let profile = choose(&profiles, args.inner.as_ref().or(own))?;
        if let (Ok(outer), Some(said)) = (&mut facts.outer, &args.outer) {
            outer.believe(said);
        }
        let around = around(&facts.outer, &outers()?, &profiles)?;
        Ok(Self::judge(facts, profile, None, around, args))
    }

    fn judge(
        facts: Facts,
        profile: Profile,
        request: Option<(Request, Vec<String>)>,
        around: Around,
        args: &LookArgs,
    ) -> Self {
        let selection = Selection { only: args.only.clone(), skip: args.skip.clone() };
        let mut look = Self { facts, profile, findings: Vec::new(), request, selection, around };
        look.run_checks();
        look
    }

    fn run_checks(&mut self) {
        self.findings = check::run(&self.facts, &self.profile, &self.selection);
        self.findings.iter_mut().for_each(|(finding, _)| self.around.advise(finding));
    }

    /// Reads and judges again, after a mend. The engine's programs are the same.
    pub(super) fn again(&mut self) {
        if let Some((request, own_args)) = &mut self.request {
            request.daemon_args = mended(&request.root, own_args);
            request.soft_limits = soft_limits(&request.root);
            self.facts = Facts::read(request, self.facts.engine.clone(), self.facts.outer.clone());
        }
        self.run_checks();
    }

    /// Whether the daemon is not root's.
    pub(super) fn is_rootless(&self) -> bool {
        matches!(self.facts.rootless, Ok(Some(_)))
    }

    /// The profile alone; the rest is dropped.
    pub(super) fn into_profile(self) -> Profile {
        self.profile
    }

    /// The daemon's arguments: the user's, what they leave open, and what mends have added.
    pub(super) fn daemon_args(&self) -> &[String] {
        self.request.as_ref().map(|(request, _)| request.daemon_args.as_slice()).unwrap_or_default()
    }

    /// The soft limits that the daemon is given.
    pub(super) fn soft_limits(&self) -> &[(String, Option<u64>)] {
        self.request.as_ref().map(|(request, _)| request.soft_limits.as_slice()).unwrap_or_default()
    }

    /// The findings, without their fixes.
    pub(super) fn only_findings(&self) -> Vec<Finding> {
        self.findings.iter().map(|(finding, _)| finding.clone()).collect()
    }
}

/// The daemon's arguments with those that mends have added in this container.
fn mended(root: &Root, own: &[String]) -> Vec<String> {
    let added = if root.is_live() { Journal::at(journal::DEFAULT_PATH).flags() } else { Vec::new() };
    own.iter().cloned().chain(added).collect()
}

/// What this version writes with nft, where it is asked to.
fn nftables(profile: &Profile) -> Option<nftables::Wanted> {
    (profile.netfilter_nftables.value == Nftables::OptIn).then(|| nftables::Wanted {
        rules: profile.netfilter_nftables_rules.value.clone(),
        v6: profile.netfilter_ip6tables_default.value,
    })
}

/// The soft limits that mends have given to the daemon.
fn soft_limits(root: &Root) -> Vec<(String, Option<u64>)> {
    if root.is_live() { Journal::at(journal::DEFAULT_PATH).soft_limits() } else { Vec::new() }
}

/// Refuses to act outside of a container. This comes before anything is done.
pub(super) fn guard(root: &Root, force: bool) -> Result<(), Misuse> {
    let in_container = || outers().is_ok_and(|known| outer::read(root, &known).is_ok_and(|outer| outer.in_container));
    if force || in_container() {
        return Ok(());
    }
    Err(Misuse(
        "this looks like no container: what would be changed here is the host's own; \
         `dindcheck check` looks without changing anything, --force goes on all the same"
            .to_owned(),
    ))
}

/// What is around; nothing, where that cannot be read.
fn around(outer: &Fact<outer::Outer>, known: &[Outer], profiles: &Profiles) -> anyhow::Result<Around> {
    Ok(match outer {
        Ok(outer) => Around::new(outer, known, profiles)?,
        Err(_) => Around::default(),
    })
}

/// The profile of the version; of the newest, where the version is not known: a check says so.
pub(super) fn choose(profiles: &Profiles, version: Option<&EngineVersion>) -> anyhow::Result<Profile> {
    Ok(match version {
        Some(version) => profiles.resolve(version)?,
        None => profiles.resolve(&profiles.newest())?,
    })
}
