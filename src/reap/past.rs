use crate::ids::{RunId, SiteName};
use crate::journal::{Event, Holding, Record, RunState};
use crate::plan::Plan;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// Whether a run may still do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// A process is working on it.
    AtWork,
    /// A process of another machine may be working on it, as far as its store tells.
    MayBeAtWork,
    /// Its journal has no last record: it can be resumed.
    Unfinished,
    /// It is over.
    Finished,
}

/// What the journal of a run says that reaping needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRun {
    /// The run.
    pub run: RunId,
    /// Name of its scenario.
    pub scenario: String,
    /// When its resources may be removed by anyone (UTC).
    pub expires: DateTime<Utc>,
    /// True for mode `recovery`: what it made is production.
    pub recovery: bool,
    /// Whether it may still do something.
    pub life: Life,
    /// True when observed data must not be written down.
    pub withholds_data: bool,
    /// What it may have left, the newest first.
    pub things: Vec<PastThing>,
}

/// Something that a run intended and that no look-up has seen to be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastThing {
    /// The kind, as registered.
    pub kind: String,
    /// Its name in the ledger.
    pub name: String,
    /// The account that it is in, as far as is known.
    pub account: Option<String>,
    /// The region that it is in.
    pub region: String,
    /// What the service calls it, where the journal knows.
    pub id: Option<String>,
    /// Until when it is kept on the operator's word (UTC).
    pub kept_until: Option<DateTime<Utc>>,
    /// True when a journal that this machine has written says so; false when only that of a store does, in which others may
    /// write, or one that was fetched from there: what it names is not run, nobody logs in there, and nothing goes away that no listing
    /// shows.
    pub told_here: bool,
}

impl PastThing {
    /// Whether this is what another journal means: at the same place, and under no other id. A name alone is known to whoever reads it.
    fn tells_of(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.name == other.name
            && self.region == other.region
            && (self.account.is_none() || self.account == other.account)
            && (self.id.is_none() || self.id == other.id)
    }
}

impl PastRun {
    /// The same, read in a store. `here`: what a journal of this machine says of the run. What that run began with does not change.
    #[must_use]
    pub fn of_store(mut self, here: Option<&Self>) -> Self {
        let known = here.map(|here| here.things.as_slice()).unwrap_or_default();
        for thing in &mut self.things {
            thing.told_here = known.iter().any(|one| one.told_here && one.tells_of(thing));
        }
        match here {
            Some(here) => Self {
                expires: here.expires,
                recovery: here.recovery,
                withholds_data: here.withholds_data,
                ..self
            },
            None => self,
        }
    }

    /// Reads it out of a journal of this machine. `at_work`: a process holds the journal. `None` for a journal without its first
    /// record.
    pub fn of(plan: &Plan, records: &[Record], state: &RunState, at_work: bool) -> Option<Self> {
        let head = state.head.as_ref()?;
        let (mut accounts, mut kept, mut ids) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for record in records {
            match &record.event {
                Event::SiteIdentified { site, account, .. } => {
                    accounts.insert(site, account.clone());
                }
                Event::ResourceOwned { key, id } => {
                    ids.insert(key, id.clone());
                }
                Event::ResourceLeft { key, kept: true, .. } => {
                    let length = head.keep.and_then(|keep| TimeDelta::from_std(keep.0).ok());
                    let until = length.and_then(|length| record.at.checked_add_signed(length));
                    kept.insert(key, until);
                }
                _ => {}
            }
        }
        let account_of = |site: &SiteName| {
            let planned = plan.sites.get(site).and_then(|site| site.account.clone());
            planned.or_else(|| accounts.get(site).cloned())
        };
        let ledger = state.ledger.all().into_iter().rev();
        let things = ledger.filter(|(_, holding)| !matches!(holding, Holding::Released { .. }));
        let things = things.map(|(key, _)| PastThing {
            kind: key.kind.clone(),
            name: key.name.clone(),
            account: account_of(&key.site),
            region: plan.sites.get(&key.site).map_or_else(String::new, |site| site.region.clone()),
            id: ids.get(key).cloned(),
            kept_until: kept.get(key).copied().flatten(),
            told_here: true,
        });
        Some(Self {
            run: head.run.clone(),
            scenario: head.scenario.clone(),
            expires: head.expires,
            recovery: head.mode != "drill",
            life: match (at_work, state.finished) {
                (true, _) => Life::AtWork,
                (false, None) => Life::Unfinished,
                (false, Some(_)) => Life::Finished,
            },
            withholds_data: plan.data.withholds(),
            things: things.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(names: &[&str], recovery: bool) -> PastRun {
        let thing = |name: &&str| PastThing {
            kind: "exec.effect".into(),
            name: (*name).to_owned(),
            account: None,
            region: "eu-west-1".into(),
            id: None,
            kept_until: None,
            told_here: true,
        };
        PastRun {
            run: RunId::new("orders-0001-aaaaaa"),
            scenario: "orders".into(),
            expires: DateTime::UNIX_EPOCH,
            recovery,
            life: Life::Finished,
            withholds_data: false,
            things: names.iter().map(thing).collect(),
        }
    }

    #[test]
    fn regression_what_a_longer_journal_of_a_store_adds_is_not_told_here() {
        let told = |past: &PastRun| -> Vec<bool> {
            past.things.iter().map(|thing| thing.told_here).collect()
        };
        let here = past(&["made here"], true);
        let both = past(&["forged", "made here"], false).of_store(Some(&here));
        assert_eq!(told(&both), [false, true]);
        assert!(both.recovery, "what it began with is as it is here");
        let alone = past(&["forged", "made here"], false).of_store(None);
        assert_eq!(told(&alone), [false, false]);
        assert!(!told(&past(&["made here"], false).of_store(Some(&alone)))[0]);
    }

    /// Whoever can write into the store knows the names: what they say of a name is not what this machine has said.
    #[test]
    fn regression_a_known_name_at_another_place_or_with_another_id_is_not_told_here() {
        let with = |region: &str, account: Option<&str>, id: Option<&str>| {
            let mut past = past(&["made here"], false);
            past.things[0].region = region.to_owned();
            past.things[0].account = account.map(str::to_owned);
            past.things[0].id = id.map(str::to_owned);
            past
        };
        let is_told =
            |store: PastRun, here: &PastRun| store.of_store(Some(here)).things[0].told_here;
        let here = with("eu-west-1", Some("1"), Some("a"));
        assert!(is_told(here.clone(), &here));
        for forged in [
            with("eu-west-2", Some("1"), Some("a")),
            with("eu-west-1", Some("2"), Some("a")),
            with("eu-west-1", None, Some("a")),
            with("eu-west-1", Some("1"), Some("b")),
            with("eu-west-1", Some("1"), None),
        ] {
            assert!(!is_told(forged.clone(), &here), "{forged:?}");
        }
        // The process died here before it was told the id.
        assert!(is_told(here, &with("eu-west-1", None, None)));
    }
}
