use super::connection::input_with_connection;
use super::hydrating::Hydrating;
use super::tables::Tables;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, Phase, Probe, SiteUse,
    StepContext, StepError,
};
use crate::journal::{ClockPoint, Outcome};
use crate::outside::ladder::Table;
use crate::time::HumanDuration;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// `sql.hydrate`: waits until reads of a restored database are fast, and reads everything if asked to.
pub struct Hydrate;

/// Into how many parts a table is read as a whole: between them the latency is sampled.
pub(super) const PARTS: u32 = 8;

input_with_connection! {
    /// What a step of `sql.hydrate` is given.
    pub struct HydrateInput {
        /// The tables whose pages are read; all when left out.
        #[serde(default)]
        pub tables: Tables,
        /// How fast 95 of 100 reads of a page must be, the way to the server included (default 20ms).
        #[serde(default = "twenty_milliseconds")]
        pub p95: HumanDuration,
        /// How many pages are read in one round, from 20 to 10000 (default 200).
        #[serde(default = "two_hundred")]
        #[schemars(range(min = 20, max = 10_000))]
        pub samples: u32,
        /// Reads all tables as a whole, so that their storage loads them before anybody waits for it (default false).
        #[serde(default)]
        pub warm_up: bool,
        /// How long it may take until reads are fast (default 2h). The step's own timeout must be longer.
        #[serde(default = "two_hours")]
        pub within: HumanDuration,
        /// The pause between two rounds (default 1m).
        #[serde(default = "one_minute")]
        pub pause: HumanDuration,
    }
}

fn twenty_milliseconds() -> HumanDuration {
    Duration::from_millis(20).into()
}

fn two_hundred() -> u32 {
    200
}

fn two_hours() -> HumanDuration {
    Duration::from_secs(2 * 3600).into()
}

fn one_minute() -> HumanDuration {
    Duration::from_secs(60).into()
}

/// What a step of `sql.hydrate` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HydrateOutput {
    /// Time from the beginning of the step until reads were fast; null when they never were, or when a table could not be
    /// read.
    pub hydrated_after: Option<HumanDuration>,
    /// How many pages were read.
    pub reads: u64,
    /// How many rounds there were.
    pub rounds: u64,
    /// How long reads took in the first round.
    pub first: Latency,
    /// How long reads took in the last round.
    pub last: Latency,
}

/// How long reads took, in microseconds: the shortest time that so many of 100 reads did not exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Latency {
    /// Half of them.
    pub p50_us: u64,
    /// 95 of 100.
    pub p95_us: u64,
    /// 99 of 100.
    pub p99_us: u64,
    /// All of them.
    pub max_us: u64,
}

impl Latency {
    /// Of some reads; `None` of none.
    pub(super) fn of(mut reads: Vec<Duration>) -> Option<Self> {
        reads.sort_unstable();
        let at = |hundredth: usize| {
            let rank = (reads.len() * hundredth).div_ceil(100).max(1);
            reads.get(rank - 1).map(|read| u64::try_from(read.as_micros()).unwrap_or(u64::MAX))
        };
        Some(Self { p50_us: at(50)?, p95_us: at(95)?, p99_us: at(99)?, max_us: at(100)? })
    }
}

const ABOUT: &str = "\
Storage that was restored from a snapshot is there before its blocks are: they are loaded in the background, and those that are \
read before are fetched while the reader waits. So a database can be available, and be too slow to be of use, for hours. This \
step reads pages at random places of the tables, until 95 of 100 reads of each table are fast enough; that moment is the clock \
point *hydrated*. With `warm_up` it reads all tables as a whole between the rounds: pages of tables, not of indexes or of large \
values that are stored apart.

