//! What goes wrong in a simulated run.

use super::disk::{self, Written};
use super::random::Random;
use super::subject::Subject;
use super::watch::Death;
use redrill::sandbox::Fault;
use std::fmt;
use std::time::Duration;

/// Where a process dies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kill {
    /// While it writes to the journal.
    Write(disk::Death),
    /// At a request.
    Request(Death),
    /// After so much time of its own.
    Moment(Duration),
}

/// When a person ends the run. The first process is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cancel {
    /// After so much time of its own.
    After(Duration),
    /// When its n-th changing request (from 1) has had its effect.
    AtChange(usize),
}

/// A person halts the run for a while, whichever process is at work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// The first process is told after so much time of its own.
    pub(crate) after: Duration,
    /// After so much more time, or of the life of a later process, the run is let go on.
    pub(crate) length: Duration,
    /// Or it is ended; true when an incident needs the capacity.
    pub(crate) ends_the_run: Option<bool>,
}

/// Everything that goes wrong in one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disturbance {
    pub(crate) faults: Vec<Fault>,
    /// Where the first, second, … process dies.
    pub(crate) kills: Vec<Kill>,
    /// How long nothing runs after each of these deaths.
    pub(crate) gap: Duration,
    /// The changing request (from 1) that arrives twice.
    pub(crate) twice: Option<usize>,
    /// When a person ends the run.
    pub(crate) cancel: Option<Cancel>,
    /// The person wants the capacity back now.
    pub(crate) incident: bool,
    /// When a person halts the run.
    pub(crate) pause: Option<Pause>,
    /// How long what was made stays, on the operator's word.
    pub(crate) keep: Option<Duration>,
    /// Some process looks while everybody can see that a restore is too slow.
    pub(crate) seen_late: bool,
    /// True when all of it stays within what retries and resuming must bear: the verdict is then that of the
    /// undisturbed run.
    pub(crate) mild: bool,
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        write!(f, "faults [{}], kills {:?}, gap {:?}", faults.join(", "), self.kills, self.gap)?;
        if let Some(twice) = self.twice {
            write!(f, ", changing request {twice} twice")?;
        }
        if let Some(cancel) = self.cancel {
            let how = if self.incident { "given back" } else { "cancelled" };
            write!(f, ", {how} {cancel:?}")?;
        }
        if let Some(pause) = self.pause {
            write!(f, ", {pause:?}")?;
        }
        if let Some(keep) = self.keep {
            write!(f, ", kept for {keep:?}")?;
        }
        f.write_str(if self.mild { " (mild)" } else { " (harsh)" })
    }
}

/// What an undisturbed run was like: the places at which something can go wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extent {
    pub(crate) writes: usize,
    pub(crate) records: usize,
    pub(crate) requests: usize,
    pub(crate) changes: usize,
    pub(crate) lasted: Duration,
}

/// The effects that pass by themselves, as written in faults.
pub(crate) const PASSING: [&str; 7] =
    ["throttle", "server_error", "reset", "lost_reply", "slow:20s", "stale:10s", "garbage"];

/// Garbage instead of an object of S3 is a bad object: only the other services' answers show what they are.
pub(crate) fn passes(effect: &str, operation: &str) -> bool {
    effect != "garbage" || !operation.starts_with("s3:")
}

/// The effects that do not pass, and where they make sense.
const LASTING: [&str; 12] = [
    "rds:DeleteDBInstance=error:AccessDenied:403",
    "rds:DeleteDBCluster=error:AccessDenied:403",
    "rds:DeleteDBSnapshot=error:AccessDenied:403",
    "ec2:DeleteVolume=error:UnauthorizedOperation:403",
    "s3:DeleteObject=error:AccessDenied:403",
    "*@ap-northeast-3<40=throttle",
    "rds:Describe*<30=server_error",
    "*=slow:30s",
    "rds:RestoreDBInstanceFromDBSnapshot=server_error",
    "rds:RestoreDBInstanceToPointInTime=server_error",
    "rds:CopyDBSnapshot=server_error",
    "rds:CreateDBInstance#2=server_error",
];

pub(crate) fn fault(text: &str) -> Fault {
    match text.parse() {
        Ok(fault) => fault,
        Err(why) => panic!("{why}"),
    }
}

/// The same where the credentials come from: a role that nobody may assume any more once its first session ends, a service that
/// fails for long, a login that has run out and is renewed.
const LASTING_AT_ROLES: [&str; 4] = [
    "sts:AssumeRole#3=error:AccessDenied:403",
    "sts:AssumeRole<12=server_error",
    "sts:AssumeRole=expired_credentials:40m..3h",
    "sts:*=slow:40s",
];

