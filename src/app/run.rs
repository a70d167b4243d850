use super::estate;
use super::history::History;
use super::interrupt::Interrupts;
use super::journal_store::StoreUrl;
use super::load::{self, Ready};
use super::organisation::InForce;
use super::output::Output;
use super::progress::Progress;
use super::run_one::{self, Ended, NewRun};
use super::runs::{RunFolder, Store};
use super::world::Target;
use crate::action::Registry;
use crate::cli::{Format, RunArgs};
use crate::error::{Error, ExitCode, Result};
use crate::organisation::Asked;
use crate::outside::{UNKNOWN_USER, real::this_user};
use crate::providers;
use crate::time::Clock;
use serde_json::{Value, json};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

/// `redrill run`
pub(super) fn run(args: &RunArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let registry = providers::registry();
    let limits = InForce::of(&args.limits, output)?;
    let mut ready =
        load::plans(&args.scenarios, &registry, args.scenario.mode(), &args.scenario, output)?;
    for one in &mut ready {
        one.plan.deviations.extend(deviations(args));
    }
    let targets: Vec<Target> = ready.iter().map(|one| target(args, one)).collect::<Result<_>>()?;
    for (one, target) in ready.iter().zip(&targets) {
        let (name, asked) = (one.path.display().to_string(), Asked::by(&one.plan));
        match target.kind().is_rehearsal() {
            true => limits.tell(&name, asked, output),
            false => limits.hold(&name, asked)?,
        }
    }
    let results = run_all(args, (&ready, &limits), &targets, &registry, store, output)?;
    summarise(args, &ready, results, output)
}

/// What on the command line weakens an objective, a check or the guard.
fn deviations(args: &RunArgs) -> Vec<String> {
    let set = args.scenario.set.iter().map(|(name, value)| format!("--set {name}={value}"));
    let inputs = args.scenario.inputs.iter().map(|file| format!("--inputs {}", file.display()));
    let keep = args
        .keep
        .iter()
        .map(|keep| format!("--keep {keep}: what was made is to stay for that long"));
    set.chain(inputs).chain(keep).collect()
}

fn target(args: &RunArgs, ready: &Ready) -> Result<Target> {
    if let Some(url) = &args.target.endpoint_url {
        return Ok(Target::Endpoint(url.clone()));
    }
    if !args.target.sandbox {
        return Ok(Target::Real);
    }
    let path = estate::path_for(&ready.path, &ready.plan.name, args.target.estate.as_deref())?;
    let estate = Box::new(estate::read(&path)?);
    Ok(Target::Sandbox { estate, faults: estate::faults(&args.target.faults)? })
}

/// Each scenario is a run of its own, on a thread of its own; `jobs` of them at the same time.
fn run_all(
    args: &RunArgs,
    (ready, limits): (&[Ready], &InForce),
    targets: &[Target],
    registry: &Registry,
    store: &Store,
    output: &Output,
) -> Result<Vec<Result<Ended>>> {
    let interrupts = Interrupts::default();
    let (done, watching) = watch::channel(false);
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<Ended>>>> =
        ready.iter().map(|_| Mutex::new(None)).collect();
    let jobs = usize::from(args.jobs).min(ready.len());
    std::thread::scope(|scope| {
        let worker = || {
            loop {
                let place = next.fetch_add(1, Ordering::SeqCst);
                let (Some(one), Some(target)) = (ready.get(place), targets.get(place)) else {
                    break;
                };
                let around = (output, &interrupts);
                let ended = match interrupts.ended_by() {
                    Some(by) => Err(not_begun(one, by)),
                    None => {
                        let one = (one, limits);
                        run_ready(args, one, target.clone(), registry, store, around)
                    }
                };
                if let Ok(mut slot) = results[place].lock() {
                    *slot = Some(ended);
                }
            }
        };
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        scope.spawn(|| {
            listen_until(&interrupts, watching, output);
        });
        for worker in workers {
            // A panic outside of a run is a bug; the slot stays empty and is reported below.
            let _ = worker.join();
        }
        done.send_replace(true);
    });
    let died = || {
        let text = "a bug of redrill ended the run before it had begun, or after its end";
        Err(Error::broken(text).help("redrill runs tells which runs there are"))
    };
    let taken =
        results.into_iter().map(|slot| slot.into_inner().ok().flatten().unwrap_or_else(died));
    Ok(taken.collect())
}

