use super::checksums::mixed;
use super::connection::input_with_connection;
use super::judge::no_value;
use super::rows::shortened;
use super::tables::Tables;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, Phase, Probe, SiteUse,
    StepContext, StepError,
};
use crate::ids::Digest;
use crate::journal::{Check, ClockPoint, Outcome};
use crate::outside::DatabaseSession;
use crate::outside::ladder::{Reading, Table};
use crate::time::HumanDuration;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// `sql.hydrate`: waits until reads of a restored database are fast, and reads everything if asked to.
pub struct Hydrate;

/// Into how many parts a table is read as a whole: between them the latency is sampled.
const PARTS: u32 = 8;

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
    fn of(mut reads: Vec<Duration>) -> Option<Self> {
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
step reads pages at random places of the tables, until 95 of 100 reads of a round are fast enough; that moment is the clock \
point *hydrated*. With `warm_up` it reads all tables as a whole between the rounds: pages of tables, not of indexes or of large \
values that are stored apart.

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
                ("read latency", "95 of 100 reads of pages at random places are fast enough"),
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
        let began = context.clock.elapsed();
        let (mut session, _) = input.connection().open_checked(context).await?;
        let structure = session.structure().await?;
        let meant = structure.tables.into_iter().filter(|table| input.tables.mean(&table.name));
        let tables: Vec<Table> = meant.collect();
        let names: Vec<_> = tables.iter().map(|table| &table.name).collect();
        let mut hydrating = Hydrating {
            context,
            input: &input,
            missing: input.tables.missing(&names).into_iter().map(str::to_owned).collect(),
            session: &mut *session,
            tables: &tables,
            seed: seed_of(context),
            left_out: Vec::new(),
            empty: BTreeSet::new(),
        };
        let mut output = hydrating.rounds(began).await?;
        let check = judge(&input, &output, &hydrating.not_read());
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

/// A database whose pages are read.
struct Hydrating<'a> {
    context: &'a StepContext,
    input: &'a HydrateInput,
    session: &'a mut dyn DatabaseSession,
    tables: &'a [Table],
    /// What the places are chosen by.
    seed: u64,
    /// Tables that were asked for and are not there.
    missing: Vec<String>,
    /// Tables whose pages cannot be chosen, and why.
    left_out: Vec<String>,
    /// Tables in which there was no page to read.
    empty: BTreeSet<String>,
}

/// Tables that were not read.
#[derive(Debug, Default)]
struct NotRead {
    /// Those that were asked for and are not there.
    missing: Vec<String>,
    /// Those of which something should have been read, and why nothing was.
    left_out: Vec<String>,
    /// Those that hold nothing, and that nobody asked for by name.
    empty: Vec<String>,
}

