//! What is outside of AWS: people, pages, and a watch.

use super::super::model::{Design, Draft};
use super::Workshop;
use std::fmt::Write as _;

impl Workshop {
    pub(super) fn approval(&mut self, n: u64) {
        let id = format!("ask{n}");
        let wrong = self.goes_wrong();
        let (approved, after) = (!wrong, self.random.between(1, 25));
        let _ = writeln!(self.approvals, "    {id}: {{ approved: {approved}, after: {after}m }}");
        let with = "{ ask: May the drill go on?, within: 2h }".to_owned();
        let mut draft = Draft::new(id, "control.approve", "recover", with);
        draft.design = if wrong { Design::Fails } else { Design::Passes };
        let others = self.up_to("recover");
        draft.needs.insert(self.random.pick(&others).clone());
        self.add(draft);
    }

    pub(super) fn http(&mut self, n: u64) {
        let id = format!("page{n}");
        let wrong = self.goes_wrong();
        let status = if wrong { 503 } else { 200 };
        let _ = writeln!(self.http, "    {id}: {{ status: {status}, body: ok, takes: 80ms }}");
        let with = "{ url: \"https://app.example.com/healthz\", within: 5m }".to_owned();
        let mut draft = Draft::new(id, "http.check", "verify", with);
        let others = self.up_to("verify");
        for _ in 0..self.random.between(1, 3) {
            draft.needs.insert(self.random.pick(&others).clone());
        }
        draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        self.add(draft);
    }

    /// A step that looks while the others are under way. When it turns red, the run is cancelled.
    pub(super) fn watch(&mut self) {
        let id = "watch".to_owned();
        let wrong = self.goes_wrong();
        let status = if wrong { 503 } else { 200 };
        let _ = writeln!(self.http, "    {id}: {{ status: {status}, body: ok, takes: 80ms }}");
        let phase = *self.random.pick(&["prepare", "recover", "recover", "verify"]);
        let with = "{ url: \"https://app.example.com/healthz\" }".to_owned();
        let mut draft = Draft::new(id, "http.check", phase, with);
        draft.watch = Some(*self.random.pick(&["1m", "7m", "30m"]));
        let others = self.up_to(phase);
        if self.random.chance(60) && !others.is_empty() {
            draft.needs.insert(self.random.pick(&others).clone());
        }
        draft.design = if wrong { Design::Alarm } else { Design::Passes };
        self.add(draft);
    }
}
