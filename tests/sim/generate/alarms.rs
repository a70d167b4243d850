//! Alarms of CloudWatch: as a step, and as what ends a drill.

use super::super::model::{Design, Draft};
use super::Workshop;
use std::fmt::Write as _;

impl Workshop {
    /// A step that asks for the state of an alarm. One that is not OK yet becomes so in time.
    pub(super) fn alarm(&mut self) {
        let wrong = self.goes_wrong();
        let (state, design) = match (wrong, self.for_alarms.chance(50)) {
            (false, true) => ("state: ok".to_owned(), Design::Passes),
            (false, false) => {
                let from = *self.for_alarms.pick(&["alarm", "insufficient_data"]);
                let after = self.for_alarms.between(1, 8);
                let turns = format!("state: {from}, turns: [{{ after: {after}m, to: ok }}]");
                (turns, Design::Passes)
            }
            (true, true) => ("state: alarm, reason: it is bad".to_owned(), Design::FallsShort),
            (true, false) => ("state: insufficient_data".to_owned(), Design::Breaks),
        };
        let kind = *self.for_alarms.pick(&["metric", "composite"]);
        let _ = writeln!(self.dr.alarms, "      - {{ name: after-drill, kind: {kind}, {state} }}");
        let phase = *self.for_alarms.pick(&["recover", "verify"]);
        let with = "{ alarms: [after-drill], within: 10m }".to_owned();
        let mut draft = Draft::new("quiet".to_owned(), "cloudwatch.check_alarms", phase, with);
        draft.at = Some("dr");
        let others = self.up_to(phase);
        draft.needs.insert(self.for_alarms.pick(&others).clone());
        draft.design = design;
        self.add(draft);
    }

    /// A watch on two alarms. When one goes off, or cannot tell any more, the run is cancelled.
    pub(super) fn stop_condition(&mut self) {
        let wrong = self.goes_wrong();
        let state = match (wrong, self.for_alarms.chance(60)) {
            (false, _) => "ok",
            (true, true) => "alarm",
            (true, false) => "insufficient_data",
        };
        let _ = writeln!(self.dr.alarms, "      - {{ name: production, kind: composite }}");
        let _ = writeln!(self.dr.alarms, "      - {{ name: errors, state: {state} }}");
        let phase = *self.for_alarms.pick(&["prepare", "recover", "verify"]);
        let with = "{ alarms: [production, errors] }".to_owned();
        let mut draft = Draft::new("stop".to_owned(), "cloudwatch.check_alarms", phase, with);
        draft.at = Some("dr");
        draft.watch = Some(*self.for_alarms.pick(&["1m", "7m", "30m"]));
        draft.design = if wrong { Design::Alarm } else { Design::Passes };
        self.add(draft);
    }
}
