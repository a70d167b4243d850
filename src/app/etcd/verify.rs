use super::inventory::said;
use super::open::{Opened, open};
use super::{row, unreadable};
use crate::app::output::Output;
use crate::cli::{EtcdVerifyArgs, Format};
use crate::error::{ExitCode, Result};
use crate::formats::etcd_snapshot::kubernetes::{NewestTime, newest_time_of_last_changes};
use crate::formats::etcd_snapshot::{
    ClusterFacts, Completeness, Damage, HashKv, Inspection, MetaState, NoHashKv, Soundness,
    Trailer, Truncated, hash_kv,
};
use crate::time::ByteSize;
use serde_json::{Value, json};

/// `redrill etcd verify`
pub(super) fn verify(args: &EtcdVerifyArgs, output: &Output) -> Result<ExitCode> {
    let opened = open(&args.file)?;
    let failed = |e| unreadable(&args.file, &e);
    let inspection = opened.inspect().map_err(failed)?;
    let (file, length) = (&opened.file, opened.length);
    let soundness = inspection.soundness();
    let is_looked_at = !matches!(soundness, Soundness::Foreign(_));
    let asked = args.hash_kv || args.revision.is_some() || args.compacted.is_some();
    let hash =
        (asked && is_looked_at).then(|| hash_kv(file, length, args.revision, args.compacted));
    // What a damaged snapshot says of its time may be damaged too.
    let is_damaged = soundness == Soundness::Damaged || opened.is_damaged();
    let last = inspection.revision.filter(|_| !is_damaged);
    let newest = last.map(|last| newest_time_of_last_changes(file, length, last));
    let verified = Verified {
        name: args.file.display().to_string(),
        fault: opened.fault(),
        hash: hash.transpose().map_err(failed)?,
        newest: newest.transpose().map_err(failed)?.flatten(),
        opened,
        inspection,
    };
    match args.format() {
        Format::Json => output.json(&verified.as_json())?,
        Format::Text => output.print(&verified.as_text())?,
    }
    Ok(verified.code())
}

struct Verified {
    name: String,
    opened: Opened,
    fault: Option<String>,
    inspection: Inspection,
    /// When it was asked for.
    hash: Option<std::result::Result<HashKv, NoHashKv>>,
    /// What the last changes say of the time of the snapshot, where it is not damaged and they say any.
    newest: Option<NewestTime>,
}

impl Verified {
    /// Whether a number that was asked for is not there: that is no pass.
    fn lacks_hash(&self) -> bool {
        matches!(self.hash, Some(Err(_)))
    }

    fn code(&self) -> ExitCode {
        match self.verdict().1 {
            ExitCode::Passed if self.lacks_hash() => ExitCode::Inconclusive,
            code => code,
        }
    }

    /// In one word, and why not when it is not sound.
    fn verdict(&self) -> (&'static str, ExitCode, Vec<&'static str>) {
        match self.inspection.soundness() {
            Soundness::Damaged => ("damaged", ExitCode::Failed, Vec::new()),
            _ if self.opened.is_damaged() => ("damaged", ExitCode::Failed, Vec::new()),
            Soundness::Foreign(foreign) => {
                let word =
                    if foreign.is_packing() { "not unpacked" } else { "no snapshot of etcd" };
                (word, ExitCode::Inconclusive, vec![foreign.what(), foreign.help()])
            }
            Soundness::Unproven(reasons) => ("unproven", ExitCode::Inconclusive, reasons),
            Soundness::Sound => ("sound", ExitCode::Passed, Vec::new()),
        }
    }

    fn as_json(&self) -> Value {
        let (verdict, _, reasons) = self.verdict();
        let damage: Vec<String> = self.named().map(ToString::to_string).collect();
        let notes: Vec<String> = self.inspection.notes.iter().map(ToString::to_string).collect();
        let hash = self.hash.as_ref().map(|hash| match hash {
            Ok(hash) => json!(hash),
            Err(why) => json!({ "none": why, "why": why.to_string() }),
        });
        json!({
            "format": 1,
            "file": self.name,
            "verdict": verdict,
            "unproven": reasons,
            "packing": self.opened.unpacked,
            "packing_fault": self.fault,
            "damage": damage,
            "notes": notes,
            "hash_kv": hash,
            "newest": self.newest,
            "total_key_from_3_6": self.inspection.total_key_from_3_6(),
            "inspection": self.inspection,
        })
    }

