//! `redrill reap`: where to look, which journals there are, and which world it is.

use super::estate;
use super::journals::{InS3, Journals};
use super::load::scenario_files;
use super::organisation::InForce;
use super::output::Output;
use super::reaped::{Outcome, Row, Summary};
use super::runs::Store;
use super::world::{self, Target};
use crate::action::Registry;
use crate::cli::{Format, ReapArgs};
use crate::engine::World;
use crate::error::{Error, ExitCode, Result};
use crate::ids::{RunId, SiteName};
use crate::organisation::Exceeded;
use crate::outside::{Concealing, Secrets};
use crate::providers;
use crate::reap::{self, Decision, Leftover, Lookout, NotAsked, Sought};
use crate::scenario::{self, Site};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// `redrill reap`
pub(super) fn reap(args: &ReapArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    if args.run.as_ref().is_some_and(|run| run.starts_with("s3://")) {
        return Err(Error::bad_input("--run names a run, not an address")
            .help("write --store s3://BUCKET/PREFIX --run RUN"));
    }
    if args.all && !args.yes && !args.dry_run {
        let what = "--all removes what has not expired yet, also of runs of other people";
        return Err(Error::bad_input(what)
            .help("look at it with --all --dry-run, then confirm it with --all --yes"));
    }
    let registry = providers::registry();
    let limits = InForce::of(&args.limits, output)?;
    let mut places = Places::default();
    places.of_scenarios(args, &registry)?;
    let target = target(args, &places)?;
    let mut journals = Journals::read(store, &target);
    let only = args.run.as_ref().map(|run| journals.run_named(run, store)).transpose()?;
    let runtime = target.runtime()?;
    if let Some(url) = &args.store {
        let store = InS3 { url, region: args.store_region.as_deref() };
        runtime.block_on(journals.read_store(&store, only.as_ref(), &target, output))?;
    }
    only.iter().for_each(|run| journals.note_if_unknown(run));
    if places.sites.is_empty() {
        places.of_journals(&journals, only.as_ref());
    }
    if places.sites.is_empty() {
        return Err(nowhere(&journals));
    }
    // A rehearsal touches nothing, so it may look anywhere.
    let limits = if target.kind().is_rehearsal() { InForce::default() } else { limits };
    journals.unread.extend(places.hold_to(&limits)?);
    let summary = runtime.block_on(async {
        let session = "redrill-reap";
        let world = world::open_sites(target, &places.sites, session, store.root()).await?;
        let (notes, last) = (*output, Mutex::new(String::new()));
        let lookout = lookout(&world, registry);
        let secrets = lookout.outside.secrets();
        let lookout = Lookout {
            canaries: places.canaries.clone(),
            only,
            all: args.all,
            dry_run: args.dry_run,
            forbids: Arc::new(move |site, account| {
                limits.account(site, account).map(|exceeded| not_allowed(&exceeded))
            }),
            progress: Arc::new(move |text| {
                // A long wait says the same again and again.
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if *last != text {
                    notes.note(&format!("  {}", secrets.conceal(text)));
                    text.clone_into(&mut last);
                }
            }),
            ..lookout
        };
        Ok::<_, Error>(look_and_remove(args, &lookout, (&journals, &places), output).await)
    })?;
    match args.format {
        Format::Json => output.json(&summary.json())?,
        Format::Text => output.print(&summary.text())?,
    }
    Ok(summary.exit_code())
}

fn lookout(world: &World, registry: Registry) -> Lookout {
    Lookout {
        registry,
        sessions: world.sessions.clone(),
        clock: world.clock.clone(),
        outside: Arc::new(Concealing::new(world.outside.clone())),
        canaries: Vec::new(),
        only: None,
        all: false,
        dry_run: false,
        forbids: Arc::new(|_, _| None),
        progress: Arc::new(|_| {}),
    }
}

async fn look_and_remove(
    args: &ReapArgs,
    lookout: &Lookout,
    (journals, places): (&Journals, &Places),
    output: &Output,
) -> Summary {
    let mut gathered = reap::gather(lookout, &journals.past).await;
    gathered.notes.extend(places.retired(&mut gathered.not_asked));
    let now = lookout.clock.now();
    let mut rows = Vec::new();
    for mut leftover in gathered.leftovers {
        let outcome = match &leftover.decision {
            Decision::Stay(why) => Outcome::Stays(why.clone()),
            Decision::Unclear(why) => Outcome::Left { why: why.clone(), refused: false },
            Decision::Remove if args.dry_run => Outcome::WouldBeRemoved,
            Decision::Remove => remove(lookout, journals, &mut leftover, output).await,
        };
        rows.push(Row { leftover, outcome });
    }
    let unread = journals.unread.iter().cloned();
    let not_asked = unread.chain(gathered.not_asked).collect();
    let sites = lookout.sessions.keys().map(ToString::to_string).collect();
    let notes = [journals.notes.clone(), gathered.notes].concat();
    let (dry_run, only) = (args.dry_run, lookout.only.clone());
    let mut summary = Summary { now, sites, dry_run, only, rows, not_asked, notes };
    conceal(&lookout.outside.secrets(), &mut summary);
    summary
}

