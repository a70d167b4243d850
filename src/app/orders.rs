//! Orders to a run that is under way, from another terminal: a file for each, `order-….json`, in the run's folder.
//!
//! Whoever gives an order writes the file; the process of the run takes it away, and with it the order. An order that
//! nobody takes is withdrawn: it must not wait for a process that is started later. None takes the place of another one.

use super::refusal::cannot_be;
use super::runs::RunFolder;
use crate::engine::{LONGEST_REMOVAL, Order};
use crate::error::{Error, Result};
use crate::journal::{self, Hold};
use crate::limits;
use crate::time::{Clock, HumanDuration};
use serde::{Deserialize, Serialize};
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a run looks for orders.
pub(super) const LOOK: Duration = Duration::from_millis(200);

/// How long the giver waits for the order to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// An order as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
enum Written {
    Cancel { by: String, incident: bool },
    Pause { by: String },
    Continue { by: String },
}

impl From<Order> for Written {
    fn from(order: Order) -> Self {
        match order {
            Order::Cancel { by, incident } => Self::Cancel { by, incident },
            Order::Pause { by } => Self::Pause { by },
            Order::Continue { by } => Self::Continue { by },
        }
    }
}

impl From<Written> for Order {
    fn from(written: Written) -> Self {
        match written {
            Written::Cancel { by, incident } => Self::Cancel { by, incident },
            Written::Pause { by } => Self::Pause { by },
            Written::Continue { by } => Self::Continue { by },
        }
    }
}

/// How many orders are taken at once; more are taken next time.
const AT_ONCE: usize = 100;

/// What the names of orders begin and end with; between them the time at which they were given, and the process.
const NAME: (&str, &str) = ("order-", ".json");

/// The process of the run may be another user's than whoever gives the order (root, for one): it has to be able to read it. Who
/// ends or halts a run is no secret, and nobody comes into a folder that is closed.
const FOR_ITS_PROCESS: u32 = 0o644;

/// Takes the orders that lie in the folder of a run: the urgent ones first, else in the order in which they were given. What is no
/// order is taken away, too; what cannot be read stays, so that its giver hears that nobody took it.
pub(super) fn take(folder: &Path) -> Vec<Order> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let names = names.filter_map(|name| name.into_string().ok());
    let is_order = |name: &String| name.starts_with(NAME.0) && name.ends_with(NAME.1);
    let mut names: Vec<String> = names.filter(is_order).take(AT_ONCE).collect();
    names.sort();
    let mut orders: Vec<Order> =
        names.iter().filter_map(|name| take_one(&folder.join(name))).collect();
    orders.sort_by_key(|order| !matches!(order, Order::Cancel { incident: true, .. }));
    orders
}

fn take_one(place: &Path) -> Option<Order> {
    // Whoever opens a pipe waits until somebody writes: nothing would be heard any more, not even ^C.
    let read = fs::metadata(place).and_then(|found| match found.is_file() {
        true => limits::read_file(place, limits::APPROVAL_BYTES),
        false => Ok(Vec::new()),
    });
    take_away(place, read)
}

fn take_away(place: &Path, read: io::Result<Vec<u8>>) -> Option<Order> {
    let bytes = match read {
        // It is no order.
        Err(e) if e.kind() == io::ErrorKind::FileTooLarge => Vec::new(),
        Err(_) => return None,
        Ok(bytes) => bytes,
    };
    // Somebody may have withdrawn it meanwhile: then it is not given.
    fs::remove_file(place).ok()?;
    serde_json::from_slice::<Written>(&bytes).ok().map(Order::from)
}

/// True when a process is at work on the run: it holds the journal's lock.
pub(super) fn is_at_work(folder: &RunFolder) -> Result<bool> {
    Hold::is_held(&folder.journal()).map_err(|e| folder.refused(&e))
}

/// Who looks at a run has a share of the lock of its journal, for a moment: it is tried for so often, and so long apart.
const HOLD_TRIES: u32 = 5;
const HOLD_TRIED_EVERY: Duration = Duration::from_millis(20);

