//! The first half of every job: read the facts, choose the profile, judge.

use crate::check::around::Around;
use crate::check::{self, Selection};
use crate::cli::LookArgs;
use crate::command::Misuse;
use crate::diagnosis;
use crate::fact::{Fact, FactError, Root};
use crate::facts::configuration::{self, Configuration};
use crate::facts::engine::{self, Engine};
use crate::facts::netfilter::Wanted;
use crate::facts::nftables;
use crate::facts::places::Places;
use crate::facts::{EarlyProbes, Facts, PendingProbes, Request, outer};
use crate::finding::{Fate, Finding, Outcome, Severity};
use crate::fix::Fix;
use crate::fix::journal::{self, Journal};
use crate::probe::background::Background;
use crate::profile::{Nftables, Outer, Profile, Profiles, outers};
use crate::version::{ApiVersion, EngineVersion};

/// The API of Docker 1.12: clients that are older than that are in no image of today.
const EVERY_CLIENT: ApiVersion = ApiVersion::new(1, 24);

/// A root, and what is around it. This is read first of all: it says whether anything may be done here.
pub(super) struct Surroundings {
    root: Root,
    known: Vec<Outer>,
    outer: Fact<outer::Outer>,
}

impl Surroundings {
    /// Looks around.
    pub(super) fn read(root: Root) -> anyhow::Result<Self> {
        let known = outers()?;
        let outer = outer::read(&root, &known);
        Ok(Self { root, known, outer })
    }

    /// Refuses to act outside of a container. This comes before anything is done.
    pub(super) fn guard(&self, force: bool) -> Result<(), Misuse> {
        let doubt = match &self.outer {
            _ if force => return Ok(()),
            Ok(outer) if outer.in_container && outer.doubt.is_none() => return Ok(()),
            Ok(outer) => outer.doubt.as_ref().map(|doubt| format!(" ({doubt})")).unwrap_or_default(),
            Err(error) => format!(" ({error})"),
        };
        Err(Misuse(format!(
            "this looks like no container{doubt}: what would be changed here is the host's own; \
             `dindcheck check` looks without changing anything, --force overrides this"
        )))
    }
}

/// What was found.
pub(super) struct Look {
    pub(super) facts: Facts,
    pub(super) profile: Profile,
    pub(super) findings: Vec<(Finding, Option<Fix>)>,
    /// The machine; none for facts of another one.
    machine: Option<Machine>,
    selection: Selection,
    around: Around,
    /// Whether the user has allowed what reaches the host.
    host_allowed: bool,
}

/// What is looked at, and how far.
struct Machine {
    request: Request,
    /// What the user gave for the daemon.
    given: Vec<String>,
    /// What to choose from.
    profiles: Profiles,
    /// Whether a claim about the engine is believed, which was not asked itself.
    is_claimed: bool,
    /// Whether what only trying can tell was tried too.
    tried: bool,
    /// What is under way for that.
    trials: Option<Trials>,
}

/// What is asked and tried in the background for the second part of a look.
struct Trials {
    /// What the engine says of itself; none if that is known.
    asked: Option<Background<Engine>>,
    pending: PendingProbes,
}

impl Machine {
    fn start_trials(&self, facts: &Facts) -> Trials {
        let root = &self.request.root;
        let asked = self.is_claimed.then(|| engine::start(root, None));
        Trials { asked, pending: facts.start_trials(EarlyProbes::start(root), &self.request) }
    }
}

impl Look {
    /// What a diagnosis of this engine's log has to know beside it.
    pub(super) fn beside_log(&self) -> diagnosis::Options {
        let engine = self.facts.engine.as_ref().ok().map(|engine| engine.version.clone());
        let outer = self.facts.outer.as_ref().ok();
        let places = outer.into_iter().flat_map(outer::Outer::layers).map(str::to_owned).collect();
        let failed =
            self.findings.iter().map(|(finding, _)| finding).filter(|finding| finding.outcome == Outcome::Fail);
        diagnosis::Options { engine, places, failed: failed.map(|finding| finding.id.to_owned()).collect() }
    }

    /// Reads this machine, or the captured one below `root`, tries what only trying can tell, and judges it.
    pub(super) fn new(args: &LookArgs, root: Root, given_args: &[String]) -> anyhow::Result<Self> {
        let asked = engine::start(&root, args.inner.as_ref());
        let early = EarlyProbes::start(&root);
        Self::begin(args, Surroundings::read(root)?, given_args, asked, Some(early))
    }