/// A service, or somebody in its place, may repeat what it was called with, also in what it says is there.
fn conceal(secrets: &Secrets, summary: &mut Summary) {
    let text = |text: &mut String| *text = secrets.conceal(text);
    for Row { leftover, outcome } in &mut summary.rows {
        text(&mut leftover.key.name);
        text(&mut leftover.id);
        text(&mut leftover.state);
        text(&mut leftover.command);
        leftover.scenario.iter_mut().for_each(text);
        match outcome {
            Outcome::Gone(why) | Outcome::Stays(why) | Outcome::Left { why, .. } => text(why),
            Outcome::WouldBeRemoved => {}
        }
    }
    for one in &mut summary.not_asked {
        if let Sought::One(what) = &mut one.what {
            text(what);
        }
        text(&mut one.why);
    }
    summary.notes.iter_mut().for_each(text);
}

/// Removes a leftover, unless a process has taken its run over, before or meanwhile, or has since done more of it.
pub(super) async fn remove(
    lookout: &Lookout,
    journals: &Journals,
    leftover: &mut Leftover,
    output: &Output,
) -> Outcome {
    let at_work = || Outcome::Stays("a process has taken its run over".to_owned());
    match journals.was_taken_over(&leftover.run).await {
        Ok(false) => {}
        Ok(true) => return at_work(),
        Err(error) => {
            let why = format!("whether somebody has taken its run over is not known: {error}");
            return Outcome::Left { why, refused: false };
        }
    }
    let removing = format!("removing {}", leftover.key);
    output.note(&lookout.outside.secrets().conceal(&removing));
    let lock = journals.lock(&leftover.run).await;
    // A removal may take hours. Whoever takes the run over meanwhile ends it alone.
    let removed = tokio::select! {
        biased;
        removed = reap::remove(lookout, &journals.past, leftover, lock) => removed,
        () = journals.taken_over(&leftover.run, &lookout.clock) => reap::Removal::RunAtWork,
    };
    match removed {
        reap::Removal::Gone(how) => Outcome::Gone(how),
        reap::Removal::Left { why, command, refused, .. } => {
            // What was ours when it was found may be another run's by now.
            leftover.command = command;
            Outcome::Left { why, refused }
        }
        reap::Removal::RunAtWork => at_work(),
        reap::Removal::RunChanged => Outcome::Stays(
            "the journal of its run has changed since it was read: run redrill reap again"
                .to_owned(),
        ),
    }
}

fn target(args: &ReapArgs, places: &Places) -> Result<Target> {
    if let Some(url) = &args.target.endpoint_url {
        return Ok(Target::Endpoint(url.clone()));
    }
    if !args.target.sandbox {
        return Ok(Target::Real);
    }
    let path = match (&places.first, &args.target.estate) {
        (Some((path, name)), wanted) => estate::path_for(path, name, wanted.as_deref())?,
        (None, Some(file)) => PathBuf::from(file),
        (None, None) => {
            return Err(Error::bad_input("there is no estate to look at")
                .help("name a scenario, whose estate lies beside it, or --estate FILE"));
        }
    };
    let estate = Box::new(estate::read(&path)?);
    Ok(Target::Sandbox { estate, faults: estate::faults(&args.target.faults)? })
}

fn not_allowed(exceeded: &Exceeded) -> String {
    format!("not looked at, as the limits of the organisation say: {exceeded}")
}

/// Nothing names a site: nobody said one, and no journal did, or none that can be read.
fn nowhere(journals: &Journals) -> Error {
    let help = "name scenario files whose sites are meant, or --site REGION=ACCOUNT/ROLE; runs that lie in the runs folder name theirs";
    if journals.unread.is_empty() {
        let notes: Vec<String> = journals.notes.iter().map(|note| format!("; {note}")).collect();
        let what = format!("there is no site to look at{}", notes.concat());
        return Error::bad_input(what).help(help);
    }
    let unread: Vec<String> =
        journals.unread.iter().map(|one| format!("{}: {}", one.place, one.why)).collect();
    Error::broken(format!(
        "nothing was looked at: what names the sites cannot be read ({})",
        unread.join("; ")
    ))
    .help(help)
}

