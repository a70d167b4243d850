use super::orders;
use super::runs::RunFolder;
use crate::engine::{Order, Orders};
use crate::time::Clock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// What runs are told while they are under way: ^C and the signal to terminate tell all runs of this process to release
/// and report; orders from other terminals are for one run. A second signal means to leave at once.
#[derive(Default)]
pub(super) struct Interrupts {
    runs: Mutex<Runs>,
}

/// The runs of this process.
#[derive(Default)]
struct Runs {
    all: Vec<Run>,
    /// Which signal has told all of them to end; also those that have not begun.
    ended_by: Option<&'static str>,
}

/// Told when an incident needs what a run has made: then nothing is waited for that a person would have to mend.
#[derive(Clone, Debug, Default)]
pub(super) struct Hurry {
    told: Arc<AtomicBool>,
    /// A first signal has come, which ends the run when it can write that down.
    signalled: Arc<AtomicBool>,
}

impl Hurry {
    pub(super) fn is_told(&self) -> bool {
        self.told.load(Ordering::SeqCst)
    }

    pub(super) fn tell(&self) {
        self.told.store(true, Ordering::SeqCst);
    }

    /// What is said of a signal while the run waits.
    pub(super) fn noticed(&self) -> &'static str {
        match self.signalled.load(Ordering::SeqCst) {
            true => {
                "; the signal to end is noticed, and acted on then; a second one leaves at once"
            }
            false => "",
        }
    }

    fn signal(&self) {
        self.signalled.store(true, Ordering::SeqCst);
    }
}

/// A run of this process.
struct Run {
    folder: RunFolder,
    sender: mpsc::UnboundedSender<Order>,
    hurry: Hurry,
}

impl Run {
    fn tell(&self, order: Order) {
        if let Order::Cancel { incident: true, .. } = &order {
            self.hurry.tell();
        }
        // A run that is over takes no orders.
        let _ = self.sender.send(order);
    }
}

fn cancel(by: &str) -> Order {
    Order::Cancel { by: by.to_owned(), incident: false }
}

impl Interrupts {
    /// For one run, perhaps with its first order. Orders that lie in its folder already were given since it is under way: whoever holds
    /// the journal has taken away those from before.
    pub(super) fn subscribe(&self, folder: &RunFolder, first: Option<Order>) -> Orders {
        let (sender, receiver) = mpsc::unbounded_channel();
        let run = Run { folder: folder.clone(), sender, hurry: Hurry::default() };
        let mut runs = self.runs();
        first.into_iter().chain(runs.ended_by.map(cancel)).for_each(|order| run.tell(order));
        runs.all.push(run);
        receiver
    }

    /// What tells a run that has subscribed that an incident needs what it has made.
    pub(super) fn hurry(&self, folder: &RunFolder) -> Hurry {
        let runs = self.runs();
        let run = runs.all.iter().find(|run| run.folder.path == folder.path);
        run.map(|run| run.hurry.clone()).unwrap_or_default()
    }

    /// The signal by which all runs of this process were ended: none is begun after that.
    pub(super) fn ended_by(&self) -> Option<&'static str> {
        self.runs().ended_by
    }

    /// The runs of this process that have begun and are not over.
    pub(super) fn unfinished(&self) -> Vec<RunFolder> {
        let runs = self.runs();
        let is_over = |run: &&Run| run.sender.is_closed();
        runs.all.iter().filter(|run| !is_over(run)).map(|run| run.folder.clone()).collect()
    }

    fn runs(&self) -> std::sync::MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_for_orders(&self) {
        for run in &self.runs().all {
            orders::take(&run.folder.path).into_iter().for_each(|order| run.tell(order));
        }
    }

    fn end_all(&self, by: &'static str) {
        let mut runs = self.runs();
        runs.ended_by = Some(by);
        for run in &runs.all {
            run.hurry.signal();
            run.tell(cancel(by));
        }
    }

    /// Listens until `done` is told; `true` when a second signal came first.
    pub(super) async fn listen(&self, mut done: watch::Receiver<bool>) -> bool {
        let mut interrupt = signal(SignalKind::interrupt()).ok();
        let mut terminate = signal(SignalKind::terminate()).ok();
        // A terminal that was closed, a connection that was lost; not under nohup, which is there to survive that.
        let mut hang_up = if ignores_hang_up() { None } else { signal(SignalKind::hangup()).ok() };
        let clock = Clock::system();
        let mut first = None;
        loop {
            let who = tokio::select! {
                biased;
                _ = done.wait_for(|done| *done) => return false,
                Some(()) = async { interrupt.as_mut()?.recv().await } => "^C at the terminal",
                // Without the handler the signal ends the process, and the run can be resumed.
                Some(()) = async { terminate.as_mut()?.recv().await } => "the signal to terminate",
                Some(()) = async { hang_up.as_mut()?.recv().await } => CLOSED,
                () = clock.sleep(orders::LOOK) => {
                    self.look_for_orders();
                    continue;
                }
            };
            let since = *first.get_or_insert(clock.elapsed());
            if is_second_wish(who, clock.elapsed().saturating_sub(since)) {
                return true;
            }
            self.end_all(who);
        }
    }
}