    /// The first part: reads, and judges by that. A claim about the engine's version is believed until
    /// [`Look::full`], which is for the rest.
    pub(super) fn quick(
        args: &LookArgs,
        around: Surroundings,
        given_args: &[String],
        claimed: Option<Engine>,
    ) -> anyhow::Result<Self> {
        let claimed = claimed.filter(|_| args.inner.is_none());
        let is_claimed = claimed.is_some();
        let asked = match claimed {
            Some(engine) => Background::Done(Ok(engine)),
            None => engine::start(&around.root, args.inner.as_ref()),
        };
        let mut look = Self::begin(args, around, given_args, asked, None)?;
        look.machine.iter_mut().for_each(|machine| machine.is_claimed = is_claimed);
        Ok(look)
    }

    fn begin(
        args: &LookArgs,
        Surroundings { root, known, mut outer }: Surroundings,
        given_args: &[String],
        asked: Background<Engine>,
        early: Option<EarlyProbes>,
    ) -> anyhow::Result<Self> {
        let profiles = Profiles::load(args.profile_dir.as_deref())?;
        if let (Ok(outer), Some(said)) = (&mut outer, &args.outer) {
            outer.believe(said);
        }
        let around = around(&outer, &known, &profiles)?;
        let mut engine = asked.finish();
        let profile = choose(&profiles, engine.as_ref().ok().map(|engine| &engine.version))?;
        complete_engine(&mut engine, &profile, &root, &outer);
        let request = request(&root, &profile, given_args, engine.as_ref().ok());
        let reading = Facts::read(&request, engine, outer);
        let tried = early.is_some();
        let mut facts = reading.finish(early, &request);
        ask_in_question(&mut facts, &profile, &request.root);
        let given = given_args.to_vec();
        let machine = Machine { request, given, profiles, is_claimed: false, tried, trials: None };
        Ok(Self::judge(facts, profile, Some(machine), around, args))
    }

    /// Starts in the background what the second part waits for.
    pub(super) fn start_trials(&mut self) {
        if let Some(machine) = &mut self.machine {
            machine.trials = Some(machine.start_trials(&self.facts));
        }
    }

    /// The second part: tries what only trying can tell, hears what the engine says of itself, and judges by all of it.
    /// Gives whose word was wrong if the first part was about another engine: only [`Look::recheck`] makes it whole then.
    pub(super) fn full(&mut self) -> anyhow::Result<Option<String>> {
        let Some(machine) = &mut self.machine else { return Ok(None) };
        let Trials { asked, pending } = machine.trials.take().unwrap_or_else(|| machine.start_trials(&self.facts));
        let root = &machine.request.root;
        let mut wrong = None;
        if let Some(asked) = asked {
            let mut engine = asked.finish();
            let profile = choose(&machine.profiles, engine.as_ref().ok().map(|engine| &engine.version))?;
            if !profile.wants_the_same(&self.profile) {
                wrong = self.facts.engine.as_ref().ok().map(|claimed| claimed.said_by.clone());
            }
            complete_engine(&mut engine, &profile, root, &self.facts.outer);
            machine.request = request(root, &profile, &machine.given, engine.as_ref().ok());
            machine.is_claimed = false;
            self.facts.engine = engine;
            self.profile = profile;
        }
        let netfilter = self.facts.start_netfilter(&machine.request);
        self.facts.finish(pending, netfilter);
        machine.tried = true;
        ask_in_question(&mut self.facts, &self.profile, &machine.request.root);
        self.run_checks();
        Ok(wrong)
    }

    /// Judges facts that were read before, here or elsewhere.
    pub(super) fn of_facts(args: &LookArgs, mut facts: Facts) -> anyhow::Result<Self> {
        let profiles = Profiles::load(args.profile_dir.as_deref())?;
        match (&mut facts.engine, &args.inner) {
            (Ok(engine), Some(given)) => engine.believe(given),
            (engine, Some(given)) => *engine = Ok(Engine::given(given)),
            (_, None) => {}
        }
        let profile = choose(&profiles, facts.engine.as_ref().ok().map(|engine| &engine.version))?;
        if let (Ok(outer), Some(said)) = (&mut facts.outer, &args.outer) {
            outer.believe(said);
        }
        let around = around(&facts.outer, &outers()?, &profiles)?;
        Ok(Self::judge(facts, profile, None, around, args))
    }

