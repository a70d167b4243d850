use crate::preflight::{Outcome, Preflight, PreflightCheck, SitePreflight};
use crate::visible::visible;
use std::fmt::Write as _;

/// What is known before the day of a drill, for people.
pub fn preflight(preflight: &Preflight) -> String {
    let mut text = format!("Preflight of {}, mode {}\n", preflight.scenario, preflight.mode);
    // Writing to a String cannot fail.
    if let Some(estate) = &preflight.rehearsal {
        let _ =
            writeln!(text, "REHEARSAL in the estate {estate:?}: says nothing about real accounts");
    }
    for site in &preflight.sites {
        let _ = one_site(&mut text, site);
    }
    let _ = writeln!(text, "\n{}", conclusion(preflight));
    // What services have answered stands in it.
    visible(&text, &['\n'])
}

fn one_site(text: &mut String, site: &SitePreflight) -> std::fmt::Result {
    match (&site.site, &site.region) {
        (Some(name), Some(region)) => write!(text, "\n{name} ({region})")?,
        _ => text.push_str("\nat no site"),
    }
    if let Some(identity) = &site.identity {
        write!(text, ", as {identity}")?;
    }
    text.push('\n');
    for check in &site.checks {
        line(text, check)?;
    }
    if !site.permissions.is_empty() {
        text.push_str("  permissions\n");
    }
    for permission in &site.permissions {
        line(text, permission)?;
    }
    Ok(())
}

fn line(text: &mut String, check: &PreflightCheck) -> std::fmt::Result {
    let (mark, word) = match check.outcome {
        Outcome::Passed => ("✓", ""),
        Outcome::Failed => ("✗", "would fail: "),
        Outcome::NotChecked => ("?", "not checked: "),
        Outcome::NotBefore => ("·", "known only on the day: "),
    };
    write!(text, "  {mark} {}: {word}{}", check.what, check.why)?;
    if !check.steps.is_empty() {
        let steps: Vec<&str> = check.steps.iter().map(|step| step.as_str()).collect();
        write!(text, " [{}]", steps.join(", "))?;
    }
    text.push('\n');
    match &check.action {
        Some(action) => writeln!(text, "      do: {action}"),
        None => Ok(()),
    }
}

fn conclusion(preflight: &Preflight) -> String {
    let summary = preflight.summary;
    let verdict = match (summary.failed, summary.not_checked, summary.passed) {
        (0, 0, 0) => "Nothing could be looked at",
        (0, 0, _) => "Nothing that could be asked would fail",
        (0, _, _) => "It is not known whether the drill would fail",
        _ => "The drill would fail",
    };
    format!(
        "{verdict}: {} passed, {} would fail, {} not checked, {} known only on the day.",
        summary.passed, summary.failed, summary.not_checked, summary.not_before
    )
}