    fn as_text(&self) -> String {
        let (verdict, code, reasons) = self.verdict();
        let lacks = match code {
            ExitCode::Passed if self.lacks_hash() => ", without the HashKV that was asked for",
            _ => "",
        };
        let mark = match self.code() {
            ExitCode::Passed => "✓",
            ExitCode::Failed => "✗",
            _ => "?",
        };
        let mut text = format!("{mark} {verdict}{lacks}: {}\n", self.name);
        for reason in reasons {
            text.push_str(&row("", reason));
        }
        if let Soundness::Foreign(_) = self.inspection.soundness() {
            text.push_str(&self.packing());
        } else {
            text.push_str(&self.numbers());
        }
        if let Some(newest) = &self.newest {
            text.push_str(&row("newest time", &said(newest)));
        }
        if let Some(cluster) = &self.inspection.cluster {
            text.push_str(&members(cluster));
        }
        let mut list = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                text.push_str(&format!("\n{title}\n"));
                lines.iter().for_each(|line| text.push_str(&format!("  - {line}\n")));
            }
        };
        list("Damage", self.damage());
        let lost = &self.inspection.lost_revisions;
        list("Lost changes", lost.iter().map(ToString::to_string).collect());
        list(
            "To know before a restore",
            self.inspection.notes.iter().map(ToString::to_string).collect(),
        );
        text
    }

    fn packing(&self) -> String {
        let unpacked = self.opened.unpacked.as_ref();
        let packing = unpacked.and_then(|unpacked| Some((unpacked, unpacked.packing?)));
        packing.map_or_else(String::new, |(unpacked, packing)| {
            let packed = match &self.fault {
                Some(fault) if !self.opened.is_damaged() => fault.clone(),
                _ => format!("{packing}, {} packed", ByteSize(unpacked.packed_bytes)),
            };
            row("packed with", &packed)
        })
    }

    fn numbers(&self) -> String {
        let seen = &self.inspection;
        let unknown = || "not known: not everything could be read".to_owned();
        let mut text = row("size", &size(seen));
        text.push_str(&self.packing());
        text.push_str(&row("SHA-256", &trailer(&seen.trailer)));
        text.push_str(&row("meta pages", &metas(&seen.metas)));
        text.push_str(&row("pages", &pages(seen.complete)));
        let revision = match seen.revision.zip(seen.current_revision()) {
            None => unknown(),
            Some((last, now)) if last == now => last.to_string(),
            Some((last, now)) => format!("{now}, by a compaction; {last} is the last change"),
        };
        text.push_str(&row("revision", &revision));
        let keys = match (seen.live_keys, seen.entries, seen.total_key_from_3_6()) {
            (Some(live), Some(old), Some(new)) => {
                format!(
                    "{live} exist; totalKey {old} (etcdctl up to 3.5), {new} (etcdutl from 3.6)"
                )
            }
            _ => unknown(),
        };
        text.push_str(&row("keys", &keys));
        let hash =
            seen.hash.map_or_else(unknown, |hash| format!("{hash:x} (hash of snapshot status)"));
        text.push_str(&row("hash", &hash));
        if let Some(hash) = &self.hash {
            let hash = match hash {
                Ok(HashKv { revision, compact_revision, hash }) => {
                    format!("{hash} at revision {revision}, compact revision {compact_revision}")
                }
                Err(why) => format!("none: {why}"),
            };
            text.push_str(&row("HashKV", &hash));
        }
        text
    }

    /// Damage of what was looked at: that nothing came out of a damaged packing says no more than the packing does.
    fn named(&self) -> impl Iterator<Item = &Damage> {
        let nothing_came_out = self.opened.is_damaged();
        self.inspection.damage.iter().filter(move |damage| match damage {
            Damage::NotASnapshot(_) => false,
            Damage::Empty => !nothing_came_out,
            _ => true,
        })
    }

    fn damage(&self) -> Vec<String> {
        let seen = &self.inspection;
        let packing = self.fault.iter().filter(|_| self.opened.is_damaged()).cloned();
        let more =
            (seen.damage_not_listed > 0).then(|| format!("{} more places", seen.damage_not_listed));
        let named = self.named().map(|damage| match damage.key() {
            None => damage.to_string(),
            Some(key) => format!("{damage}; key {}", key.as_str()),
        });
        packing.chain(named).chain(more).collect()
    }
}

fn size(seen: &Inspection) -> String {
    let whole = ByteSize(seen.size_bytes);
    match seen.database_bytes() {
        Some(bytes) => format!("{whole}, of them {} the database", ByteSize(bytes)),
        None => whole.to_string(),
    }
}

fn trailer(trailer: &Trailer) -> String {
    match trailer {
        Trailer::Matches { sha256 } => format!("matches: {sha256}"),
        Trailer::Differs { expected, found } => {
            format!("DIFFERS: the file carries {expected}, its content has {found}")
        }
        Trailer::Missing => {
            "none at the end of the file: changed values cannot be noticed".to_owned()
        }
    }
}

fn metas(metas: &[MetaState; 2]) -> String {
    let faults = metas.iter().enumerate().filter_map(|(index, state)| match state {
        MetaState::Valid { .. } => None,
        MetaState::Damaged(fault) => Some(format!("{index}: {fault}")),
    });
    let faults: Vec<String> = faults.collect();
    if faults.is_empty() { "both valid".to_owned() } else { faults.join("; ") }
}

fn pages(complete: Completeness) -> String {
    match complete {
        Completeness::Complete => "all there".to_owned(),
        Completeness::Truncated(Truncated { need_bytes, have_bytes }) => {
            format!("CUT: {have_bytes} of {need_bytes} bytes are there")
        }
        Completeness::Unknown => "not known: neither meta page is usable".to_owned(),
    }
}

/// Whose backup it is.
fn members(cluster: &ClusterFacts) -> String {
    let mut text = String::new();
    if let Some(version) = &cluster.cluster_version {
        text.push_str(&row("etcd", &format!("version {version} of the cluster")));
    }
    if let Some(version) = &cluster.storage_version {
        text.push_str(&row("layout", &format!("version {version} of what it stores")));
    }
    if let Some(id) = cluster.cluster_id_of_first_members() {
        text.push_str(&row(
            "cluster",
            &format!("{id}, unless members were added since it was made"),
        ));
    }
    for member in &cluster.members {
        let name = if member.name.is_empty() { "not started" } else { &member.name };
        let learner = if member.learner { ", a learner" } else { "" };
        let line = format!("{name} ({}{learner}) {}", member.id, member.peer_urls.join(" "));
        text.push_str(&row("member", &line));
    }
    let auth = match cluster.auth.enabled {
        Some(true) => format!("on, {} users", cluster.auth.users),
        Some(false) => "off".to_owned(),
        None => "not said".to_owned(),
    };
    text.push_str(&row("auth", &auth));
    let leases = format!("{}, with {} keys", cluster.leases, cluster.keys_with_lease);
    text.push_str(&row("leases", &leases));
    text
}
