//! What is wrong with an input, before anybody is asked. Pure.

use super::connection::connect_address;
use super::statement::refused;
use crate::action::{Given, InputProblem};
use crate::expectation::{Expectation, ValueKind};
use crate::outside::DatabaseEngine;
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
        ["ready_within", "statement_timeout"]
            .iter()
            .filter_map(|p| InputProblem::no_time(given, p)),
    );
    found.extend(InputProblem::beyond_the_step(given, "ready_within"));
    found.extend(credentials(given));
    let engine = match given.text("engine") {
        Some("mysql") => Some(DatabaseEngine::Mysql),
        None if given.has("engine") => None,
        _ => Some(DatabaseEngine::Postgres),
    };
    found.extend(statement(given, "watermark", engine));
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
        found.extend(statement(given, &path("population"), engine));
        if let Some(written) = given.known(&path("expect"))
            && let Err(why) = Expectation::parse(written, ValueKind::Any)
        {
            found.push(InputProblem::at(&path("expect"), format!("queries: expect: {why}")));
        }
    }
    found
}

fn statement(given: &Given, path: &str, engine: Option<DatabaseEngine>) -> Option<InputProblem> {
    let why = refused(given.text(path)?, engine?)?;
    let problem = InputProblem::at(path, format!("{path} {why}"));
    Some(problem.expected("one statement that gives one row with one column"))
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