/// Takes the lock of a run's journal, to work on it; `None` when another process does.
pub(super) fn hold(folder: &RunFolder) -> Result<Option<Hold>> {
    runtime()?.block_on(held(folder))
}

/// As [`hold`], within a runtime.
pub(super) async fn held(folder: &RunFolder) -> Result<Option<Hold>> {
    let take = || Hold::take(&folder.journal()).map_err(|e| folder.refused(&e));
    let clock = Clock::system();
    for _ in 0..HOLD_TRIES {
        if let Some(hold) = take()? {
            return Ok(Some(hold));
        }
        clock.sleep(HOLD_TRIED_EVERY).await;
    }
    take()
}

/// Gives an order to the process of a run, and waits until it has taken it.
///
/// # Errors
/// When the run is over, no process is at work on it, or that does not take the order within ten seconds.
pub(super) fn give(folder: &RunFolder, order: Order) -> Result<()> {
    if has_ended(folder) {
        return Err(is_over(folder));
    }
    if !is_at_work(folder)? {
        let help = match folder.is_rehearsal() {
            true => folder.stopped(),
            false => {
                let abort = folder.command(abort_like(&order));
                format!("{}; {abort} ends it and removes what it made", folder.stopped())
            }
        };
        return Err(
            Error::bad_input(format!("no process is at work on {}", folder.name())).help(help)
        );
    }
    let abort = abort_like(&order);
    let place = write_down(folder, order)?;
    if waited_until_taken(&place)? {
        return Ok(());
    }
    let withdrawn = fs::remove_file(&place);
    match withdrawn {
        // It was taken at the last moment.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(Error::broken(format!(
            "the process of {} did not take the order within {} s; it is withdrawn",
            folder.name(),
            PATIENCE.as_secs()
        ))
        .help(format!(
            "it may be halted (^Z), or wait for its disk: let it go on, or end it (kill -9; fuser {} names it), and then {} removes what \
             the run has made in its place",
            folder.journal().display(),
            folder.command(abort)
        ))),
    }
}

/// The command that ends a run as urgently as this order would have.
fn abort_like(order: &Order) -> &'static str {
    match order {
        Order::Cancel { incident: true, .. } => "abort --incident",
        _ => "abort",
    }
}

/// A journal that cannot be read does not keep anybody from giving an order.
fn has_ended(folder: &RunFolder) -> bool {
    let contents = journal::read(&folder.journal()).ok();
    let state = contents.and_then(|contents| folder.fold(&contents.records).ok());
    state.is_some_and(|state| state.finished.is_some())
}

/// What is said of a run that has come to its end, to whoever would steer it.
pub(super) fn is_over(folder: &RunFolder) -> Error {
    let mut help = format!("{} tells what it left behind", folder.command("show"));
    if !folder.is_rehearsal() {
        let reap = folder.command("reap --run");
        help.push_str(&format!("; {reap} --all --yes removes what was kept"));
    }
    Error::bad_input(format!("{} is over", folder.name())).help(help)
}

/// What is said of a run that is being ended, once that is sure.
pub(super) fn ending(folder: &RunFolder, incident: bool) -> String {
    format!(
        "ending {}: each removal is given up after {}, and then said to be left behind{}",
        folder.name(),
        HumanDuration(LONGEST_REMOVAL),
        if incident { "; everything is removed at once" } else { "" }
    )
}

/// Writes an order into the folder of a run, whole or not at all.
fn write_down(folder: &RunFolder, order: Order) -> Result<PathBuf> {
    let text = serde_json::to_vec(&Written::from(order))
        .map_err(|e| Error::broken(format!("the order cannot be written: {e}")))?;
    let place = folder.path.join(name_of_the_moment()?);
    let cannot = |e: &io::Error| cannot_be("written", &place, &folder.path, e);
    let mut file = tempfile::NamedTempFile::new_in(&folder.path).map_err(|e| cannot(&e))?;
    // Of the open file: in a folder of somebody else a name may lead anywhere.
    let readable = Permissions::from_mode(FOR_ITS_PROCESS);
    file.as_file().set_permissions(readable).map_err(|e| cannot(&e))?;
    file.write_all(&text).and_then(|()| file.as_file().sync_all()).map_err(|e| cannot(&e))?;
    file.persist(&place).map_err(|e| cannot(&e.error))?;
    Ok(place)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.map_err(|e| Error::broken(format!("no runtime: {e}")))
}