impl Hydrating<'_> {
    /// A table without pages proves nothing: when it was asked for by name, that leaves the check open.
    fn not_read(&self) -> NotRead {
        let named = self.input.tables.are_named();
        let (missing, mut left_out) = (self.missing.clone(), self.left_out.clone());
        let mut empty: Vec<_> = self.empty.iter().cloned().collect();
        if named {
            left_out.extend(empty.drain(..).map(|table| format!("{table}: no page to read")));
        }
        NotRead { missing, left_out, empty }
    }

    async fn rounds(&mut self, began: Duration) -> Result<HydrateOutput, StepError> {
        let clock = &self.context.clock;
        let mut output = HydrateOutput {
            hydrated_after: None,
            reads: 0,
            rounds: 0,
            first: Latency::default(),
            last: Latency::default(),
        };
        loop {
            let took = self.round(output.rounds).await?;
            output.reads += u64::try_from(took.len()).unwrap_or(u64::MAX);
            let Some(latency) = Latency::of(took) else { return Ok(output) };
            if output.rounds == 0 {
                output.first = latency;
            }
            output.last = latency;
            let passed = clock.elapsed().saturating_sub(began);
            self.context.progress(&format!("reads take {}", milliseconds(latency.p95_us)));
            let warmed = !self.input.warm_up || output.rounds >= u64::from(PARTS);
            output.rounds += 1;
            if warmed && Duration::from_micros(latency.p95_us) <= self.input.p95.0 {
                output.hydrated_after = Some(HumanDuration(passed));
                return Ok(output);
            }
            if passed >= self.input.within.0 {
                return Ok(output);
            }
            let part = u32::try_from(output.rounds - 1).unwrap_or(u32::MAX);
            if self.input.warm_up && part < PARTS {
                self.warm(part).await?;
            } else {
                clock.sleep(self.input.pause.0).await;
            }
        }
    }

    /// Reads as many pages as asked for, spread over the tables, at places of this round's own.
    async fn round(&mut self, round: u64) -> Result<Vec<Duration>, StepError> {
        let mut all = Vec::new();
        let count = u32::try_from(self.tables.len()).unwrap_or(u32::MAX).max(1);
        let each = self.input.samples.div_ceil(count);
        for (number, table) in self.tables.iter().enumerate() {
            let seed = self.seed ^ mixed(round, number as u64);
            let places: Vec<u32> =
                (0..each).map(|sample| place(mixed(seed, u64::from(sample)))).collect();
            let reading = Reading { table, places: &places, clock: &self.context.clock };
            match self.session.latencies(&reading).await {
                Ok(took) if took.is_empty() => {
                    self.empty.insert(table.name.to_string());
                }
                Ok(took) => all.extend(took),
                Err(error) => self.leave_out(table, error)?,
            }
        }
        Ok(all)
    }

    async fn warm(&mut self, part: u32) -> Result<(), StepError> {
        for table in self.tables {
            self.context.progress(&format!(
                "reading part {} of {PARTS} of {}",
                part + 1,
                table.name
            ));
            if let Err(error) = self.session.warm(table, part, PARTS).await {
                self.leave_out(table, error)?;
            }
        }
        Ok(())
    }

    fn leave_out(
        &mut self,
        table: &Table,
        error: crate::outside::OutsideError,
    ) -> Result<(), StepError> {
        let why = no_value(error, self.context.facts.withhold_data)?;
        let why = format!("{}: {}", table.name, why.why);
        if !self.left_out.contains(&why) {
            self.left_out.push(why);
        }
        Ok(())
    }
}

/// Another one for each step of a run and each attempt at it: pages that an earlier one has read are in memory, and fast for that
/// reason. Attempts are told apart by when they begin.
fn seed_of(context: &StepContext) -> u64 {
    let step = Digest::of(context.step.as_str().as_bytes());
    let step = step.as_bytes().iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte));
    let began = context.clock.now().timestamp_millis().unsigned_abs();
    mixed(context.facts.seed ^ step, began)
}

/// A place in a table, in millionths.
fn place(random: u64) -> u32 {
    u32::try_from(random % 1_000_000).unwrap_or_default()
}

fn milliseconds(us: u64) -> String {
    format!("{}.{:03} ms", us / 1000, us % 1000)
}