fn not_begun(ready: &Ready, by: &str) -> Error {
    let scenario = ready.path.display();
    Error::cancelled(format!("{scenario} was not begun: ended by {by}"))
}

/// On the second signal the process leaves at once.
#[expect(
    clippy::disallowed_methods,
    reason = "the second ^C leaves at once, wherever the runs are"
)]
pub(super) fn listen_until(interrupts: &Interrupts, done: watch::Receiver<bool>, output: &Output) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    if runtime.block_on(interrupts.listen(done)) {
        let left: Vec<String> =
            interrupts.unfinished().iter().map(RunFolder::stopped_now).collect();
        let left =
            if left.is_empty() { "no run was under way".to_owned() } else { left.join("; ") };
        output.note(&format!("left at once: {left}"));
        std::process::exit(ExitCode::Cancelled.number().into());
    }
}

fn run_ready(
    args: &RunArgs,
    (ready, limits): (&Ready, &InForce),
    target: Target,
    registry: &Registry,
    store: &Store,
    (output, interrupts): (&Output, &Interrupts),
) -> Result<Ended> {
    // What a run makes bears its id: two runs outside of a rehearsal never have the same, whatever seed they are given.
    let (seed, id) = match &target {
        Target::Sandbox { estate, .. } => {
            let seed = args.seed.unwrap_or(estate.seed);
            (seed, seed)
        }
        _ => (args.seed.unwrap_or_else(seed_of_the_moment), seed_of_the_moment()),
    };
    let kept_at = store_of(args)?;
    let is_rehearsal = target.kind().is_rehearsal();
    let (run, number, folder) = store.begin(&ready.plan.name, id)?;
    let new = NewRun {
        plan: &ready.plan,
        registry,
        target,
        folder: folder.clone(),
        run,
        number,
        seed,
        operator: operator(),
        keep: args.keep,
        orders: interrupts.subscribe(&folder, None),
        hurry: interrupts.hurry(&folder),
        store: kept_at,
        // A rehearsal touches nothing: it is told what would be refused, and held to nothing.
        limits: if is_rehearsal { InForce::default() } else { limits.clone() },
    };
    whatever_happens(&folder, || run_in(args, ready, new, store, output))
}

/// A bug that ends a run is an error of this one: its folder is left as after any other, and the next run begins.
fn whatever_happens(folder: &RunFolder, run: impl FnOnce() -> Result<Ended>) -> Result<Ended> {
    let ended = panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        Err(Error::broken("a bug of redrill ended the run").help(folder.stopped_now()))
    });
    if ended.is_err() {
        folder.forget_if_nothing_happened();
    }
    ended
}

/// Where the journal is kept besides the disk.
fn store_of(args: &RunArgs) -> Result<Option<(StoreUrl, Option<String>)>> {
    let Some(url) = &args.store.store else { return Ok(None) };
    Ok(Some((url.parse()?, args.store.store_region.clone())))
}

fn run_in(
    args: &RunArgs,
    ready: &Ready,
    new: NewRun<'_>,
    store: &Store,
    output: &Output,
) -> Result<Ended> {
    new.folder.write("scenario.yaml", ready.text.as_bytes())?;
    let plan = serde_json::to_vec_pretty(&ready.plan)
        .map_err(|e| Error::broken(format!("the plan cannot be written: {e}")))?;
    new.folder.write("plan.json", &plan)?;
    let history = History::before(store, &ready.plan, new.number, &new.target.kind())?;
    let several = args.scenarios.len() > 1 || args.scenarios.iter().any(|path| path.is_dir());
    let mut progress = Progress::new(&ready.plan, *output, args.quiet, several);
    run_one::run(new, &mut progress, &history)
}

