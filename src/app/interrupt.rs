use crate::engine::Interrupt;
use tokio::sync::watch;

/// Listens for ^C and the signal to terminate. The first tells the runs to release and report; the second calls `leave`,
/// which should print how to go on, and ends the process.
pub(super) struct Interrupts {
    sender: watch::Sender<Option<String>>,
}

impl Interrupts {
    pub(super) fn new() -> Self {
        Self { sender: watch::Sender::new(None) }
    }

    /// For one run.
    pub(super) fn subscribe(&self) -> Interrupt {
        self.sender.subscribe()
    }

    /// Waits for signals until `done` is told; `true` when a second signal came first.
    pub(super) async fn listen(&self, mut done: watch::Receiver<bool>) -> bool {
        let mut terminate =
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(signal) => signal,
                // Without the handler the signal ends the process, and the run can be resumed.
                Err(_) => return wait_for(&mut done).await,
            };
        let mut times = 0;
        loop {
            let who = tokio::select! {
                biased;
                _ = done.wait_for(|done| *done) => return false,
                _ = tokio::signal::ctrl_c() => "^C at the terminal",
                _ = terminate.recv() => "the signal to terminate",
            };
            times += 1;
            if times > 1 {
                return true;
            }
            self.sender.send_replace(Some(who.to_owned()));
        }
    }
}

async fn wait_for(done: &mut watch::Receiver<bool>) -> bool {
    let _ = done.wait_for(|done| *done).await;
    false
}
