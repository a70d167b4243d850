//! Orders to a run that is under way, from another terminal: `order.json` in the run's folder.
//!
//! Whoever gives an order writes the file; the process of the run takes it away, and with it the order. An order that
//! nobody takes is withdrawn: it must not wait for a process that is started later.

use super::runs::RunFolder;
use crate::engine::Order;
use crate::error::{Error, Result};
use crate::journal::Hold;
use crate::limits;
use crate::time::Clock;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
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

/// Where the orders of one run are put.
pub(super) fn place(folder: &RunFolder) -> PathBuf {
    folder.path.join("order.json")
}

/// Takes the order that lies there, if one does. What cannot be read is no order, and is taken away, too.
pub(super) fn take(place: &Path) -> Option<Order> {
    let bytes = limits::read_file(place, limits::APPROVAL_BYTES).unwrap_or_default();
    // Somebody may have withdrawn it meanwhile: then it is not given.
    fs::remove_file(place).ok()?;
    serde_json::from_slice::<Written>(&bytes).ok().map(Order::from)
}

/// True when a process is at work on the run: it holds the journal's lock.
pub(super) fn is_at_work(folder: &RunFolder) -> Result<bool> {
    Ok(Hold::take(&folder.journal()).map_err(|e| folder.refused(&e))?.is_none())
}

/// Gives an order to the process of a run, and waits until it has taken it.
///
/// # Errors
/// When no process is at work on the run, or it does not take the order within ten seconds.
pub(super) fn give(folder: &RunFolder, order: Order) -> Result<()> {
    if !is_at_work(folder)? {
        let help = match folder.is_rehearsal() {
            true => folder.stopped(),
            false => {
                format!("{}; redrill abort ends it and removes what it made", folder.stopped())
            }
        };
        return Err(
            Error::bad_input(format!("no process is at work on {}", folder.name())).help(help)
        );
    }
    let text = serde_json::to_vec(&Written::from(order))
        .map_err(|e| Error::broken(format!("the order cannot be written: {e}")))?;
    let place = folder.write("order.json", &text)?;
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
        ))),
    }
}

fn waited_until_taken(place: &Path) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|e| Error::broken(format!("no runtime: {e}")))?;
    Ok(runtime.block_on(async {
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

    #[test]
    fn an_order_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("order.json");
        assert_eq!(take(&place), None);
        let order = Order::Cancel { by: "anna".to_owned(), incident: true };
        fs::write(&place, serde_json::to_vec(&Written::from(order.clone())).unwrap()).unwrap();
        assert_eq!(take(&place), Some(order));
        assert_eq!(take(&place), None);
        fs::write(&place, b"rubbish").unwrap();
        assert_eq!(take(&place), None);
        assert!(!place.exists());
    }

    #[test]
    fn nobody_takes_orders_for_a_run_without_a_process() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("journal.jsonl"), b"").unwrap();
        let run = RunFolder { path: folder.path().to_owned() };
        let refused = give(&run, Order::Pause { by: "anna".to_owned() }).unwrap_err();
        assert!(refused.to_string().contains("no process is at work"), "{refused}");
        assert!(!place(&run).exists());
    }
}