fn judge(input: &HydrateInput, output: &HydrateOutput, not_read: &NotRead) -> Check {
    const NAME: &str = "read latency";
    let expected = format!("95 of 100 reads within {}", input.p95);
    let NotRead { missing, left_out, empty } = not_read;
    if output.reads == 0 || !missing.is_empty() {
        let gone = missing.iter().map(|table| format!("{table} is not there"));
        let why: Vec<_> = gone.chain(left_out.iter().cloned()).collect();
        let why = if why.is_empty() { "no page could be read".to_owned() } else { shortened(&why) };
        return Check::not_made(NAME, expected, why);
    }
    let after = match output.hydrated_after {
        Some(after) => format!("after {after}"),
        None => format!("still, after {}", input.within),
    };
    let last = output.last;
    let observed = format!(
        "{} {after} (half of them {}, 99 of 100 {}; at first {})",
        milliseconds(last.p95_us),
        milliseconds(last.p50_us),
        milliseconds(last.p99_us),
        milliseconds(output.first.p95_us),
    );
    let holds = output.hydrated_after.is_some();
    let unread = format!("not read: {}", shortened(left_out));
    // What was slow is slow, whatever else there is.
    if holds && !left_out.is_empty() {
        return Check::not_made(NAME, expected, format!("{unread}; {observed} of the others"));
    }
    let check = Check::made(NAME, expected, observed, holds).over(output.reads);
    let nothing = format!("no page to read in {}", shortened(empty));
    let notes = [(!left_out.is_empty(), unread), (!empty.is_empty(), nothing)];
    let notes: Vec<_> = notes.into_iter().filter_map(|(is, note)| is.then_some(note)).collect();
    if notes.is_empty() { check } else { check.note(notes.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StepId;
    use crate::outside::fake::{FakeOutside, context};

    #[test]
    fn quantiles_are_the_times_that_so_many_reads_did_not_exceed() {
        let reads = (1..=200).map(Duration::from_micros).collect();
        let latency = Latency::of(reads).unwrap();
        assert_eq!(latency, Latency { p50_us: 100, p95_us: 190, p99_us: 198, max_us: 200 });
        let one = Latency::of(vec![Duration::from_micros(7)]).unwrap();
        assert_eq!(one, Latency { p50_us: 7, p95_us: 7, p99_us: 7, max_us: 7 });
        assert_eq!(Latency::of(Vec::new()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn regression_each_step_and_each_attempt_reads_places_of_its_own() {
        let (mut context, ..) = context(FakeOutside::default());
        let first = seed_of(&context);
        assert_eq!(seed_of(&context), first);
        context.clock.sleep(Duration::from_secs(1)).await;
        let again = seed_of(&context);
        context.step = StepId::new("another");
        let another = seed_of(&context);
        assert_eq!(BTreeSet::from([first, again, another]).len(), 3);
        let places = |seed| (0..200).map(move |sample| place(mixed(seed, sample)) / 1_000);
        let read: BTreeSet<u32> = places(first).collect();
        let same = places(again).filter(|place| read.contains(place)).count();
        assert!(same < 100, "{same} of 200 are in the same thousandths of the table");
    }

    #[test]
    fn regression_a_table_that_was_not_read_leaves_it_open_and_hides_no_slow_one() {
        let input: HydrateInput = serde_json::from_value(serde_json::json!({
            "endpoint": "db.test", "database": "orders",
            "credentials": {"password_from_env": "PASSWORD", "user": "ro"},
        }))
        .unwrap();
        let output = |hydrated_after: Option<Duration>| HydrateOutput {
            hydrated_after: hydrated_after.map(HumanDuration),
            reads: 20,
            rounds: 1,
            first: Latency::default(),
            last: Latency::default(),
        };
        let (fast, slow) = (output(Some(Duration::from_secs(1))), output(None));
        let denied = || NotRead {
            left_out: vec!["public.ledger: SQLSTATE 42501: permission denied".to_owned()],
            ..NotRead::default()
        };
        assert_eq!(judge(&input, &fast, &NotRead::default()).outcome, Outcome::Passed);
        let open = judge(&input, &fast, &denied());
        assert_eq!(open.outcome, Outcome::Inconclusive);
        assert!(open.note.unwrap().contains("public.ledger"));
        let failed = judge(&input, &slow, &denied());
        assert_eq!(failed.outcome, Outcome::Failed);
        assert!(failed.note.unwrap().contains("public.ledger"));
        let empty = NotRead { empty: vec!["public.archive".to_owned()], ..NotRead::default() };
        let passed = judge(&input, &fast, &empty);
        assert_eq!(passed.outcome, Outcome::Passed);
        assert_eq!(passed.note.unwrap(), "no page to read in public.archive");
    }
}