const CLOSED: &str = "the terminal, which was closed";

/// Whether a signal means to leave at once, by the time since the first one. Wrappers pass on what the terminal has told everybody, so
/// that one ^C arrives twice; and a terminal is closed by whoever has left it to the run.
fn is_second_wish(who: &str, since_the_first: Duration) -> bool {
    who != CLOSED && since_the_first >= Duration::from_secs(1)
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
    use super::*;

    #[test]
    fn regression_one_interrupt_that_arrives_twice_is_not_the_wish_to_leave_at_once() {
        let at_once = Duration::from_millis(20);
        let later = Duration::from_secs(3);
        assert!(!is_second_wish("^C at the terminal", Duration::ZERO), "the first");
        assert!(!is_second_wish("^C at the terminal", at_once));
        assert!(is_second_wish("^C at the terminal", later));
        assert!(!is_second_wish(CLOSED, later));
    }

    #[test]
    fn leaving_at_once_names_every_run_that_is_not_over() {
        let interrupts = Interrupts::default();
        let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let run = |number: usize| RunFolder { path: folders[number].path().to_owned() };
        let [_first, over, _last] = [0, 1, 2].map(|at| interrupts.subscribe(&run(at), None));
        drop(over);
        let left: Vec<_> = interrupts.unfinished().into_iter().map(|run| run.path).collect();
        assert_eq!(left, [run(0).path, run(2).path]);
    }

    #[test]
    fn a_run_that_begins_after_an_interrupt_is_ended_at_once_and_one_with_an_order_hears_it_first()
    {
        let interrupts = Interrupts::default();
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder { path: folder.path().to_owned() };
        interrupts.end_all("^C");
        let first = Order::Pause { by: "anna".to_owned() };
        let mut orders = interrupts.subscribe(&run, Some(first.clone()));
        assert_eq!(orders.try_recv(), Ok(first));
        assert_eq!(orders.try_recv(), Ok(cancel("^C")));
        assert_eq!(interrupts.ended_by(), Some("^C"));
    }

    #[test]
    fn regression_a_first_signal_is_said_to_be_noticed_while_the_run_waits() {
        let (interrupts, folder) = (Interrupts::default(), tempfile::tempdir().unwrap());
        let run = RunFolder { path: folder.path().to_owned() };
        let _orders = interrupts.subscribe(&run, Some(cancel("anna")));
        let hurry = interrupts.hurry(&run);
        assert_eq!(hurry.noticed(), "");
        interrupts.end_all("the signal to terminate");
        assert!(hurry.noticed().contains("a second one leaves at once"));
        assert!(!hurry.is_told(), "credentials are still waited for");
    }

    #[test]
    fn only_an_incident_is_in_a_hurry() {
        let (interrupts, folder) = (Interrupts::default(), tempfile::tempdir().unwrap());
        let run = RunFolder { path: folder.path().to_owned() };
        let _orders = interrupts.subscribe(&run, Some(cancel("anna")));
        let hurry = interrupts.hurry(&run);
        assert!(!hurry.is_told());
        let order = r#"{"order":"cancel","by":"anna","incident":true}"#;
        std::fs::write(folder.path().join("order-1-1.json"), order).unwrap();
        interrupts.look_for_orders();
        assert!(hurry.is_told());
        let other = RunFolder { path: folder.path().join("other") };
        assert!(!interrupts.hurry(&other).is_told());
    }

    #[test]
    fn regression_an_order_that_comes_while_the_journal_is_read_is_heard() {
        let (interrupts, folder) = (Interrupts::default(), tempfile::tempdir().unwrap());
        let run = RunFolder { path: folder.path().to_owned() };
        let order = r#"{"order":"cancel","by":"anna","incident":false}"#;
        std::fs::write(folder.path().join("order-1-1.json"), order).unwrap();
        let mut orders = interrupts.subscribe(&run, None);
        interrupts.look_for_orders();
        assert_eq!(orders.try_recv(), Ok(cancel("anna")));
    }

    #[test]
    fn the_mask_tells_whether_hanging_up_is_ignored() {
        let status = |mask: &str| format!("Name:\tredrill\nSigBlk:\t0001\nSigIgn:\t{mask}\n");
        assert!(hang_up_is_ignored(&status("0000000000001001")));
        assert!(!hang_up_is_ignored(&status("0000000000001000")));
        assert!(!hang_up_is_ignored("Name:\tredrill\n"));
    }
}
