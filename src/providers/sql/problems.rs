//! What is wrong with an input, before anybody is asked. Pure.

use super::connection::{TOKEN_HELP, connect_address, unfit_for_token};
use super::counted::counted;
use super::judge::json;
use super::newest::{NEWEST_HELP, NO_TIME_OF_ROWS, tables_of_times};
use super::percent::Percent;
use super::proving::{COUNT_HELP, COUNTS_NOTHING, NOTHING_AFTER, are_other_tables};
use super::rows::TOLERATES_ALL;
use super::statement::refused;
use super::vacuous::needs_population;
use crate::action::{Given, InputProblem};
use crate::expectation::{Expectation, ValueKind};
use crate::journal::Outcome;
use crate::outside::{DatabaseEngine, SqlValue};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn problems(given: &Given) -> Vec<InputProblem> {
    let mut found: Vec<InputProblem> = ["endpoint", "database"]
        .iter()
        .filter_map(|path| InputProblem::empty(given, path))
        .collect();
    if let Some(why) = given.text("connect").and_then(|text| connect_address(text).err()) {
        found.push(InputProblem::at("connect", why).expected("an address such as 127.0.0.1:5433"));
    }
    found.extend(
        ["ready_within", "statement_timeout", "max_age"]
            .iter()
            .filter_map(|p| InputProblem::no_time(given, p)),
    );
    found.extend(InputProblem::beyond_the_step(given, "ready_within"));
    found.extend(credentials(given));
    found.extend(token(given));
    found.extend(compared(given));
    let engine = match given.text("engine") {
        Some("mysql") => Some(DatabaseEngine::Mysql),
        None if given.has("engine") => None,
        _ => Some(DatabaseEngine::Postgres),
    };
    found.extend(unreadable(given.known("version"), "version", "version"));
    found.extend(settings(given));
    found.extend(newest(given, engine));
    found.extend(both_sides(given, engine));
    let mut names = BTreeSet::new();
    for index in 0..given.count("queries") {
        let path = |field: &str| format!("queries.{index}.{field}");
        found.extend(InputProblem::empty(given, &path("name")));
        if let Some(name) = given.text(&path("name"))
            && !names.insert(name)
        {
            let problem =
                InputProblem::at(&path("name"), format!("queries: {name:?} stands twice"));
            found.push(problem.help("give each query a name of its own: its check is called so"));
        }
        found.extend(statement(given, &path("sql"), engine));
        found.extend(count_of_rows(given, &path("population"), "queries: population", engine));
        found.extend(unreadable(given.known(&path("expect")), &path("expect"), "queries: expect"));
        found.extend(without_population(given, &path));
    }
    found
}

/// An expectation that cannot be read, or that everything meets.
fn unreadable(written: Option<&Value>, path: &str, what: &str) -> Option<InputProblem> {
    let why = Expectation::parse(written?, ValueKind::Any).err()?;
    Some(InputProblem::at(path, format!("{what}: {why}")))
}

/// Settings by their names, which may have dots in them.
fn settings(given: &Given) -> Vec<InputProblem> {
    let all = given.known("settings").and_then(Value::as_object).into_iter().flatten();
    let known = all.filter(|(_, written)| **written != Given::later_mark());
    let problem = |(name, written): (&String, &Value)| {
        let problem = unreadable(Some(written), "settings", &format!("settings: {name}"))?;
        let pointer = format!("/settings/{}", name.replace('~', "~0").replace('/', "~1"));
        Some(InputProblem { pointer, ..problem })
    };
    known.filter_map(problem).collect()
}

/// A watermark that gives a time over nothing, too: no run could believe it.
fn newest(given: &Given, engine: Option<DatabaseEngine>) -> Option<InputProblem> {
    if let Some(problem) = statement(given, "watermark", engine) {
        return Some(problem);
    }
    let is_none = tables_of_times(given.text("watermark")?).is_none();
    let problem =
        || InputProblem::at("watermark", format!("watermark: {NO_TIME_OF_ROWS}")).help(NEWEST_HELP);
    is_none.then(problem)
}

/// A count that does not depend on rows.
fn count_of_rows(
    given: &Given,
    path: &str,
    what: &str,
    engine: Option<DatabaseEngine>,
) -> Option<InputProblem> {
    if let Some(problem) = statement(given, path, engine) {
        return Some(problem);
    }
    let is_none = counted(given.text(path)?).is_none();
    is_none.then(|| InputProblem::at(path, format!("{what}: {COUNTS_NOTHING}")).help(COUNT_HELP))
}

/// Sides of a point in time that would hold whatever was restored.
fn both_sides(given: &Given, engine: Option<DatabaseEngine>) -> Vec<InputProblem> {
    const SIDES: [&str; 2] = ["point_in_time.before", "point_in_time.after"];
    let sides = SIDES.iter().filter_map(|path| count_of_rows(given, path, path, engine));
    let found: Vec<InputProblem> = sides.collect();
    let [before, after] = SIDES.map(|path| given.text(path));
    match before.zip(after) {
        Some((before, after)) if found.is_empty() && are_other_tables(before, after) => {
            let text = format!("point_in_time.after: {NOTHING_AFTER}");
            vec![InputProblem::at(SIDES[1], text).help("count both in the same table")]
        }
        _ => found,
    }
}