impl Disturbance {
    /// One that retries and resuming must bear, or (one in five) one that they need not.
    pub(crate) fn random(random: &mut Random, extent: &Extent) -> Self {
        if random.chance(6) {
            return Self::sudden(random, extent);
        }
        let mild = !random.chance(20);
        let mut faults = Vec::new();
        if random.chance(12) {
            faults.push(fault(ALWAYS_STALE));
        }
        if !mild {
            faults.push(fault(random.pick::<&str>(&LASTING)));
        }
        for _ in 0..random.below(4) {
            let nth = random.between(1, extent.requests.max(1) as u64);
            let effect = *random.pick(&PASSING);
            let on = if effect == "garbage" { *random.pick(&["rds:*", "ec2:*"]) } else { "*" };
            faults.push(fault(&format!("{on}#{nth}={effect}")));
        }
        let kills = random.pick(&[0_u64, 1, 1, 1, 2, 2, 3]).to_owned();
        let kills: Vec<Kill> = (0..kills).map(|_| Kill::random(random, extent)).collect();
        let longest = if mild { 60 } else { 4 * 3600 };
        let gap = Duration::from_secs(random.between(0, longest));
        let cancel = !mild && random.chance(25);
        let cancel = cancel.then(|| Cancel::After(moment(random, extent)));
        let twice = random.chance(15).then(|| random.between(1, extent.changes.max(1) as u64));
        let twice = twice.map(|n| n as usize);
        Self { faults, kills, gap, twice, cancel, mild, ..Self::default() }
    }

    /// Adds what people order besides: a halt, and that an end is urgent.
    pub(crate) fn with_orders(mut self, random: &mut Random, extent: &Extent) -> Self {
        self.incident = self.cancel.is_some() && random.chance(40);
        if random.chance(15) && !self.seen_late {
            let longest = if self.mild { 60 } else { 2 * 3600 };
            let length = Duration::from_secs(random.between(1, longest));
            self.pause = Some(Pause { after: moment(random, extent), length, ends_the_run: None });
        }
        self.keep = random.chance(8).then(|| Duration::from_secs(random.between(1, 48) * 3600));
        if let Some(pause) = self.pause.as_mut().filter(|_| !self.mild) {
            pause.ends_the_run = random.chance(40).then(|| random.chance(50));
        }
        self
    }

    /// Adds what goes wrong where roles are assumed, and where it is asked whose credentials those are.
    pub(crate) fn with_roles(mut self, random: &mut Random) -> Self {
        if random.chance(15) && !self.seen_late {
            let nth = random.between(1, 8);
            let effect = random.pick(&PASSING);
            self.faults.push(fault(&format!("sts:*#{nth}={effect}")));
        }
        if !self.mild && random.chance(20) {
            self.faults.push(fault(random.pick::<&str>(&LASTING_AT_ROLES)));
        }
        self
    }

    /// The run is ended right after something was made, while look-ups do not see it yet. The process may die while it
    /// writes that down.
    fn sudden(random: &mut Random, extent: &Extent) -> Self {
        let nth = random.between(1, extent.changes.max(1) as u64) as usize;
        let dies = Kill::Write(disk::Death::After("cancel_requested"));
        Self {
            faults: vec![fault(ALWAYS_STALE)],
            kills: random.chance(40).then_some(dies).into_iter().collect(),
            gap: Duration::from_secs(random.between(0, 60)),
            cancel: Some(Cancel::AtChange(nth)),
            ..Self::default()
        }
    }

    /// The process dies a little before a restore is too slow, and another one looks a little later, before the end of
    /// the restore. `None` when nothing of the subject is too slow.
    pub(crate) fn seen_late(subject: &Subject, calm: &[u8]) -> Option<Self> {
        let limits = subject.drafts.iter().flatten();
        let mut limits = limits.filter_map(|draft| Some((draft.id.as_str(), draft.too_short?)));
        let (made, limit) =
            limits.find_map(|(step, limit)| Some((disk::made_after(calm, step)?, limit)))?;
        let moment = made + Duration::from_secs(limit.saturating_sub(20));
        let (kills, gap) = (vec![Kill::Moment(moment)], Duration::from_secs(40));
        Some(Self { kills, gap, mild: true, seen_late: true, ..Self::default() })
    }
}

/// Look-ups do not see what was made a moment ago.
const ALWAYS_STALE: &str = "*=stale:10s";

fn moment(random: &mut Random, extent: &Extent) -> Duration {
    let longest = u64::try_from(extent.lasted.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random.below(longest.max(1)))
}

impl Kill {
    fn random(random: &mut Random, extent: &Extent) -> Self {
        match random.below(5) {
            0 | 1 => {
                let nth = random.between(1, extent.writes.max(1) as u64) as usize;
                let torn = Written::Torn(random.between(1, 999));
                let written = *random.pick(&[Written::Nothing, torn, torn, Written::Whole]);
                Self::Write(disk::Death::Write(nth, written))
            }
            2 | 3 => {
                let nth = random.between(1, extent.requests.max(1) as u64) as usize;
                Self::Request(Death { nth, after: random.chance(60) })
            }
            _ => Self::Moment(moment(random, extent)),
        }
    }
}
