use super::orders;
use super::runs::RunFolder;
use crate::engine::{Order, Orders};
use crate::time::Clock;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What runs are told while they are under way: ^C and the signal to terminate tell all runs of this process to release
/// and report; orders from other terminals are for one run. A second signal means to leave at once.
#[derive(Default)]
pub(super) struct Interrupts {
    runs: Mutex<Vec<Run>>,
}

/// A run of this process.
struct Run {
    orders: PathBuf,
    sender: watch::Sender<Option<Order>>,
}

impl Run {
    /// Being cancelled is final.
    fn tell(&self, order: Order) {
        self.sender.send_if_modified(|told| {
            let urgent = matches!(order, Order::Cancel { incident: true, .. });
            if matches!(told, Some(Order::Cancel { .. })) && !urgent {
                return false;
            }
            *told = Some(order);
            true
        });
    }
}

impl Interrupts {
    /// For one run, perhaps with its first order. Orders that were left before it was under way do not count.
    pub(super) fn subscribe(&self, folder: &RunFolder, first: Option<Order>) -> Orders {
        let orders = orders::place(folder);
        orders::take(&orders);
        let (sender, mut receiver) = watch::channel(first);
        receiver.mark_changed();
        self.runs().push(Run { orders, sender });
        receiver
    }

    fn runs(&self) -> std::sync::MutexGuard<'_, Vec<Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_for_orders(&self) {
        for run in self.runs().iter() {
            if let Some(order) = orders::take(&run.orders) {
                run.tell(order);
            }
        }
    }

    /// Listens until `done` is told; `true` when a second signal came first.
    pub(super) async fn listen(&self, mut done: watch::Receiver<bool>) -> bool {
        let mut terminate = signal(SignalKind::terminate()).ok();
        // A terminal that was closed, a connection that was lost; not under nohup, which is there to survive that.
        let mut hang_up = if ignores_hang_up() { None } else { signal(SignalKind::hangup()).ok() };
        let clock = Clock::system();
        let mut signals = 0;
        loop {
            let who = tokio::select! {
                biased;
                _ = done.wait_for(|done| *done) => return false,
                _ = tokio::signal::ctrl_c() => "^C at the terminal",
                // Without the handler the signal ends the process, and the run can be resumed.
                Some(()) = async { terminate.as_mut()?.recv().await } => "the signal to terminate",
                Some(()) = async { hang_up.as_mut()?.recv().await } => "the terminal, which was closed",
                () = clock.sleep(orders::LOOK) => {
                    self.look_for_orders();
                    continue;
                }
            };
            signals += 1;
            if signals > 1 {
                return true;
            }
            for run in self.runs().iter() {
                run.tell(Order::Cancel { by: who.to_owned(), incident: false });
            }
        }
    }
}

/// Whether whoever started this process has it ignore SIGHUP, as `nohup` does. Where the system has no `/proc`, no.
fn ignores_hang_up() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| hang_up_is_ignored(&status))
}

/// `SigIgn` is a mask in hexadecimal digits, SIGHUP its lowest bit
/// (<https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>).
fn hang_up_is_ignored(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::hang_up_is_ignored;

    #[test]
    fn the_mask_tells_whether_hanging_up_is_ignored() {
        let status = |mask: &str| format!("Name:\tredrill\nSigBlk:\t0001\nSigIgn:\t{mask}\n");
        assert!(hang_up_is_ignored(&status("0000000000001001")));
        assert!(!hang_up_is_ignored(&status("0000000000001000")));
        assert!(!hang_up_is_ignored("Name:\tredrill\n"));
    }
}