fn name_of_the_moment() -> Result<String> {
    let now = runtime()?.block_on(async { Clock::system().now() });
    let nanos = now.timestamp_nanos_opt().unwrap_or_default();
    Ok(format!("{}{nanos:020}-{}{}", NAME.0, std::process::id(), NAME.1))
}

fn waited_until_taken(place: &Path) -> Result<bool> {
    Ok(runtime()?.block_on(async {
        let clock = Clock::system();
        let taken = async {
            while place.exists() {
                clock.sleep(LOOK / 2).await;
            }
        };
        tokio::time::timeout(PATIENCE, taken).await.is_ok()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::runs::{Store, tests::started};
    use crate::journal::{Event, Journal, Outcome, WorldKind};
    use std::process::Command;
    use std::sync::mpsc;

    fn put(folder: &Path, name: &str, order: &Order) {
        fs::write(folder.join(name), serde_json::to_vec(&Written::from(order.clone())).unwrap())
            .unwrap();
    }

    fn by(name: &str) -> String {
        name.to_owned()
    }

    #[test]
    fn an_order_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(take(folder.path()), []);
        let order = Order::Cancel { by: by("anna"), incident: true };
        put(folder.path(), &name_of_the_moment().unwrap(), &order);
        assert_eq!(take(folder.path()), [order]);
        assert_eq!(take(folder.path()), []);
        fs::write(folder.path().join("order-1.json"), b"rubbish").unwrap();
        assert_eq!(take(folder.path()), []);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn regression_no_order_takes_the_place_of_another_and_an_incident_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let pause = Order::Pause { by: by("ben") };
        let end = Order::Cancel { by: by("anna"), incident: true };
        let go_on = Order::Continue { by: by("ben") };
        for (name, order) in
            [("order-1-7.json", &pause), ("order-2-8.json", &end), ("order-3-7.json", &go_on)]
        {
            put(folder.path(), name, order);
        }
        assert_eq!(take(folder.path()), [end, pause, go_on]);
    }

    /// `abort --incident` by root on the run of somebody else: the run's process took the file away and could not read it.
    #[test]
    fn regression_an_order_can_be_read_by_the_user_of_the_run_whoever_gives_it() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder { path: folder.path().to_owned() };
        let order = Order::Cancel { by: by("root"), incident: true };
        let place = write_down(&run, order.clone()).unwrap();
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(take(&run.path), [order]);
        assert_eq!(fs::read_dir(&run.path).unwrap().count(), 0);
    }

    #[test]
    fn regression_an_order_that_may_not_be_read_is_not_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder { path: folder.path().to_owned() };
        let order = Order::Cancel { by: by("root"), incident: true };
        let place = write_down(&run, order.clone()).unwrap();
        assert_eq!(take_away(&place, Err(io::ErrorKind::PermissionDenied.into())), None);
        assert!(place.exists(), "its giver waits for it to be taken");
        assert_eq!(take(&run.path), [order]);
        assert_eq!(take_away(&place, Ok(Vec::new())), None, "it was withdrawn");
    }

    #[test]
    fn regression_an_order_that_cannot_be_read_now_stays_and_is_not_given() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder { path: folder.path().to_owned() };
        let order = Order::Cancel { by: by("anna"), incident: false };
        let place = write_down(&run, order.clone()).unwrap();
        for kind in [io::ErrorKind::Interrupted, io::ErrorKind::TimedOut, io::ErrorKind::Other] {
            assert_eq!(take_away(&place, Err(kind.into())), None);
            assert!(place.exists(), "{kind}: its giver waits for it to be taken");
        }
        assert_eq!(take(&run.path), [order]);
        assert!(!place.exists());
    }

    #[test]
    fn regression_a_pipe_with_the_name_of_an_order_is_taken_away_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("order-1-7.json");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let order = Order::Cancel { by: by("anna"), incident: true };
        put(folder.path(), "order-2-8.json", &order);
        let (path, (sender, receiver)) = (folder.path().to_owned(), mpsc::channel());
        std::thread::spawn(move || sender.send(take(&path)));
        let taken = receiver.recv_timeout(Duration::from_secs(30));
        assert_eq!(taken, Ok(vec![order]), "nobody writes into the pipe");
        assert!(!pipe.exists());
    }

    #[test]
    fn what_is_too_large_is_no_order_and_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let order = Order::Pause { by: by("ben") };
        let mut text = serde_json::to_vec(&Written::from(order.clone())).unwrap();
        // Without the limit it would be one: blanks behind it are nothing.
        text.resize(usize::try_from(limits::APPROVAL_BYTES).unwrap(), b' ');
        let place = folder.path().join("order-1-7.json");
        fs::write(&place, &text).unwrap();
        assert_eq!(take(folder.path()), [order]);
        text.push(b' ');
        fs::write(&place, &text).unwrap();
        assert_eq!(take(folder.path()), []);
        assert!(!place.exists());
    }

    #[test]
    fn regression_nobody_is_told_to_resume_a_run_that_is_over() {
        let root = tempfile::tempdir().unwrap();
        let (_, run) = started(&Store::new(root.path().to_owned()), WorldKind::Real);
        let (mut journal, _) = Journal::reopen(&run.journal()).unwrap();
        let finished = Event::RunFinished { outcome: Outcome::Passed };
        journal.stage(chrono::DateTime::UNIX_EPOCH, Duration::ZERO, finished).unwrap();
        journal.commit().unwrap();
        let refused = |order: Order| {
            let refused = give(&run, order).unwrap_err();
            assert_eq!(refused.to_string(), "orders-db-0001 is over");
            let help = refused.help_text().unwrap();
            assert!(help.contains("redrill show orders-db-0001"), "{help}");
            assert!(!help.contains("resume"), "{help}");
        };
        // Its process may still write the reports.
        refused(Order::Pause { by: by("anna") });
        drop(journal);
        refused(Order::Pause { by: by("anna") });
        refused(Order::Continue { by: by("anna") });
    }

    /// Its estate ended with its process.
    #[test]
    fn regression_nobody_is_told_to_remove_what_a_rehearsal_has_kept() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().to_owned());
        let (_, real) = started(&store, WorldKind::Real);
        let (_, rehearsal) = started(&store, WorldKind::Rehearsal { estate: "test".to_owned() });
        for (run, is_reaped) in [(real, true), (rehearsal, false)] {
            let over = is_over(&run);
            let help = over.help_text().unwrap();
            assert!(help.contains(" tells what it left behind"), "{help}");
            assert_eq!(help.contains("redrill reap"), is_reaped, "{help}");
        }
    }

    #[test]
    fn a_run_on_which_a_process_works_is_not_taken_from_it() {
        let root = tempfile::tempdir().unwrap();
        let (_, run) = started(&Store::new(root.path().to_owned()), WorldKind::Real);
        let first = hold(&run).unwrap();
        assert!(first.is_some() && hold(&run).unwrap().is_none());
        drop(first);
        assert!(hold(&run).unwrap().is_some());
    }

    #[test]
    fn regression_the_command_in_place_of_an_order_that_was_not_taken_is_as_urgent() {
        let root = tempfile::tempdir().unwrap();
        let (_, run) = started(&Store::new(root.path().to_owned()), WorldKind::Real);
        for (incident, command) in
            [(true, "redrill abort --incident orders-db-0001"), (false, "redrill abort orders-db")]
        {
            let refused = give(&run, Order::Cancel { by: by("anna"), incident }).unwrap_err();
            let help = refused.help_text().unwrap();
            assert!(help.contains(command), "{help}");
        }
    }

    #[test]
    fn nobody_takes_orders_for_a_run_without_a_process() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("journal.jsonl"), b"").unwrap();
        let run = RunFolder { path: folder.path().to_owned() };
        let refused = give(&run, Order::Pause { by: "anna".to_owned() }).unwrap_err();
        assert!(refused.to_string().contains("no process is at work"), "{refused}");
        assert_eq!(take(&run.path), []);
    }
}
