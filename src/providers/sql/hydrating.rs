//! Rounds of reads until they are fast, and whether they were.

use super::checksums::mixed;
use super::hydrate::{HydrateInput, HydrateOutput, Latency, PARTS};
use super::judge::no_value;
use super::recent::{Recent, Slowest, Standing, slowest, standing};
use super::rows::shortened;
use crate::action::{StepContext, StepError};
use crate::ids::Digest;
use crate::journal::{Check, Outcome};
use crate::outside::ladder::{Reading, Table};
use crate::outside::{DatabaseSession, OutsideError};
use crate::time::HumanDuration;
use std::collections::BTreeSet;
use std::time::Duration;

/// A database whose pages are read.
pub(super) struct Hydrating<'a> {
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
    /// The newest reads of each table.
    recent: Vec<Recent>,
    /// Reads were fast at the first look, and that was later than they may take: a process had died, and nobody knows since when.
    since_when_is_unknown: bool,
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

impl<'a> Hydrating<'a> {
    pub(super) fn of(
        context: &'a StepContext,
        input: &'a HydrateInput,
        session: &'a mut dyn DatabaseSession,
        tables: &'a [Table],
    ) -> Self {
        let names: Vec<_> = tables.iter().map(|table| &table.name).collect();
        let missing = input.tables.missing(&names).into_iter().map(str::to_owned).collect();
        let (seed, left_out, empty) = (seed_of(context), Vec::new(), BTreeSet::new());
        let recent = tables.iter().map(|table| Recent::of(table.name.to_string())).collect();
        let since_when_is_unknown = false;
        Self {
            context,
            input,
            session,
            tables,
            seed,
            missing,
            left_out,
            empty,
            recent,
            since_when_is_unknown,
        }
    }

    /// Whether reads were fast.
    pub(super) fn check(&self, output: &HydrateOutput) -> Check {
        let slowest = slowest(&self.recent, self.input.p95.0);
        let check = judge(self.input, output, &self.not_read(), slowest);
        if check.outcome == Outcome::Passed && self.since_when_is_unknown {
            let why = format!(
                "they are fast now, and nobody looked before {} were over: {}",
                self.input.within, check.observed
            );
            return Check::not_made(check.name, check.expected, why);
        }
        check
    }

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

