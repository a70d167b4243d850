use super::inventory::{NotCounted, doubts, take, tell};
use super::open::{Opened, open};
use super::unreadable;
use crate::app::output::Output;
use crate::cli::{EtcdDiffArgs, Format};
use crate::error::{Error, ExitCode, Result};
use crate::formats::ReadAt;
use crate::formats::etcd_snapshot::kubernetes::{
    Change, ChangeKind, Difference, KeptInventory, Tolerance, Tolerances, compare,
};
use crate::limits::ETCD_INVENTORY_BYTES;
use std::path::Path;

/// `redrill etcd diff`
pub(super) fn diff(args: &EtcdDiffArgs, output: &Output) -> Result<ExitCode> {
    let (before, after) = match (read(&args.before)?, read(&args.after)?) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(damaged), _) | (_, Err(damaged)) => return tell(&damaged, args.format, output),
    };
    let (then, now) = (before.inventory.revision, after.inventory.revision);
    let went_on = if args.moved_on { now > then } else { now >= then };
    let tolerances = Tolerances {
        default: Tolerance { percent: args.tolerance, objects: 0 },
        ignored: args.ignore.iter().cloned().collect(),
        ..Tolerances::default()
    };
    let difference = compare(&before.inventory, &after.inventory, &tolerances);
    match args.format {
        Format::Json => output.json(&difference)?,
        Format::Text => {
            let doubts = [doubts(&before), doubts(&after)].concat();
            output.print(&format!("{}{doubts}", as_text(&difference)))?;
        }
    }
    Ok(match difference.counted_before {
        0 => ExitCode::Inconclusive,
        _ if !difference.within_tolerances() || !went_on => ExitCode::Failed,
        _ if !before.unproven.is_empty() || !after.unproven.is_empty() => ExitCode::Inconclusive,
        _ => ExitCode::Passed,
    })
}

/// An inventory that was kept as JSON, or that of a snapshot.
fn read(path: &Path) -> Result<std::result::Result<KeptInventory, NotCounted>> {
    let opened = open(path)?;
    let mut first = [0];
    if opened.length > 0 {
        opened.file.read_exact_at(&mut first, 0).map_err(|e| unreadable(path, &e))?;
    }
    if first == *b"{" { kept(&opened, path).map(Ok) } else { take(&opened, path, &[]) }
}

fn kept(opened: &Opened, path: &Path) -> Result<KeptInventory> {
    let wrong = |why: String| {
        Error::bad_input(format!("{} is no inventory: {why}", path.display()))
            .help("write one with redrill etcd inventory FILE --format json")
    };
    let length = usize::try_from(opened.length.min(ETCD_INVENTORY_BYTES + 1)).unwrap_or(usize::MAX);
    if opened.length > ETCD_INVENTORY_BYTES {
        return Err(wrong(format!("it has {} bytes", opened.length)));
    }
    let mut text = vec![0; length];
    opened.file.read_exact_at(&mut text, 0).map_err(|e| unreadable(path, &e))?;
    KeptInventory::read(&text).map_err(wrong)
}

fn as_text(difference: &Difference) -> String {
    let mut text = String::new();
    for change in &difference.changes {
        text.push_str(&format!("{}\n", line(change)));
    }
    for warning in &difference.warnings {
        text.push_str(&format!("! {warning}\n"));
    }
    let beyond = difference.changes.iter().filter(|change| !change.tolerated).count();
    text.push_str(&match difference.counted_before {
        0 => "nothing was compared: the earlier inventory holds no objects\n".to_owned(),
        _ => format!(
            "{} counts compared, {} changed, {beyond} more than tolerated\n",
            difference.compared,
            difference.changes.len()
        ),
    });
    text
}

fn line(change: &Change) -> String {
    let mark = if change.tolerated { " " } else { "✗" };
    let word = match change.kind {
        ChangeKind::Gone => "gone",
        ChangeKind::Fewer => "fewer",
        ChangeKind::More => "more",
        ChangeKind::New => "new",
    };
    let place = match change.namespace.as_deref() {
        None => String::new(),
        Some("") => " (whole cluster)".to_owned(),
        Some(namespace) => format!(" in {namespace}"),
    };
    let Change { resource, expected, observed, .. } = change;
    format!("{mark} {word:<6}{resource}{place}: {expected} before, {observed} now")
}