/// Where is looked.
#[derive(Default)]
struct Places {
    sites: BTreeMap<SiteName, Site>,
    canaries: Vec<String>,
    /// The first scenario: its estate is that of a rehearsal.
    first: Option<(PathBuf, String)>,
    /// Nobody named a site: they are those of runs, whose roles may be gone since.
    by_journals: bool,
}

impl Places {
    fn of_scenarios(&mut self, args: &ReapArgs, registry: &Registry) -> Result<()> {
        for path in scenario_files(&args.scenarios)? {
            let loaded = scenario::load(&path, registry);
            let Some(scenario) = loaded.scenario else {
                let wrong = format!("{} has errors, so its sites are not known", path.display());
                let check = format!("redrill check {} lists them", path.display());
                return Err(Error::bad_input(wrong).help(check));
            };
            scenario.sites.values().for_each(|site| self.add(site.clone()));
            self.canaries.extend(scenario.guard.canaries.iter().cloned());
            self.first.get_or_insert((path, scenario.name.clone()));
        }
        for written in &args.sites {
            self.add(read_site(written)?);
        }
        self.canaries.extend(args.canaries.iter().cloned());
        self.tidy();
        Ok(())
    }

    /// Leaves out the sites at which the limits of the organisation let nobody look, and says which.
    fn hold_to(&mut self, limits: &InForce) -> Result<Vec<NotAsked>> {
        let mut left_out = Vec::new();
        self.sites.retain(|name, site| {
            let account = site.account.as_deref().and_then(|account| limits.account(name, account));
            let Some(exceeded) = account.or_else(|| limits.region(name, &site.region)) else {
                return true;
            };
            left_out.push(NotAsked {
                place: name.to_string(),
                what: Sought::Everything,
                why: not_allowed(&exceeded),
            });
            false
        });
        if !self.sites.is_empty() {
            return Ok(left_out);
        }
        let why: Vec<String> = left_out.iter().map(|one| one.why.clone()).collect();
        let what =
            format!("the limits of the organisation allow no site to look at: {}", why.join("; "));
        Err(Error::refused(what).help("name a site with --site where looking is allowed"))
    }

    /// The sites of runs, where nobody named any.
    fn of_journals(&mut self, journals: &Journals, only: Option<&RunId>) {
        self.by_journals = true;
        for (run, sites, canaries) in &journals.places {
            if only.is_none_or(|only| only == run) {
                sites.iter().for_each(|site| self.add(site.clone()));
                self.canaries.extend(canaries.iter().cloned());
            }
        }
        self.tidy();
    }

    /// Takes out what could not be asked because a role is gone that only journals name, and says so, where another role of its place
    /// has answered: what that one is denied stands there by itself.
    fn retired(&self, not_asked: &mut Vec<NotAsked>) -> Vec<String> {
        if !self.by_journals {
            return Vec::new();
        }
        let is_of_role = |one: &NotAsked| one.what == Sought::Everything;
        let silent = not_asked.iter().filter(|one| is_of_role(one)).map(|one| one.place.clone());
        let silent: BTreeSet<String> = silent.collect();
        let another_answers = |place: &str| {
            let Some(site) = self.sites.get(&SiteName::new(place)) else { return false };
            let answers = |(name, other): (&SiteName, &Site)| {
                let is_there = other.account == site.account && other.region == site.region;
                is_there && !silent.contains(name.as_str())
            };
            site.account.is_some() && self.sites.iter().any(answers)
        };
        let retired = |one: &mut NotAsked| is_of_role(one) && another_answers(&one.place);
        let said = not_asked.extract_if(.., retired).map(|NotAsked { place, why, .. }| {
            format!(
                "{place}: a role that only journals name, and another one has answered there: {why}"
            )
        });
        said.collect()
    }

    /// A place is named by what it is: scenarios may call it differently. Each of its roles but the first is named, too: one may do
    /// what another one may not.
    fn add(&mut self, site: Site) {
        let place = match &site.account {
            Some(account) => format!("{account}/{}", site.region),
            None => site.region.clone(),
        };
        let name = SiteName::new(place.as_str());
        let name = match self.sites.get(&name) {
            Some(known) if known.role != site.role => {
                let role = site.role.as_deref().unwrap_or("no role");
                SiteName::new(format!("{place}/{role}"))
            }
            _ => name,
        };
        self.sites.entry(name).or_insert(site);
    }