    /// `before` is how long ago the step had begun, in a process that has died since.
    pub(super) async fn rounds(
        &mut self,
        began: Duration,
        before: Duration,
    ) -> Result<HydrateOutput, StepError> {
        let clock = &self.context.clock;
        let mut was_slow = false;
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
            let passed = before + clock.elapsed().saturating_sub(began);
            self.context.progress(&format!("reads take {}", milliseconds(latency.p95_us)));
            let warmed = !self.input.warm_up || output.rounds >= u64::from(PARTS);
            output.rounds += 1;
            match (standing(&self.recent, self.input.p95.0), warmed) {
                (Standing::Fast, true) => {
                    let is_late = !before.is_zero() && passed > self.input.within.0;
                    self.since_when_is_unknown = is_late && !was_slow;
                    output.hydrated_after = Some(HumanDuration(passed));
                    return Ok(output);
                }
                // It takes more reads, and there is nothing to wait for.
                (Standing::TooFew, true) => continue,
                (Standing::Slow, _) => was_slow = true,
                _ => {}
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

    /// Reads as many pages as asked for, spread over the tables, at places of this round's own. Where there are so many tables
    /// that too few reads are left for each, those of several rounds are taken together.
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
                Ok(took) => {
                    if took.is_empty() {
                        self.empty.insert(table.name.to_string());
                    }
                    self.recent[number].take(&took, places.len(), self.input.p95.0);
                    all.extend(took);
                }
                Err(error) => {
                    self.recent[number].is_left_out = true;
                    self.leave_out(table, error)?;
                }
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

    fn leave_out(&mut self, table: &Table, error: OutsideError) -> Result<(), StepError> {
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
    let step = step.as_bytes().iter().take(8).fold(0, |all, byte| (all << 8) | u64::from(*byte));
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

/// The slowest table decides: one that is cold would not be seen among many that are warm.
fn judge(
    input: &HydrateInput,
    output: &HydrateOutput,
    not_read: &NotRead,
    slowest: Option<Slowest>,
) -> Check {
    const NAME: &str = "read latency";
    let expected = format!("95 of 100 reads of each table within {}", input.p95);
    let NotRead { missing, left_out, empty } = not_read;
    let Some(slowest) = slowest.filter(|_| output.reads > 0 && missing.is_empty()) else {
        let gone = missing.iter().map(|table| format!("{table} is not there"));
        let why: Vec<_> = gone.chain(left_out.iter().cloned()).collect();
        let why = if why.is_empty() { "no page could be read".to_owned() } else { shortened(&why) };
        return Check::not_made(NAME, expected, why);
    };
    let after = match output.hydrated_after {
        Some(after) => format!("after {after}"),
        None => format!("still, after {}", input.within),
    };
    let Slowest { table, of, first, last } = slowest;
    let among = if of > 1 { format!(", the slowest of {of} tables") } else { String::new() };
    let observed = format!(
        "{table}{among}: {} {after} (half of them {}, 99 of 100 {}; at first {})",
        milliseconds(last.p95_us),
        milliseconds(last.p50_us),
        milliseconds(last.p99_us),
        milliseconds(first.p95_us),
    );
    let holds = output.hydrated_after.is_some();
    let unread = format!("not read: {}", shortened(left_out));
    // What was slow is slow, whatever else there is.
    if holds && !left_out.is_empty() {
        return Check::not_made(NAME, expected, format!("{unread}; {observed} of the others"));
    }
    let check = Check::made(NAME, expected, observed, holds).over(output.reads);
    let nothing = format!("no page to read in {}", shortened(empty));
    let warmed = "warm_up had read these pages before: those of indexes and of large values may still be slow";
    let notes = [
        (!left_out.is_empty(), unread),
        (!empty.is_empty(), nothing),
        (input.warm_up, warmed.to_owned()),
    ];
    let notes: Vec<_> = notes.into_iter().filter_map(|(is, note)| is.then_some(note)).collect();
    if notes.is_empty() { check } else { check.note(notes.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StepId;
    use crate::outside::fake::{FakeOutside, context};
    use crate::outside::ladder::TableName;
    use crate::outside::{Answer, Rows};

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

    fn looked_at_within(within: &str) -> HydrateInput {
        serde_json::from_value(serde_json::json!({
            "endpoint": "db.test", "database": "orders", "within": within,
            "credentials": {"password_from_env": "PASSWORD", "user": "ro"},
        }))
        .unwrap()
    }

    /// A server whose reads of every page take a millisecond, and fifty in one table.
    struct OneIsCold;

    impl DatabaseSession for OneIsCold {
        fn query<'a>(&'a mut self, sql: &'a str) -> Answer<'a, Rows> {
            Box::pin(std::future::ready(Err(OutsideError::NotRehearsed(sql.to_owned()))))
        }

        fn latencies<'a>(&'a mut self, reading: &'a Reading<'a>) -> Answer<'a, Vec<Duration>> {
            let is_cold = reading.table.name.name == "ledger_big";
            let took = Duration::from_millis(if is_cold { 50 } else { 1 });
            let took = vec![took; reading.places.len()];
            Box::pin(std::future::ready(Ok(took)))
        }
    }

    fn table(name: &str) -> Table {
        Table {
            name: TableName::in_schema("public", name),
            columns: vec!["id".to_owned()],
            key: vec!["id".to_owned()],
            whole_number_key: true,
            inexact: Vec::new(),
            hashes_alike: true,
        }
    }

    async fn looked_at_once(context: &StepContext, tables: &[Table]) -> (HydrateOutput, Check) {
        looked_at_again(context, tables, "0s", Duration::ZERO).await
    }

    /// By a process that goes on with a step that had begun so long ago.
    async fn looked_at_again(
        context: &StepContext,
        tables: &[Table],
        within: &str,
        before: Duration,
    ) -> (HydrateOutput, Check) {
        let (input, mut session) = (looked_at_within(within), OneIsCold);
        let mut hydrating = Hydrating::of(context, &input, &mut session, tables);
        let output = hydrating.rounds(context.clock.elapsed(), before).await.unwrap();
        let check = hydrating.check(&output);
        (output, check)
    }

    #[tokio::test(start_paused = true)]
    async fn regression_what_loads_while_no_process_looks_is_not_known_to_have_been_in_time() {
        let (context, ..) = context(FakeOutside::default());
        let warm = [table("warm")];
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let (output, check) = looked_at_again(&context, &warm, "3h", hours(2)).await;
        assert_eq!(check.outcome, Outcome::Passed);
        assert_eq!(
            output.hydrated_after,
            Some(HumanDuration(hours(2))),
            "counted from its beginning"
        );
        let (_, check) = looked_at_again(&context, &warm, "3h", hours(10)).await;
        assert_eq!(check.outcome, Outcome::Inconclusive);
        let said = format!("{} {:?}", check.observed, check.note);
        assert!(said.contains("nobody looked before 3h were over"), "{said}");
        // What is still slow after all that time is too slow.
        let cold = [table("ledger_big")];
        let (_, check) = looked_at_again(&context, &cold, "3h", hours(10)).await;
        assert_eq!(check.outcome, Outcome::Failed);
    }

    #[tokio::test(start_paused = true)]
    async fn regression_one_cold_table_among_many_warm_ones_is_named_and_fails() {
        let (context, ..) = context(FakeOutside::default());
        let mut tables: Vec<_> = (0..24).map(|number| table(&format!("warm_{number}"))).collect();
        let began = context.clock.elapsed();
        let (warm, check) = looked_at_once(&context, &tables).await;
        assert_eq!(check.outcome, Outcome::Passed);
        // Nine pages of each in a round: it takes three rounds to have twenty of each, and no pause between them.
        assert_eq!((warm.rounds, warm.reads), (3, 3 * 24 * 9));
        assert_eq!(context.clock.elapsed(), began);

        tables.push(table("ledger_big"));
        let (cold, check) = looked_at_once(&context, &tables).await;
        assert_eq!((cold.rounds, cold.reads), (1, 25 * 8));
        assert!(cold.hydrated_after.is_none());
        assert_eq!(check.outcome, Outcome::Failed);
        let named = "public.ledger_big, the slowest of 25 tables: 50.000 ms still";
        assert!(check.observed.starts_with(named), "{}", check.observed);
    }

    #[test]
    fn regression_a_table_that_was_not_read_leaves_it_open_and_hides_no_slow_one() {
        let input = looked_at_within("2h");
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
        let judge = |output: &HydrateOutput, not_read: &NotRead| {
            let (first, last) = (output.first, output.last);
            let slowest = Slowest { table: "public.orders".to_owned(), of: 2, first, last };
            judge(&input, output, not_read, Some(slowest))
        };
        let passed = judge(&fast, &NotRead::default());
        assert_eq!(passed.outcome, Outcome::Passed);
        assert!(passed.observed.starts_with("public.orders, the slowest of 2 tables: 0.000 ms"));
        let open = judge(&fast, &denied());
        assert_eq!(open.outcome, Outcome::Inconclusive);
        assert!(open.note.unwrap().contains("public.ledger"));
        let failed = judge(&slow, &denied());
        assert_eq!(failed.outcome, Outcome::Failed);
        assert!(failed.note.unwrap().contains("public.ledger"));
        let empty = NotRead { empty: vec!["public.archive".to_owned()], ..NotRead::default() };
        let passed = judge(&fast, &empty);
        assert_eq!(passed.outcome, Outcome::Passed);
        assert_eq!(passed.note.unwrap(), "no page to read in public.archive");
    }
}
