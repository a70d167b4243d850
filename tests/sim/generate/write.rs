//! The texts of a scenario and of its estate.

use super::super::model::{Design, Draft, LONGEST};
use super::Workshop;
use std::fmt::Write as _;

const NEAR_SITE: &str =
    "  near: { account: \"111111111111\", region: ap-northeast-3, role: redrill-drill }\n";
const NEAR_PLACE: &str = "  - account: \"111111111111\"\n    region: ap-northeast-3\n    \
                          kms_keys: [{ id: alias/near }]\n";
const READER: &str =
    "    secrets: [{ name: app/reader, value: { username: reader, password: r } }]\n";
const NETWORK: &str = "    security_groups: [{ id: sg-drill, vpc: vpc-drill }]\n    subnet_groups: [{ name: isolated, \
                       vpc: vpc-drill, subnets: [{ id: subnet-a, zone: ap-northeast-3a }, { id: subnet-b, zone: \
                       ap-northeast-3b }] }]\n";

impl Workshop {
    pub(super) fn scenario(&self) -> String {
        let (near, also) = match self.near {
            true => (NEAR_SITE, ", near"),
            false => ("", ""),
        };
        let limit = self.limit.map_or(LONGEST.to_owned(), |minutes| format!("{minutes}m"));
        let mut text = format!(
            "redrill: 1\nname: generated\ntitle: A generated scenario\nowner: simulation\n\
             disaster: {{ kind: region_loss, lost: [primary] }}\n\
             sites:\n  primary: {{ account: \"111111111111\", region: ap-northeast-1, role: redrill-drill }}\n  \
             dr: {{ account: \"222222222222\", region: ap-northeast-3, role: redrill-drill }}\n{near}\
             guard: {{ write: [primary, dr{also}], canaries: [files/redrill-canary/, files-dr/redrill-canary/, \
             etcd/redrill-canary/], \
             max_duration: {limit}, ttl: 21d, max_resources: 30 }}\n",
        );
        let mut objectives = String::new();
        // What runs before the disaster proves nothing that was recovered.
        let counts = |d: &&Draft| d.required && d.phase != "prepare";
        if let Some(gate) = self.drafts.iter().find(|d| d.gate).map(|d| &d.id) {
            let _ = writeln!(objectives, "  rlo: {{ target: it works, proven_by: [{gate}] }}");
            objectives.push_str("  rto: { target: 20d, from: declared }\n");
        }
        if self.drafts.iter().filter(counts).any(finds_recovery_point) {
            objectives.push_str("  rpo: { target: 20d, measure: backup }\n");
        }
        match objectives.as_str() {
            "" => text.push_str("objectives: {}\n"),
            objectives => {
                let _ = write!(text, "objectives:\n{objectives}");
            }
        }
        if self.hook.is_some() {
            text.push_str(
                "hooks: [{ on: [started, approval_needed, failed, leftover], run: [page] }]\n",
            );
        }
        text.push_str("steps:\n");
        for draft in &self.drafts {
            write_step(&mut text, draft);
        }
        text
    }

    pub(super) fn estate(&self) -> String {
        let list = |name: &str, items: &str| match items {
            "" => String::new(),
            items => format!("    {name}:\n{items}"),
        };
        let answers = |name: &str, items: &str| match items {
            "" => String::new(),
            items => format!("  {name}:\n{items}"),
        };
        let near = match self.near {
            true => format!("{NEAR_PLACE}{READER}{NETWORK}"),
            false => String::new(),
        };
        let hook = self.hook.map_or(String::new(), |status| {
            format!("    hook: {{ status: {status}, takes: 2s }}\n")
        });
        format!(
            "estate: 1\ntitle: generated\nnow: 2026-11-20T02:00:00Z\nseed: 1\naccounts:\n  \
             \"111111111111\": {{ roles: [redrill-drill] }}\n  \"222222222222\": {{ roles: [redrill-drill] }}\nplaces:\n  \
             - account: \"111111111111\"\n    region: ap-northeast-1\n    kms_keys: [{{ id: alias/own }}]\n{READER}{}{}{}{near}  \
             - account: \"222222222222\"\n    region: ap-northeast-3\n    kms_keys: [{{ id: alias/dr }}]\n{READER}\
             {NETWORK}{}{}{}{}{}answers: \n  environment: {{}}\n{}{}{}{}{}",
            list("databases", &self.primary.databases),
            list("clusters", &self.primary.clusters),
            list("buckets", &self.primary.buckets),
            list("databases", &self.dr.databases),
            list("clusters", &self.dr.clusters),
            list("volumes", &self.dr.volumes),
            list("buckets", &self.dr.buckets),
            list("alarms", &self.dr.alarms),
            answers("commands", &(self.commands.clone() + &hook)),
            answers("http", &self.http),
            answers("approvals", &self.approvals),
            answers("etcd_trials", &self.etcds),
            answers("etcd", &self.etcd),
        )
    }
}

/// Whether a step, where it comes after the disaster, says how new the data is.
fn finds_recovery_point(draft: &Draft) -> bool {
    let finds = ["find_snapshot", "find_automated_backup", "point_in_time"];
    // A clone is of what is there now.
    let is_clone = draft.with.contains("restore_type: copy-on-write");
    finds.iter().any(|word| draft.uses.ends_with(word)) && !is_clone
}

fn write_step(text: &mut String, draft: &Draft) {
    let _ = write!(text, "  - {{ id: {}, uses: {}, phase: {}", draft.id, draft.uses, draft.phase);
    if let Some(at) = draft.at {
        let _ = write!(text, ", at: {at}");
    }
    let _ = write!(text, ", with: {}", draft.with);
    let needs: Vec<&str> = draft.needs.iter().map(String::as_str).collect();
    let _ = write!(text, ", needs: [{}]", needs.join(", "));
    if !draft.expect.is_empty() {
        let quoted = |(name, value): &(&str, String)| match value.starts_with(['<', '=', '>', '~'])
        {
            true => format!("{name}: \"{value}\""),
            false => format!("{name}: {value}"),
        };
        let expect: Vec<String> = draft.expect.iter().map(quoted).collect();
        let _ = write!(text, ", expect: {{ {} }}", expect.join(", "));
    }
    if !draft.required {
        text.push_str(", required: false");
    }
    if draft.goes_on {
        text.push_str(", on_failure: continue");
    }
    if draft.gate {
        text.push_str(", gate: acceptance");
    }
    if draft.design == Design::LeftOut {
        text.push_str(", when: false");
    }
    if let Some(seconds) = draft.too_short {
        let _ = write!(text, ", timeout: {seconds}s");
    }
    if let Some(every) = draft.watch {
        let _ = write!(text, ", watch: {every}");
    }
    if let Some(attempts) = draft.attempts {
        let _ = write!(text, ", retry: {{ attempts: {attempts} }}");
    }
    text.push_str(" }\n");
}