    /// Judges facts of another machine as they are, by all checks.
    pub(super) fn of_facts_alone(facts: Facts) -> anyhow::Result<Self> {
        let profiles = Profiles::load(None)?;
        let profile = choose(&profiles, facts.engine.as_ref().ok().map(|engine| &engine.version))?;
        let around = around(&facts.outer, &outers()?, &profiles)?;
        let selection = Selection { only: Vec::new(), skip: Vec::new() };
        Ok(Self::judged(facts, profile, None, around, selection))
    }

    fn judge(facts: Facts, profile: Profile, machine: Option<Machine>, around: Around, args: &LookArgs) -> Self {
        let selection = Selection { only: args.only.clone(), skip: args.skip.clone() };
        Self::judged(facts, profile, machine, around, selection)
    }

    fn judged(facts: Facts, profile: Profile, machine: Option<Machine>, around: Around, selection: Selection) -> Self {
        let mut look = Self { facts, profile, findings: Vec::new(), machine, selection, around, host_allowed: false };
        look.run_checks();
        look
    }

    /// The first check that was left out (--skip, --only) and foretells that the daemon dies.
    pub(super) fn left_out(&self) -> Option<Finding> {
        let ids = check::CHECKS.iter().map(|check| check.id).filter(|id| !self.selection.has(id));
        let selection = Selection { only: ids.map(str::to_owned).collect(), skip: Vec::new() };
        // An empty selection is all of them.
        let findings =
            if selection.only.is_empty() { Vec::new() } else { check::run(&self.facts, &self.profile, &selection) };
        let mut finding =
            findings.into_iter().map(|(finding, _)| finding).find(|finding| finding.foretells == Fate::Dies)?;
        self.around.advise(&mut finding);
        Some(finding)
    }

    fn run_checks(&mut self) {
        self.findings = check::run(&self.facts, &self.profile, &self.selection);
        self.findings.iter_mut().for_each(|(finding, _)| self.around.advise(finding));
        self.heed_permission();
    }

    /// Takes the user's word that the host may be changed: what would change it blocks no more, and is still reported.
    pub(super) fn allow_host_changes(&mut self, allowed: bool) {
        self.host_allowed = allowed;
        self.heed_permission();
    }

    fn heed_permission(&mut self) {
        if self.host_allowed {
            self.findings.iter_mut().for_each(|(finding, _)| permit(finding));
        }
    }

    /// Reads and judges again, after a mend, as far as before. The engine's programs are the same.
    pub(super) fn recheck(&mut self) {
        if let Some(Machine { request, given, tried, .. }) = &mut self.machine {
            request.configuration = configured(&request.root, given, self.facts.engine.as_ref().ok());
            request.soft_limits = soft_limits(&request.root);
            let early = tried.then(|| EarlyProbes::start(&request.root));
            let reading = self.facts.read_again(request);
            self.facts = reading.finish(early, request);
        }
        self.run_checks();
    }

    /// Whether any of what is known speaks against a start.
    pub(super) fn blocks(&self, strict: bool) -> bool {
        self.findings.iter().any(|(finding, _)| finding.blocks(strict))
    }

    /// Whether the daemon is not root's.
    pub(super) fn is_rootless(&self) -> bool {
        matches!(self.facts.rootless, Ok(Some(_)))
    }

    /// What the daemon is told: by the user, by variables, by mends.
    pub(super) fn configuration(&self) -> Result<&Configuration, FactError> {
        self.facts.configuration.as_ref().map_err(FactError::clone)
    }

    /// The soft limits that the daemon is given.
    pub(super) fn soft_limits(&self) -> &[(String, Option<u64>)] {
        self.machine.as_ref().map(|machine| machine.request.soft_limits.as_slice()).unwrap_or_default()
    }

    /// The findings, without their fixes.
    pub(super) fn only_findings(&self) -> Vec<Finding> {
        self.findings.iter().map(|(finding, _)| finding.clone()).collect()
    }
}