The slowest table decides. Where there are so many that a round reads fewer than 20 pages of each, the reads of several \
rounds are taken together. \
Pages that have been read before are fast for that reason alone; each round chooses other places. A database that fits into the \
memory of its server says little. Partitions are read with their table. A table that cannot be read (a missing right; for MySQL, no \
key of whole numbers, or one whose numbers are too uneven) leaves the check open, and so does one that is named and has no page to read: name those that matter in \
`tables`.";

impl Action for Hydrate {
    type Input = HydrateInput;
    type Output = HydrateOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "sql.hydrate",
            title: "Wait until reads of the restored database are fast",
            about: ABOUT,
            phase: Phase::Verify,
            site: SiteUse::Optional,
            timeout: Duration::from_secs(3 * 3600),
            effect: Effect::None,
            creates: &[],
            permissions: super::check::PERMISSIONS,
            checks: &[
                ("database answers", "a query is answered within ready_within"),
                (
                    "read latency",
                    "95 of 100 reads of pages at random places of each table are fast enough",
                ),
            ],
            populations: &[],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &["PostgreSQL 15", "MariaDB 10.11"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        context: &StepContext,
        input: HydrateInput,
    ) -> Result<HydrateOutput, StepError> {
        let (began, first_begun) =
            (context.clock.elapsed(), context.recorder.first_begun(&context.step));
        let before = first_begun.and_then(|begun| (context.clock.now() - begun).to_std().ok());
        let (mut session, _) = input.connection().open_checked(context).await?;
        let structure = session.structure().await?;
        let meant = structure.tables.into_iter().filter(|table| input.tables.mean(&table.name));
        let tables: Vec<Table> = meant.collect();
        let mut hydrating = Hydrating::of(context, &input, &mut *session, &tables);
        let mut output = hydrating.rounds(began, before.unwrap_or_default()).await?;
        let check = hydrating.check(&output);
        if check.outcome == Outcome::Passed {
            let now = context.clock.now();
            context.reached(ClockPoint::Hydrated, now, "reads of pages at random places").await?;
        } else {
            output.hydrated_after = None;
        }
        context.check(check).await?;
        Ok(output)
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::before::grants(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::before::preflight(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        let (mut commands, ask) = super::by_hand::asking(input);
        let is_mysql = input.value("engine").and_then(Value::as_str) == Some("mysql");
        let tables = input.value("tables").and_then(Value::as_array).cloned().unwrap_or_default();
        let named: Vec<_> = tables.iter().filter_map(Value::as_str).collect();
        for table in &named {
            let sql = format!("select count(*) from {table}");
            commands.push(format!(
                "date -u +%T; {ask} {}; date -u +%T    # paste the block twice: the second time tells how fast it is once loaded",
                HandInput::quote(&sql)
            ));
        }
        if named.is_empty() {
            let dump = if is_mysql {
                super::by_hand_ladder::dump_of(input, &ask, is_mysql, "--single-transaction")
            } else {
                "pg_dump --data-only".to_owned()
            };
            commands.push(format!(
                "{dump} > /dev/null    # reads every table, so that its storage loads it"
            ));
        }
        ByHand {
            commands: super::by_hand::alone(&commands),
            expected: "Reading a second time takes about as long as the first: everything is loaded.".to_owned(),
            verify: Vec::new(),
            if_it_fails: vec![
                "It stays slow: look at the read latency of the volume (ReadLatency in CloudWatch), and let in the most \
                 important users only."
                    .to_owned(),
            ],
            ..ByHand::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_times_that_so_many_reads_did_not_exceed() {
        let reads = (1..=200).map(Duration::from_micros).collect();
        let latency = Latency::of(reads).unwrap();
        assert_eq!(latency, Latency { p50_us: 100, p95_us: 190, p99_us: 198, max_us: 200 });
        let one = Latency::of(vec![Duration::from_micros(7)]).unwrap();
        assert_eq!(one, Latency { p50_us: 7, p95_us: 7, p99_us: 7, max_us: 7 });
        assert_eq!(Latency::of(Vec::new()), None);
    }
}
