use super::{Event, ResourceKey};
use crate::ids::StepId;
use std::collections::BTreeMap;

/// The resources that a run intended, owned and released: a fold of its journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    holdings: BTreeMap<ResourceKey, (usize, Holding)>,
    /// How many intents there were: the place of the next.
    intents: usize,
}

/// Where one resource stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// It may exist: the call was about to be made.
    Intended {
        /// The step that intended it.
        step: StepId,
    },
    /// It exists, as far as is known.
    Owned {
        /// The step that made it.
        step: StepId,
        /// What the service calls it.
        id: String,
    },
    /// It is gone: a look-up said so.
    Released {
        /// `deleted`, `never made`, `already gone`.
        how: String,
    },
    /// It is still there, on purpose or not.
    Left {
        /// The step that intended it.
        step: StepId,
        /// What the service calls it, when it was ever owned.
        id: Option<String>,
        /// Why.
        why: String,
        /// True when the operator asked for it.
        kept: bool,
        /// The command that deletes it by hand.
        command: String,
    },
}

impl Ledger {
    /// Takes one event into account. `Err` names what is impossible.
    pub(crate) fn apply(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::ResourceIntended { step, key } => {
                let holding = Holding::Intended { step: step.clone() };
                let before = self.holdings.insert(key.clone(), (self.intents, holding));
                self.intents += 1;
                match before {
                    // A later attempt makes again what an earlier one had removed.
                    None | Some((_, Holding::Released { .. })) => Ok(()),
                    Some(_) => Err(format!("{key} was intended twice")),
                }
            }
            Event::ResourceOwned { key, id } => self.change(key, |before| match before {
                Holding::Intended { step } | Holding::Owned { step, .. } => {
                    Some(Holding::Owned { step: step.clone(), id: id.clone() })
                }
                _ => None,
            }),
            Event::ResourceReleased { key, how, .. } => {
                self.change(key, |_| Some(Holding::Released { how: how.clone() }))
            }
            Event::ResourceLeft { key, why, kept, command, .. } => self.change(key, |before| {
                let (step, id) = match before {
                    Holding::Intended { step } => (step.clone(), None),
                    Holding::Owned { step, id } => (step.clone(), Some(id.clone())),
                    Holding::Left { step, id, .. } => (step.clone(), id.clone()),
                    Holding::Released { .. } => return None,
                };
                let (why, command) = (why.clone(), command.clone());
                Some(Holding::Left { step, id, why, kept: *kept, command })
            }),
            Event::CancelRequested { incident: true, .. } => {
                self.keep_nothing();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An incident needs the capacity: what was kept on the operator's word is to be removed as the rest.
    fn keep_nothing(&mut self) {
        for (_, holding) in self.holdings.values_mut() {
            if let Holding::Left { step, id, kept: true, .. } = holding {
                *holding = match id.take() {
                    Some(id) => Holding::Owned { step: step.clone(), id },
                    None => Holding::Intended { step: step.clone() },
                };
            }
        }
    }

    fn change(
        &mut self,
        key: &ResourceKey,
        next: impl FnOnce(&Holding) -> Option<Holding>,
    ) -> Result<(), String> {
        let known = self.holdings.get_mut(key);
        let (_, holding) = known.ok_or_else(|| format!("{key} was never intended"))?;
        *holding = next(holding).ok_or_else(|| format!("{key} is gone already"))?;
        Ok(())
    }

    /// All resources, in the order in which they were intended.
    pub fn all(&self) -> Vec<(&ResourceKey, &Holding)> {
        let mut all: Vec<_> = self.holdings.iter().collect();
        all.sort_by_key(|(_, (place, _))| *place);
        all.into_iter().map(|(key, (_, holding))| (key, holding)).collect()
    }

    /// What may still exist and has not been judged, the newest first: the order of releasing.
    pub fn outstanding(&self) -> Vec<(&ResourceKey, &Holding)> {
        let open = |h: &Holding| matches!(h, Holding::Intended { .. } | Holding::Owned { .. });
        self.all().into_iter().rev().filter(|(_, holding)| open(holding)).collect()
    }

    /// What was left behind, not on purpose.
    pub fn left_behind(&self) -> Vec<(&ResourceKey, &Holding)> {
        let left = |h: &Holding| matches!(h, Holding::Left { kept: false, .. });
        self.all().into_iter().filter(|(_, holding)| left(holding)).collect()
    }

    /// What stays, and whether on purpose.
    pub fn left(&self) -> Vec<(&ResourceKey, bool)> {
        let stays = |(key, holding)| match holding {
            &Holding::Left { kept, .. } => Some((key, kept)),
            _ => None,
        };
        self.all().into_iter().filter_map(stays).collect()
    }

    /// Where one resource stands.
    pub fn get(&self, key: &ResourceKey) -> Option<&Holding> {
        self.holdings.get(key).map(|(_, holding)| holding)
    }

    /// How many resources were intended.
    pub fn len(&self) -> usize {
        self.holdings.len()
    }

    /// True when none was intended.
    pub fn is_empty(&self) -> bool {
        self.holdings.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SiteName;

    fn key(name: &str) -> ResourceKey {
        let (kind, site) = ("sql.schema".to_owned(), SiteName::new("dr"));
        ResourceKey { kind, name: name.to_owned(), site }
    }

    fn intended(name: &str) -> Event {
        Event::ResourceIntended { step: StepId::new("write"), key: key(name) }
    }

    #[test]
    fn regression_what_a_step_has_removed_may_be_made_again_by_a_later_attempt() {
        let mut ledger = Ledger::default();
        ledger.apply(&intended("a")).unwrap();
        ledger.apply(&intended("b")).unwrap();
        assert!(ledger.apply(&intended("b")).is_err(), "it may still be there");
        let (how, calls) = ("deleted".to_owned(), Vec::new());
        ledger.apply(&Event::ResourceReleased { key: key("a"), how, calls }).unwrap();
        ledger.apply(&intended("a")).unwrap();
        let id = "a".to_owned();
        ledger.apply(&Event::ResourceOwned { key: key("a"), id }).unwrap();
        let outstanding = ledger.outstanding();
        let names: Vec<&str> = outstanding.iter().map(|(key, _)| key.name.as_str()).collect();
        assert_eq!(names, ["a", "b"], "the newest first");
    }
}
