use crate::action::Sessions;
use crate::aws::GuardPolicy;
use crate::ids::{SiteName, StepId};
use crate::journal::Record;
use crate::outside::Outside;
use crate::plan::Plan;
use crate::time::{Clock, HumanDuration};
use std::sync::Arc;
use std::time::Duration;

/// Where a run happens: the only thing that differs between a real run and a rehearsal.
#[derive(Clone)]
pub struct World {
    /// The clock.
    pub clock: Clock,
    /// What is not AWS.
    pub outside: Arc<dyn Outside>,
    /// The sites.
    pub sessions: Sessions,
    /// What the clients' guard enforces.
    pub policy: Arc<GuardPolicy>,
    /// Told when sites are lost (`true`) and when they may be used again (`false`): the sandbox takes them down.
    pub on_loss: OnLoss,
}

/// See [`World::on_loss`].
pub type OnLoss = Arc<dyn Fn(&[SiteName], bool) + Send + Sync>;

/// Sees a run while it happens.
pub trait Observer: Send {
    /// A record is on disk.
    fn recorded(&mut self, record: &Record);
    /// A step says what it is doing. Not kept.
    fn progress(&mut self, step: &StepId, text: &str);
}

/// Tells nobody.
impl Observer for () {
    fn recorded(&mut self, _: &Record) {}
    fn progress(&mut self, _: &StepId, _: &str) {}
}

/// What a person or a signal tells a run that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// End early: what runs is stopped, what was made is removed.
    Cancel {
        /// Who or what.
        by: String,
        /// A real incident needs the capacity: a drill keeps nothing, and removes everything at once.
        incident: bool,
    },
    /// Start and remove nothing more until told to go on. What runs goes on.
    Pause {
        /// Who.
        by: String,
    },
    /// Go on.
    Continue {
        /// Who.
        by: String,
    },
}

/// Where orders arrive, one after the other.
pub type Orders = tokio::sync::mpsc::UnboundedReceiver<Order>;

/// What happens to resources at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// They are removed.
    Nothing,
    /// They stay for this long, on the operator's word.
    For(Duration),
    /// They stay: they are the recovery. Canaries are removed all the same.
    Recovered,
}

impl Keep {
    /// What is kept when a real incident needs the capacity: only what is itself the recovery.
    pub(super) fn in_an_incident(self) -> Self {
        match self {
            Self::For(_) | Self::Nothing => Self::Nothing,
            Self::Recovered => Self::Recovered,
        }
    }

    /// What a plan and the operator's word say: a recovery removes nothing of what it brought back.
    pub fn of(plan: &Plan, word: Option<HumanDuration>) -> Self {
        match word {
            _ if !plan.is_drill() => Self::Recovered,
            Some(HumanDuration(duration)) => Self::For(duration),
            None => Self::Nothing,
        }
    }
}
