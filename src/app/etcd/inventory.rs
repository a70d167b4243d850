use super::decrypt::{Asked, Decrypted};
use super::open::{Opened, open};
use super::{row, unreadable};
use crate::app::output::Output;
use crate::cli::{EtcdInventoryArgs, Format};
use crate::error::{ExitCode, Result};
use crate::formats::etcd_snapshot::kubernetes::{
    Inventory, KeptInventory, NewestTime, TimeSource, take_inventory,
};
use crate::formats::etcd_snapshot::{Foreign, Soundness};
use serde::Serialize;
use serde_json::json;
use std::path::Path;

/// `redrill etcd inventory`
pub(super) fn inventory(args: &EtcdInventoryArgs, output: &Output) -> Result<ExitCode> {
    let asked = Asked::of(args)?;
    let opened = open(&args.file)?;
    let taken = match take(&opened, &args.file, &args.keys)? {
        Ok(taken) => taken,
        Err(damaged) => return tell(&damaged, args.format, output),
    };
    let decrypt = asked.map(|asked| asked.prove(&opened, &args.file)).transpose()?;
    let inventory = &taken.inventory;
    match args.format {
        Format::Json => output.json(&Told { taken: &taken, decrypt: decrypt.as_ref() })?,
        Format::Text => {
            let decrypted = decrypt.as_ref().map(|decrypted| row("decrypted", &decrypted.line()));
            let rows = [
                as_text(inventory, args.namespaces),
                decrypted.unwrap_or_default(),
                doubts(&taken),
            ];
            output.print(&rows.concat())?;
        }
    }
    // A list of nothing is no inventory, and what was asked for by name must be there.
    let readable = decrypt.map_or(Some(true), |decrypted| decrypted.readable());
    let missing = inventory.named.keys().any(|key| !inventory.has_readable(key));
    Ok(match inventory.objects {
        _ if missing || inventory.unreadable().next().is_some() => ExitCode::Failed,
        0 => ExitCode::Inconclusive,
        _ if readable == Some(false) => ExitCode::Failed,
        _ if readable.is_none() => ExitCode::Inconclusive,
        _ if !taken.unproven.is_empty() => ExitCode::Inconclusive,
        _ => ExitCode::Passed,
    })
}

/// As JSON: the inventory, which can be kept as it is.
#[derive(Serialize)]
struct Told<'taken> {
    #[serde(flatten)]
    taken: &'taken KeptInventory,
    #[serde(skip_serializing_if = "Option::is_none")]
    decrypt: Option<&'taken Decrypted>,
}

/// Why what was counted is not proven.
pub(super) fn doubts(taken: &KeptInventory) -> String {
    taken.unproven.iter().map(|why| row("NOT PROVEN", why)).collect()
}

/// A snapshot that is not to be counted.
pub(super) struct NotCounted {
    /// What stands before the reason where machines read.
    word: &'static str,
    why: String,
    help: &'static str,
    code: ExitCode,
}

impl NotCounted {
    fn damaged(path: &Path, why: &str) -> Self {
        Self {
            word: "damaged",
            why: format!("{}: {why}", path.display()),
            help: "redrill etcd verify says what is damaged, and where",
            code: ExitCode::Failed,
        }
    }

    /// Nothing was found wrong with it.
    fn not_read(path: &Path, why: &str) -> Self {
        let (word, code) = ("not_counted", ExitCode::Inconclusive);
        Self { word, code, ..Self::damaged(path, why) }
    }

    /// It may be sound as what it is.
    fn foreign(path: &Path, foreign: Foreign) -> Self {
        Self {
            word: if foreign.is_packing() { "not_counted" } else { "not_a_snapshot" },
            why: format!("{}: {}", path.display(), foreign.what()),
            help: foreign.help(),
            code: ExitCode::Inconclusive,
        }
    }
}

/// Says why a snapshot is not counted: that is an answer.
pub(super) fn tell(not: &NotCounted, format: Format, output: &Output) -> Result<ExitCode> {
    match format {
        Format::Json => output.json(&json!({ "format": 1, (not.word): not.why }))?,
        Format::Text => {
            let is_damaged = matches!(not.code, ExitCode::Failed);
            let mark = if is_damaged { "✗" } else { "?" };
            output.print(&format!("{mark} {}\n  {}", not.why, not.help))?;
        }
    }
    Ok(not.code)
}