/// Finds the programs of the engine, and asks those companions that are known not to work everywhere.
fn complete_engine(engine: &mut Fact<Engine>, profile: &Profile, root: &Root, outer: &Fact<outer::Outer>) {
    let Ok(engine) = engine else { return };
    let names = [&profile.binaries_required.value, &profile.binaries_optional.value, &profile.binaries_rootless.value];
    let names: Vec<String> = names.into_iter().flatten().cloned().collect();
    engine.locate(root, &names);
    let layers: Vec<&str> = outer.iter().flat_map(outer::Outer::layers).collect();
    let pairings = profile.runtime_bad_pairings.value.iter().filter(|pairing| pairing.holds_in(&layers));
    engine.ask_companions(root, pairings.map(|pairing| pairing.program.as_str()));
}

/// Asks the companions whose version decides whether something that was refused matters.
fn ask_in_question(facts: &mut Facts, profile: &Profile, root: &Root) {
    let programs = check::companions_in_question(facts, profile);
    if let Ok(engine) = &mut facts.engine {
        engine.ask_companions(root, programs.into_iter());
    }
}

/// What there is to look at for this engine.
fn request(root: &Root, profile: &Profile, given: &[String], engine: Option<&Engine>) -> Request {
    let configuration = configured(root, given, engine);
    let own = |paths: &[String]| own_paths(root, configuration.as_ref().ok(), paths);
    Request {
        daemon: profile.launch_command.value.clone(),
        ask_client: profile.api_min.value > EVERY_CLIENT,
        can_validate: profile.launch_can_validate.value,
        root: root.clone(),
        soft_limits: soft_limits(root),
        pidfiles: own(&profile.pidfiles.value),
        sockets: own(&profile.sockets.value),
        directories: profile.storage_directories.value.clone(),
        configuration: configuration.clone(),
        image_store: profile.storage_image_store.value,
        drivers: profile.graph_drivers().map(str::to_owned).collect(),
        netfilter: Wanted {
            chains: profile.netfilter_chains.value.clone(),
            rules: profile.netfilter_rules.value.clone(),
            ip6tables: profile.netfilter_ip6tables_default.value,
            ipset: profile.netfilter_ipset.value,
            nftables: nftables(profile),
        },
    }
}

/// What the daemon is told, with the flags that mends have added in this container.
fn configured(root: &Root, given: &[String], engine: Option<&Engine>) -> Fact<Configuration> {
    let added = if root.is_live() { Journal::at(journal::DEFAULT_PATH).flags() } else { Vec::new() };
    configuration::read(root, &Places::of(root), given, &added, engine.map(|engine| &engine.version))
}