fn seed_of_the_moment() -> u64 {
    // Only uniqueness matters; JSON numbers keep 53 bits.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let now = runtime.map(|runtime| runtime.block_on(async { Clock::system().now() }));
    let moment = now.ok().and_then(|now| now.timestamp_nanos_opt()).unwrap_or_default();
    let host = crate::limits::read_file(Path::new("/etc/hostname"), 256).unwrap_or_default();
    let text = format!("{moment}/{}/{}", std::process::id(), String::from_utf8_lossy(&host));
    let digest = crate::ids::Digest::of(text.as_bytes());
    digest.as_bytes()[..6].iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

/// The user as the system knows them.
pub(super) fn operator() -> String {
    this_user().unwrap_or_else(|| UNKNOWN_USER.to_owned())
}

fn summarise(
    args: &RunArgs,
    ready: &[Ready],
    results: Vec<Result<Ended>>,
    output: &Output,
) -> Result<ExitCode> {
    if let [Err(_)] = results.as_slice() {
        let only = results.into_iter().next();
        return only
            .map_or(Ok(ExitCode::Inconclusive), |result| result.map(|_| ExitCode::Inconclusive));
    }
    let codes = results.iter().map(|result| match result {
        Ok(ended) => ended.exit_code(),
        Err(error) => error.exit_code(),
    });
    let code = ExitCode::worst(codes);
    match args.format {
        Format::Json => {
            let runs: Vec<Value> =
                ready.iter().zip(&results).map(|(one, result)| as_json(one, result)).collect();
            output.json(&json!({ "format": 1, "exit_code": code.number(), "runs": runs }))?;
        }
        Format::Text => {
            for (one, result) in ready.iter().zip(&results) {
                match result {
                    Ok(ended) => output.print(&ended.summary(output))?,
                    Err(error) => output.print(&format!("{}: error: {error}", one.plan.name))?,
                }
            }
            if results.len() > 1 {
                output.print(&table(ready, &results))?;
            }
        }
    }
    results.iter().flatten().for_each(|ended| ended.complain(output));
    Ok(code)
}

fn as_json(ready: &Ready, result: &Result<Ended>) -> Value {
    match result {
        Ok(ended) => json!({
            "scenario": ready.plan.name,
            "report_html": ended.html,
            "report": ended.report,
            "not_written": ended.unwritten.as_ref().map(Error::as_json),
        }),
        Err(error) => json!({
            "scenario": ready.plan.name,
            "error": error.as_json(),
        }),
    }
}

/// One line for each scenario.
fn table(ready: &[Ready], results: &[Result<Ended>]) -> String {
    let width = ready.iter().map(|one| one.plan.name.len()).max().unwrap_or(0);
    let mut text = String::from("\nAll together:\n");
    for (one, result) in ready.iter().zip(results) {
        let verdict = match result {
            Ok(ended) => ended.report.verdict.outcome.as_str(),
            Err(_) => "error",
        };
        text.push_str(&format!("  {:<width$}  {verdict}\n", one.plan.name));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::runs::tests::started;
    use crate::journal::WorldKind;

    #[test]
    fn regression_a_bug_ends_one_run_and_says_what_is_left_of_it() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().to_owned());
        let ended = |folder: &RunFolder| {
            whatever_happens(folder, || panic!("a bug")).map(|_| ()).unwrap_err()
        };
        let (_, _, folder) = store.begin("orders-db", 7).unwrap();
        folder.write("plan.json", b"{}").unwrap();
        let not_begun = ended(&folder);
        assert!(not_begun.help_text().unwrap().contains("has done nothing"), "{not_begun:?}");
        assert!(!folder.path.exists(), "its number is given back");
        let (_, folder) = started(&store, WorldKind::Real);
        let begun = ended(&folder);
        assert!(begun.help_text().unwrap().contains("redrill resume"), "{begun:?}");
        assert_eq!(begun.exit_code(), ExitCode::Inconclusive);
        assert!(folder.journal().is_file());
    }
}