/// Takes the inventory of a snapshot. What can be counted may still be what somebody changed: the whole file is verified first.
///
/// # Errors
/// When it cannot be read.
pub(super) fn take(
    opened: &Opened,
    path: &Path,
    keys: &[String],
) -> Result<std::result::Result<KeptInventory, NotCounted>> {
    let failed = |e| unreadable(path, &e);
    let damaged = |why: &str| NotCounted::damaged(path, why);
    if let Some(fault) = opened.fault().filter(|_| opened.is_damaged()) {
        return Ok(Err(damaged(&fault)));
    }
    let inspection = opened.inspect().map_err(failed)?;
    let unproven = match inspection.soundness() {
        Soundness::Sound => Vec::new(),
        Soundness::Unproven(reasons) => reasons.into_iter().map(str::to_owned).collect(),
        Soundness::Damaged => {
            let first = inspection.damage.first().map(ToString::to_string);
            return Ok(Err(damaged(first.as_deref().unwrap_or("damaged"))));
        }
        Soundness::Foreign(foreign) => return Ok(Err(NotCounted::foreign(path, foreign))),
    };
    let taken = take_inventory(&opened.file, opened.length, keys).map_err(failed)?;
    let taken = taken.map_err(|why| NotCounted::not_read(path, &why.to_string()));
    Ok(taken.map(|inventory| KeptInventory::new(inventory, unproven)))
}

fn as_text(taken: &Inventory, namespaces: bool) -> String {
    let mut text = format!(
        "{} objects of Kubernetes, in {} keys at revision {}\n",
        taken.objects, taken.keys, taken.revision
    );
    if taken.objects == 0 && taken.other_keys > 0 {
        text.push_str("  none under /registry/, /kubernetes.io/ or /openshift.io/: another --etcd-prefix is not known\n");
    }
    for resource in &taken.resources {
        let custom = if resource.custom { "  (custom)" } else { "" };
        text.push_str(&format!("  {:>8}  {}{custom}\n", resource.objects, resource.full_name()));
        for (namespace, objects) in resource.namespaces.iter().filter(|_| namespaces) {
            let place = if namespace.is_empty() { "(whole cluster)" } else { namespace };
            text.push_str(&format!("            {objects:>8}  {place}\n"));
        }
    }
    text.push('\n');
    text.push_str(&secrets(taken));
    if taken.bootstrap_keys > 0 {
        let line = if taken.bootstrap_empty >= taken.bootstrap_keys {
            "EMPTY: a server of k3s or RKE2 had begun to write it, and not ended".to_owned()
        } else {
            format!("{} of k3s or RKE2: a restore needs the server token", taken.bootstrap_keys)
        };
        text.push_str(&row("bootstrap", &line));
    }
    if taken.other_keys > 0 {
        text.push_str(&row("other keys", &taken.other_keys.to_string()));
    }
    for (resource, objects) in &taken.undefined {
        text.push_str(&row("undefined", &format!("{objects} {resource}: no definition is there")));
    }
    for (resource, objects) in taken.unreadable() {
        let line = format!("{objects} {resource}: no API server can read what is stored there");
        text.push_str(&row("UNREADABLE", &line));
    }
    let newest = taken.newest.as_ref().map_or_else(|| "no object says a time".to_owned(), said);
    text.push_str(&row("newest time", &newest));
    for (key, revision) in &taken.named {
        let line = revision.map_or_else(
            || format!("MISSING: {key}"),
            |revision| match taken.has_readable(key) {
                true => format!("{key}, last changed at revision {revision}"),
                false => format!("UNREADABLE: {key}, last changed at revision {revision}"),
            },
        );
        text.push_str(&row("asked for", &line));
    }
    text
}

/// What the newest time in a snapshot says of it.
pub(super) fn said(newest: &NewestTime) -> String {
    let what = match newest.source {
        TimeSource::Created => "made",
        TimeSource::Changed => "changed",
        TimeSource::Renewed => "renewed",
    };
    let (at, resource) = (newest.at.to_rfc3339(), &newest.resource);
    format!("{at} ({resource} {what}): the snapshot is from after that")
}

/// How secrets are stored, and what a restore needs for that.
fn secrets(taken: &Inventory) -> String {
    let at_rest = &taken.secrets;
    let mut text = match (at_rest.secrets, at_rest.plain) {
        (0, _) => row("secrets", "none"),
        (all, 0) => row("secrets", &format!("{all}, all encrypted")),
        (all, plain) => row("secrets", &format!("{all}, {plain} of them NOT ENCRYPTED")),
    };
    for (key, secrets) in &at_rest.keys {
        let line = format!("{key}, for {secrets} secrets: a restore needs this key");
        text.push_str(&row("key", &line));
    }
    if at_rest.plain_in_history > 0 {
        let line =
            format!("{} earlier values of secrets are not encrypted", at_rest.plain_in_history);
        text.push_str(&row("history", &line));
    }
    text
}
