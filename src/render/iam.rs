use crate::iam::{Access, Need, RoleAccess};
use serde_json::Value;
use std::fmt::Write as _;

/// The policies of a scenario for people: the documents as IAM takes them, and why each permission is there.
pub fn iam(access: &Access) -> String {
    let mut text = format!("IAM of {}, mode {}\n", access.scenario, access.mode);
    for role in &access.roles {
        // Writing to a String cannot fail.
        let _ = one_role(&mut text, role);
    }
    let _ = runner(&mut text, access);
    text.push_str("\nNote:\n");
    for note in &access.notes {
        let _ = writeln!(text, "  - {note}");
    }
    text
}

fn one_role(text: &mut String, role: &RoleAccess) -> std::fmt::Result {
    let sites: Vec<&str> = role.sites.iter().map(|site| site.as_str()).collect();
    let sites = sites.join(", ");
    let who = role.role.as_deref().unwrap_or("the identity that starts redrill");
    write!(text, "\n── {who}, at {sites}\n\nPermissions policy")?;
    match &role.policy {
        Some(policy) => write!(text, ":\n{}\n", pretty(policy))?,
        None => text.push_str(
            ": none. No step needs anything there, and asking who one is needs no permission\n",
        ),
    }
    if let Some(trust) = &role.trust {
        write!(text, "\nTrust policy:\n{}\n", pretty(trust))?;
    }
    if !role.needs.is_empty() {
        text.push_str("\nWhy:\n");
    }
    let width = role.needs.iter().map(|need| need.action.len()).max().unwrap_or(0);
    for need in &role.needs {
        writeln!(text, "  {:<width$}  {}", need.action, why(need))?;
    }
    for note in &role.notes {
        writeln!(text, "  note: {note}")?;
    }
    Ok(())
}

fn why(need: &Need) -> String {
    let join = |words: Vec<String>, by: &str| words.join(by);
    let steps = join(need.steps.iter().map(ToString::to_string).collect(), ", ");
    let statements = join(need.statements.iter().cloned().collect(), ", ");
    let why = join(need.why.iter().cloned().collect(), "; ");
    let besides = need.besides.as_ref().map(|when| format!(" ({when})")).unwrap_or_default();
    format!("{steps}: {why}{besides} [{statements}]")
}

fn runner(text: &mut String, access: &Access) -> std::fmt::Result {
    let Some(policy) = &access.runner.policy else { return Ok(()) };
    text.push_str("\n── the identity that starts redrill\n");
    write!(text, "\nPermissions policy:\n{}\n", pretty(policy))?;
    if let Some(trust) = &access.runner.trust {
        write!(text, "\nTrust policy:\n{}\n", pretty(trust))?;
    }
    Ok(())
}

fn pretty(value: &Value) -> String {
    // Plain data can always be written.
    serde_json::to_string_pretty(value).unwrap_or_default()
}