    fn tidy(&mut self) {
        self.canaries.sort();
        self.canaries.dedup();
    }
}

/// `REGION[=ACCOUNT[/ROLE]]`; a role may be a whole ARN.
fn read_site(written: &str) -> Result<Site> {
    let wrong = |why: &str| {
        Error::bad_input(format!("--site {written}: {why}"))
            .help("write REGION, REGION=ACCOUNT or REGION=ACCOUNT/ROLE: ap-northeast-3=222222222222/redrill-drill")
    };
    let (region, rest) =
        written.split_once('=').map_or((written, None), |(r, rest)| (r, Some(rest)));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || !region.chars().all(plain) {
        return Err(wrong("this is not the name of a region"));
    }
    let (account, role) = match rest {
        None => (None, None),
        Some(rest) => match rest.split_once('/') {
            None => (Some(rest), None),
            Some((account, role)) => (Some(account), Some(role)),
        },
    };
    if let Some(account) = account
        && (account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(wrong("an account has twelve digits"));
    }
    if role == Some("") {
        return Err(wrong("the role is missing"));
    }
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Ok(Site { account: owned(account), region: region.to_owned(), role: owned(role) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_written_as_region_account_and_role() {
        let site = read_site("ap-northeast-3=222222222222/redrill-drill").unwrap();
        assert_eq!(site.region, "ap-northeast-3");
        assert_eq!(site.account.as_deref(), Some("222222222222"));
        assert_eq!(site.role.as_deref(), Some("redrill-drill"));
        let arn =
            read_site("eu-west-1=222222222222/arn:aws:iam::222222222222:role/path/x").unwrap();
        assert_eq!(arn.role.as_deref(), Some("arn:aws:iam::222222222222:role/path/x"));
        assert_eq!(read_site("eu-west-1").unwrap().account, None);
        for wrong in ["", "=1", "eu west", "eu-west-1=12", "eu-west-1=222222222222/"] {
            assert!(read_site(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn regression_a_role_that_only_an_old_journal_names_is_a_note_where_another_one_answers() {
        let mut places = Places::default();
        let sites = [
            "eu-west-1=222222222222/old",
            "eu-west-1=222222222222/new",
            "eu-west-2=222222222222/old",
        ];
        sites.iter().for_each(|site| places.add(read_site(site).unwrap()));
        let silent = |places: &[&str]| -> Vec<NotAsked> {
            let of = |(place, what): (&str, Sought)| NotAsked {
                place: place.to_owned(),
                what,
                why: "it cannot be assumed".to_owned(),
            };
            let of_roles = places.iter().map(|place| (*place, Sought::Everything));
            // That one kind could not be asked says nothing of the role, whatever the kind is called.
            let of_kinds = ["rds.db_instance", "everything"]
                .map(|kind| ("222222222222/eu-west-1", Sought::One(kind.to_owned())));
            of_roles.chain(of_kinds).map(of).collect()
        };
        let (old, new) = ("222222222222/eu-west-1", "222222222222/eu-west-1/new");
        let lonely = "222222222222/eu-west-2";
        // Whoever names a role wants it asked.
        assert!(places.retired(&mut silent(&[old, lonely])).is_empty());
        places.by_journals = true;
        let mut not_asked = silent(&[old, lonely]);
        let said = places.retired(&mut not_asked);
        assert!(said.len() == 1 && said[0].starts_with(old), "{said:?}");
        assert!(said[0].ends_with("it cannot be assumed"), "{said:?}");
        assert_eq!(not_asked, silent(&[lonely]), "what the other one is denied is said, too");
        // Where no role answers, nobody has looked.
        let mut not_asked = silent(&[old, new]);
        assert!(places.retired(&mut not_asked).is_empty());
        assert_eq!(not_asked, silent(&[old, new]));
    }

    #[test]
    fn regression_no_role_of_a_place_is_dropped() {
        let mut places = Places::default();
        let place = "eu-west-1=222222222222";
        for role in ["/one", "/other", "/one", "/other", "", ""] {
            places.add(read_site(&format!("{place}{role}")).unwrap());
        }
        places.add(read_site("eu-west-1").unwrap());
        let named: Vec<(&str, Option<&str>)> =
            places.sites.iter().map(|(name, site)| (name.as_str(), site.role.as_deref())).collect();
        let expected = [
            ("222222222222/eu-west-1", Some("one")),
            ("222222222222/eu-west-1/no role", None),
            ("222222222222/eu-west-1/other", Some("other")),
            ("eu-west-1", None),
        ];
        assert_eq!(named, expected);
    }
}