/// Where this daemon has what root's has at these paths by default.
pub(super) fn own_paths(root: &Root, configuration: Option<&Configuration>, paths: &[String]) -> Vec<String> {
    let places = Places::of(root);
    let own = |path: &String| {
        let moved = configuration.and_then(|configuration| configuration.moved(path));
        moved.unwrap_or_else(|| places.translate(path))
    };
    paths.iter().map(own).collect()
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

/// Lets what would change the host block no more.
fn permit(finding: &mut Finding) {
    if finding.id == "network.namespace" {
        finding.severity = finding.severity.min(Severity::Warning);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::path::Path;

    use clap::Parser as _;
    use tempfile::TempDir;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::facts::rootless::Rootless;
    use crate::finding::Verdict;

    /// Capabilities: all of them, and those of a container without privileges.
    const ALL: &str = "000001ffffffffff";
    const FEW: &str = "00000000a80425fb";

    /// A container of Docker's as a captured machine: of root's, with all privileges and no cgroup mounts; `more` are
    /// further files, or other ones.
    pub(in crate::command) fn captured(more: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let status = status(ALL, 0);
        let files = [
            (".dockerenv", ""),
            ("proc/1/cgroup", CGROUP),
            ("proc/self/cgroup", CGROUP),
            ("proc/self/mountinfo", "27 1 254:0 / / rw - ext4 /dev/vda rw\n"),
            ("proc/self/status", &status),
            ("proc/self/uid_map", "0 0 4294967295\n"),
        ];
        for (path, content) in files.iter().chain(more) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    const CGROUP: &str = concat!(
        "5:devices:/docker/0212499ca66c49cbd874401158703df33f3144f698267f504205e4cc767c0f68\n",
        "4:memory:/docker/0212499ca66c49cbd874401158703df33f3144f698267f504205e4cc767c0f68\n",
        "1:cpu:/docker/0212499ca66c49cbd874401158703df33f3144f698267f504205e4cc767c0f68\n",
    );

    fn status(capabilities: &str, seccomp: u8) -> String {
        format!("Uid:\t0\t0\t0\t0\nCapEff:\t{capabilities}\nCapBnd:\t{capabilities}\nSeccomp:\t{seccomp}\n")
    }

    /// The same without privileges.
    fn unprivileged() -> TempDir {
        captured(&[("proc/self/status", &status(FEW, 2))])
    }

    fn args(words: &[&str]) -> LookArgs {
        let line = ["dindcheck", "check"].iter().chain(words);
        match Cli::try_parse_from(line).unwrap().command {
            Some(Command::Check(args)) => args.look,
            other => panic!("{other:?}"),
        }
    }

    /// A look at a captured machine with Docker 28.5.2 in it.
    pub(in crate::command) fn look(root: &Path, words: &[&str]) -> Look {
        Look::new(&args(&[&["--inner", "28.5.2"], words].concat()), Root::new(root), &[]).unwrap()
    }

    #[test]
    fn what_is_permitted_is_a_warning_at_most_and_nothing_else_changes() {
        for (id, before, after) in [
            ("network.namespace", Severity::Blocking, Severity::Warning),
            ("network.namespace", Severity::Info, Severity::Info),
            ("network.subnets", Severity::Blocking, Severity::Blocking),
        ] {
            let mut finding = Finding::new(id, "a title", Verdict::fail(before, "it is so"), None);
            permit(&mut finding);
            assert_eq!(finding.severity, after, "{id}");
        }
    }

    #[test]
    fn nothing_is_done_outside_of_a_container_or_where_that_is_doubtful() {
        let outer = |in_container, doubt: Option<&str>| {
            let doubt = doubt.map(str::to_owned);
            Ok(outer::Outer { in_container, doubt, ..outer::Outer::default() })
        };
        let unread = || Err(FactError::new("read", "/proc/1/cgroup", "on purpose"));
        for (outer, refused) in [
            (outer(true, None), None),
            (outer(true, Some("it is odd")), Some("this looks like no container (it is odd): ")),
            (outer(false, None), Some("this looks like no container: ")),
            (outer(false, Some("it is odd")), Some("this looks like no container (it is odd): ")),
            (unread(), Some("this looks like no container (cannot read /proc/1/cgroup: on purpose): ")),
        ] {
            let around = Surroundings { root: Root::new("/nonexistent"), known: Vec::new(), outer };
            let error = around.guard(false).err().map(|Misuse(text)| text);
            assert_eq!(error.is_some(), refused.is_some(), "{error:?}");
            assert!(error.unwrap_or_default().starts_with(refused.unwrap_or_default()), "{refused:?}");
            assert!(around.guard(true).is_ok(), "{refused:?}");
        }
    }

    #[test]
    fn a_diagnosis_knows_the_engine_what_is_around_and_what_has_failed() {
        let machine = unprivileged();
        let options = look(machine.path(), &["--only", "privileges.capabilities,engine.profile"]).beside_log();
        assert_eq!(options.engine, Some("28.5.2".parse().unwrap()));
        assert_eq!(options.places, ["docker"]);
        assert_eq!(options.failed, ["privileges.capabilities"]);
    }

    #[test]
    fn what_was_left_out_is_told_where_the_daemon_dies_of_it() {
        const DIES: &str = "privileges.capabilities";
        let machine = unprivileged();
        let left_out = |words: &[&str]| look(machine.path(), words).left_out().map(|finding| finding.id);
        assert_eq!(left_out(&[]), None);
        assert_eq!(left_out(&["--skip", DIES]), Some(DIES));
        assert_eq!(left_out(&["--only", "engine.profile"]), Some(DIES));
        // The daemon works with it.
        assert_eq!(left_out(&["--skip", "privileges.seccomp"]), None);
        // It is told as it would be found: in the words of what is around.
        let finding = look(machine.path(), &["--skip", DIES]).left_out().unwrap();
        let found = look(machine.path(), &["--only", DIES]).only_findings().remove(0);
        assert_eq!((finding.summary, finding.remedy), (found.summary, found.remedy));
    }

    #[test]
    fn a_warning_blocks_where_it_is_taken_seriously() {
        let machine = unprivileged();
        let blocks = |only: &str| {
            let look = look(machine.path(), &["--only", only]);
            [false, true].map(|strict| look.blocks(strict))
        };
        assert_eq!(blocks("privileges.capabilities"), [true, true]);
        assert_eq!(blocks("privileges.seccomp"), [false, true]);
        assert_eq!(blocks("engine.profile"), [false, false]);
    }

    #[test]
    fn what_the_user_allows_on_the_host_blocks_no_more_now_and_later() {
        let machine = captured(&[]);
        let mut look = look(machine.path(), &["--only", "network.namespace"]);
        let verdict = || Verdict::fail(Severity::Blocking, "it is the host's");
        look.findings = vec![(Finding::new("network.namespace", "a title", verdict(), None), None)];
        look.allow_host_changes(false);
        assert!(look.blocks(false));
        look.allow_host_changes(true);
        assert!(!look.blocks(false));
        assert_eq!(look.only_findings()[0].severity, Severity::Warning);
    }

    #[test]
    fn a_mended_machine_is_read_again() {
        let machine = captured(&[("var/run/docker.pid", "99999")]);
        let mut look = look(machine.path(), &["--only", "leftovers.pidfile"]);
        let outcome = |look: &Look| look.only_findings()[0].outcome;
        assert_eq!(outcome(&look), Outcome::Fail);
        fs::remove_file(machine.path().join("var/run/docker.pid")).unwrap();
        assert_eq!(outcome(&look), Outcome::Fail);
        look.recheck();
        assert_eq!(outcome(&look), Outcome::Pass);
    }

    #[test]
    fn the_second_part_tells_whose_word_was_wrong_about_the_engine() {
        let machine = captured(&[]);
        let newest = Profiles::load(None).unwrap().newest().to_string();
        let newest = newest.as_str();
        let around = || Surroundings::read(Root::new(machine.path())).unwrap();
        // There is no engine in it: it is judged as the newest then, unless the user has told.
        for (given, claimed, first, second, wrong) in [
            (&[][..], Some("1.9.1"), "1.9.1", newest, Some("DOCKER_VERSION")),
            (&[], Some(newest), newest, newest, None),
            (&[], None, newest, newest, None),
            (&["--inner", "1.9.1"], Some("28.5.2"), "1.9.1", "1.9.1", None),
        ] {
            let claim = |version: &str| Engine {
                said_by: "DOCKER_VERSION".to_owned(),
                ..Engine::given(&version.parse().unwrap())
            };
            let mut look = Look::quick(&args(given), around(), &[], claimed.map(claim)).unwrap();
            assert_eq!(look.profile.version.to_string(), first);
            let untried = look.facts.validation.as_ref().unwrap_err().to_string();
            assert!(untried.contains("there was no time for it yet"), "{untried}");
            look.start_trials();
            assert!(look.machine.as_ref().unwrap().trials.is_some());
            assert_eq!(look.full().unwrap().as_deref(), wrong, "{claimed:?}");
            assert_eq!(look.profile.version.to_string(), second);
            let tried = look.facts.validation.as_ref().map(drop).map_err(ToString::to_string);
            assert_ne!(tried, Err(untried));
        }
    }

    #[test]
    fn what_the_daemon_is_told_and_given_is_that_of_the_request() {
        let machine = captured(&[]);
        let words = ["--mtu", "1400"].map(str::to_owned);
        let mut look = Look::new(&args(&["--inner", "28.5.2"]), Root::new(machine.path()), &words).unwrap();
        assert_eq!(look.configuration().unwrap().text("mtu"), Some("1400"));
        assert!(look.soft_limits().is_empty());
        let limits = vec![("nofile".to_owned(), Some(7)), ("nproc".to_owned(), None)];
        look.machine.as_mut().unwrap().request.soft_limits.clone_from(&limits);
        assert_eq!(look.soft_limits(), limits);
        look.machine = None;
        assert!(look.soft_limits().is_empty());
        look.facts.configuration = Err(FactError::new("read", "/etc/docker/daemon.json", "on purpose"));
        assert!(look.configuration().is_err());
    }

    #[test]
    fn a_daemon_is_roots_unless_the_way_of_a_user_is_known() {
        let machine = captured(&[]);
        let mut look = look(machine.path(), &["--only", "engine.profile"]);
        assert!(!look.is_rootless());
        look.facts.rootless = Ok(Some(Rootless::of("pasta")));
        assert!(look.is_rootless());
        look.facts.rootless = Err(FactError::new("parse", "DINDCHECK_ROOTLESS", "on purpose"));
        assert!(!look.is_rootless());
    }
}
