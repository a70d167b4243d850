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
}

impl PastRun {
    /// Reads it out of a journal. `at_work`: a process holds the journal. `None` for a journal without its first record.
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