/// What would be inconclusive whenever it seems to pass.
fn without_population(given: &Given, path: &impl Fn(&str) -> String) -> Option<InputProblem> {
    if given.has(&path("population")) {
        return None;
    }
    let sql = given.text(&path("sql"))?;
    let expected = Expectation::parse(given.known(&path("expect"))?, ValueKind::Any).ok()?;
    let accepts = |value: &SqlValue| {
        expected.judge("", &json(value), String::new()).outcome == Outcome::Passed
    };
    needs_population(sql, accepts).then(|| {
        let text = "queries: an empty table gives the expected value, too, so that the check could never pass";
        InputProblem::at(&path("sql"), text)
            .help("add population: with a query that counts what this one is taken over")
    })
}

/// What the rungs that compare need: found only after the restore, it would be found too late.
fn compared(given: &Given) -> Vec<InputProblem> {
    let mut found = Vec::new();
    let rung = ["schema", "rows", "checksums"].into_iter().find(|rung| given.has(rung));
    let (reference, source) = (given.has("reference") || given.has("earlier"), given.has("source"));
    found.extend(InputProblem::empty(given, "earlier.step"));
    if reference && source {
        let text = "source: give exactly one of reference (or earlier) and source";
        found.push(InputProblem::at("source", text));
    }
    if let Some(rung) = rung.filter(|_| !reference && !source) {
        let text = format!("{rung} compares with a reference or a source, and there is neither");
        found.push(InputProblem::at(rung, text).help(
            "add reference: with what sql.capture_reference takes down before the disaster, or a file of \
             redrill sql fingerprint; earlier: names a run that has taken it down",
        ));
    }
    for needed in ["reference_of", "max_age"] {
        if given.has(needed) && !reference {
            let text = format!("{needed} is asked of a reference, and there is none");
            found.push(
                InputProblem::at(needed, text).help("add reference: or earlier:, or leave it out"),
            );
        }
    }
    for (needed, why) in [
        ("max_age", "how old it may be is for the policy to say"),
        ("reference_of", "what it was taken of must be what was lost"),
    ] {
        if given.has("earlier") && !given.has(needed) {
            let text = format!("earlier: {needed} is missing: {why}");
            found.push(InputProblem::at("earlier", text).help(format!("add {needed}:")));
        }
    }
    if is_its_own_source(given) {
        let text = "source.endpoint is the database that is checked: compared with itself, everything is the same";
        found.push(
            InputProblem::at("source.endpoint", text).help("name the original as the source"),
        );
    }
    if given.text("rows.tolerance").is_some_and(|text| text.parse() == Ok(Percent::ALL)) {
        let text = format!("rows.tolerance: {TOLERATES_ALL}");
        found.push(InputProblem::at("rows.tolerance", text).expected("less than 100%"));
    }
    found
}

/// As far as it can be known before the day.
fn is_its_own_source(given: &Given) -> bool {
    let same = |path: &str| {
        let of_source = given.text(&format!("source.{path}"));
        of_source.is_some() && of_source == given.text(path)
    };
    let port = |path: &str| given.known(path).and_then(Value::as_u64);
    let is_known = !given.comes_later("port") && !given.comes_later("source.port");
    is_known && same("endpoint") && same("database") && port("port") == port("source.port")
}

fn statement(given: &Given, path: &str, engine: Option<DatabaseEngine>) -> Option<InputProblem> {
    let why = refused(given.text(path)?, engine?)?;
    let problem = InputProblem::at(path, format!("{path} {why}"));
    Some(problem.expected("one statement that gives one row with one column"))
}

/// A token of IAM that would be sent where it can be read.
fn token(given: &Given) -> Vec<InputProblem> {
    let is_token = |path: &str| given.known(path) == Some(&Value::Bool(true));
    let mut ways =
        vec![("", "credentials".to_owned()), ("source.", "source.credentials".to_owned())];
    ways.extend((0..given.count("logins")).map(|i| ("", format!("logins.{i}.credentials"))));
    let problem = |(side, path): &(&str, String)| {
        let read = |name: &str| given.known(&format!("{side}{name}")).cloned();
        let engine = serde_json::from_value(read("engine").unwrap_or("postgres".into())).ok()?;
        let tls = serde_json::from_value(read("tls")?).ok()?;
        let why = unfit_for_token(is_token(&format!("{path}.iam")), engine, &tls)?;
        Some(InputProblem::at(&format!("{side}tls"), why).help(TOKEN_HELP))
    };
    ways.iter().filter_map(problem).collect()
}

/// Where the password comes from, and for whom it is.
fn credentials(given: &Given) -> Option<InputProblem> {
    // When it is known only on the day, its parts are, too.
    given.known("credentials")?;
    let has = |name: &str| given.has(&format!("credentials.{name}"));
    let iam = has("iam") && given.known("credentials.iam") != Some(&Value::Bool(false));
    let ways = ["secret", "password_from_env", "password_file"];
    if ways.iter().filter(|way| has(way)).count() + usize::from(iam) != 1 {
        let text =
            "credentials: give exactly one of secret, password_from_env, password_file and iam";
        return Some(InputProblem::at("credentials", text));
    }
    if has("secret") {
        let nowhere = !has("at") && given.at.is_none();
        let problem = || {
            InputProblem::at(
                "credentials.secret",
                "credentials.secret: no site says where the secret is",
            )
            .help("add at: with a site to the credentials")
        };
        return nowhere.then(problem);
    }
    let nobody = !has("user") && !given.has("user");
    let problem = || {
        InputProblem::at("credentials", "credentials: there is no user to log in with")
            .help("add user: to the credentials")
    };
    nobody.then(problem)
}
