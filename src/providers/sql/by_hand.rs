use crate::action::{ByHand, HandInput};
use crate::time::HumanDuration;
use serde_json::Value;
use std::time::Duration;

/// psql or mysql, with the same protection as the step.
pub(super) fn by_hand(input: &HandInput) -> ByHand {
    let is_mysql = input.value("engine").and_then(Value::as_str) == Some("mysql");
    let mut commands = credentials(input, is_mysql);
    let ask = if is_mysql { mysql(input) } else { postgres(input, &mut commands) };
    commands.push(format!("{ask} {}", HandInput::quote("select 1")));
    if let Some(sql) = input.word("watermark") {
        commands.push(format!("{ask} {sql}    # the newest data: note the time; later than the backup, it is another database"));
    }
    let mut ladder = super::by_hand_ladder::rungs(input, &ask, is_mysql);
    commands.append(&mut ladder.commands);
    let mut expected = vec!["The database answers 1.".to_owned()];
    expected.append(&mut ladder.expected);
    for query in input.value("queries").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| query.get(name).and_then(Value::as_str);
        if let Some(population) = text("population") {
            let population = HandInput::quote(population);
            commands.push(format!(
                "{ask} {population}    # must not be 0, or the next query proves nothing"
            ));
        }
        if let Some(sql) = text("sql") {
            commands.push(format!("{ask} {}", HandInput::quote(sql)));
        }
        let wanted = query
            .get("expect")
            .map(|expect| expect.as_str().map_or_else(|| expect.to_string(), str::to_owned));
        let name = text("name").unwrap_or("query");
        expected.push(format!("{name}: {}.", wanted.unwrap_or_default()));
    }
    let mut if_it_fails = vec![
        "Refused or timed out: the database may still be starting; look at its state and at its security group."
            .to_owned(),
        "jq fails: the secret is the password alone, not JSON; use \"$DB_SECRET\" in its place, and name the user yourself."
            .to_owned(),
        "Password rejected: the restored database has the users and passwords of its recovery point, which may be \
         older than the secret."
            .to_owned(),
        "Certificate not verified: RDS and Aurora need https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem, \
         downloaded beforehand."
            .to_owned(),
    ];
    if commands.iter().any(|command| command.contains("PGSSLROOTCERT=system")) {
        if_it_fails.push(
            "The file \"system\" does not exist: psql is older than 16; name a file of authorities instead, such as \
             /etc/ssl/certs/ca-certificates.crt."
                .to_owned(),
        );
    }
    if_it_fails.append(&mut ladder.if_it_fails);
    if is_mysql {
        if_it_fails.push(
            "The option --ssl-mode is unknown: it is MariaDB's client; write --ssl-verify-server-cert instead."
                .to_owned(),
        );
    }
    ByHand {
        commands: alone(&commands),
        verify: looks(&commands).into_iter().chain(logins(input)).collect(),
        expected: expected.join(" "),
        if_it_fails,
        ..ByHand::default()
    }
}

/// What verifies nothing, though it may look as if it did.
fn looks(commands: &[String]) -> Vec<String> {
    let mut verify = vec![
        "No row, NULL, an error of the server or another exit status than 0 verifies nothing: treat it as not checked."
            .to_owned(),
    ];
    if commands.iter().any(|command| command.contains("sha256sum")) {
        verify.push(
            "A checksum that begins with e3b0c44298fc is that of nothing: the table is empty, or was not read."
                .to_owned(),
        );
    }
    verify
}

/// Further logins, each by another secret, perhaps of another region: a person tries them.
fn logins(input: &HandInput) -> Vec<String> {
    let all = input.value("logins").and_then(Value::as_array).into_iter().flatten();
    let login = all.map(|login| {
        let text = |path: &str| login.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let at = Some(text("/credentials/at")).filter(|at| !at.is_empty());
        let at = at.map(|at| format!(" of the site {at}")).unwrap_or_default();
        let with = match text("/credentials/secret") {
            "" => "with its own credentials".to_owned(),
            secret => format!("with user and password of the secret {secret}{at}"),
        };
        let refused = login.get("refused").and_then(Value::as_bool) == Some(true);
        let ends = if refused { "the server must refuse it" } else { "it must be let in" };
        format!("Log in to the restored database as {}, {with}: {ends}.", text("/name"))
    });
    login.collect()
}

/// Commands in a shell of their own, which ends at the first one that fails: without a host or a password of this step, psql would
/// ask the server of an earlier one, and its answers would pass for those of the restored database.
pub(super) fn alone(commands: &[String]) -> Vec<String> {
    vec![format!("(\nset -eu\n{}\n); echo \"exit status $?\"", commands.join("\n"))]
}

/// The commands before the first question, and how to ask one.
pub(super) fn asking(input: &HandInput) -> (Vec<String>, String) {
    let is_mysql = input.value("engine").and_then(Value::as_str) == Some("mysql");
    let mut commands = credentials(input, is_mysql);
    let ask = if is_mysql { mysql(input) } else { postgres(input, &mut commands) };
    (commands, ask)
}

/// The password goes into the environment, never into an argument.
fn credentials(input: &HandInput, is_mysql: bool) -> Vec<String> {
    let variable = if is_mysql { "MYSQL_PWD" } else { "PGPASSWORD" };
    let mut commands = Vec::new();
    if let Some(secret) = input.word("credentials.secret") {
        let place = match input.word("credentials.at") {
            Some(site) => format!("\"$AWS_REGION\"    # the region of the site {site}"),
            None => input.region(),
        };
        let (region, note) = place.split_once("    ").unwrap_or((&place, ""));
        let note = if note.is_empty() { String::new() } else { format!("    {note}") };
        commands.push(format!(
            "DB_SECRET=\"$(aws secretsmanager get-secret-value --region {region} --secret-id {secret} \
             --query SecretString --output text)\"{note}"
        ));
        commands.push(format!(
            "{variable}=\"$(printf '%s' \"$DB_SECRET\" | jq -r .password)\"; export {variable}"
        ));
    } else if let Some(Value::String(name)) = input.value("credentials.password_from_env") {
        commands.push(format!("export {variable}=\"${{{name}:?}}\""));
    } else if input.value("credentials.iam").and_then(Value::as_bool) == Some(true) {
        // https://docs.aws.amazon.com/cli/latest/reference/rds/generate-db-auth-token.html
        let (host, port) = place(input, if is_mysql { "3306" } else { "5432" });
        let region = match input.word("credentials.at") {
            Some(_) => "\"$AWS_REGION\"".to_owned(),
            None => input.region(),
        };
        commands.push(format!(
            "{variable}=\"$(aws rds generate-db-auth-token --region {region} --hostname {host} --port {port} \
             --username {})\"    # good for 15 minutes\nexport {variable}",
            user(input)
        ));
    } else if let Some(file) = input.word("credentials.password_file") {
        commands.push(format!("{variable}=\"$(cat {file})\"; export {variable}"));
    }
    commands
}

fn user(input: &HandInput) -> String {
    let named = input.word("user").or_else(|| input.word("credentials.user"));
    named.unwrap_or_else(|| "\"$(printf '%s' \"${DB_SECRET:?}\" | jq -r .username)\"".to_owned())
}

/// Host and port: those of the endpoint, since a responder has a tunnel of their own, or none.
fn place(input: &HandInput, usual_port: &str) -> (String, String) {
    let host = input.word("endpoint").unwrap_or_else(|| "\"${DB_HOST:?}\"".to_owned());
    (host, input.word("port").unwrap_or_else(|| usual_port.to_owned()))
}

fn postgres(input: &HandInput, commands: &mut Vec<String>) -> String {
    let (host, port) = place(input, "5432");
    let database = input.word("database").unwrap_or_else(|| "postgres".to_owned());
    let tls = psql_tls(input.value("tls").and_then(Value::as_str), input.word("tls.ca"));
    commands.push(format!(
        "PGUSER={}\nexport PGUSER PGHOST={host} PGPORT={port} PGDATABASE={database} {tls}",
        user(input)
    ));
    let limit = input.value("statement_timeout").and_then(|limit| limit.as_str()?.parse().ok());
    let HumanDuration(limit) = limit.unwrap_or(HumanDuration(Duration::from_secs(60)));
    commands.push(format!(
        "export PGOPTIONS='-c default_transaction_read_only=on -c statement_timeout={}ms -c timezone=UTC -c row_security=off'",
        limit.as_millis()
    ));
    "psql --no-psqlrc --tuples-only --no-align --command".to_owned()
}

/// The environment in which psql connects as the input `tls` says; `file` is a word of the shell.
pub(super) fn psql_tls(tls: Option<&str>, file: Option<String>) -> String {
    match (tls, file) {
        (_, Some(file)) => format!("PGSSLMODE=verify-full PGSSLROOTCERT={file}"),
        (Some("encrypt"), None) => "PGSSLMODE=require".to_owned(),
        (Some("off"), None) => "PGSSLMODE=disable".to_owned(),
        _ => "PGSSLMODE=verify-full PGSSLROOTCERT=system".to_owned(),
    }
}

/// The options with which mysql connects as the input `tls` says; `file` is a word of the shell.
pub(super) fn mysql_tls(tls: Option<&str>, file: Option<String>) -> String {
    match (tls, file) {
        (_, Some(file)) => format!("--ssl-mode=VERIFY_IDENTITY --ssl-ca={file}"),
        (Some("encrypt"), None) => "--ssl-mode=REQUIRED".to_owned(),
        (Some("off"), None) => "--ssl-mode=DISABLED".to_owned(),
        _ => "--ssl-mode=VERIFY_IDENTITY".to_owned(),
    }
}

fn mysql(input: &HandInput) -> String {
    let (host, port) = place(input, "3306");
    let database = input.word("database").unwrap_or_else(|| "mysql".to_owned());
    let tls = mysql_tls(input.value("tls").and_then(Value::as_str), input.word("tls.ca"));
    format!(
        "mysql --host={host} --port={port} --user={} {tls} --database={database} --batch --skip-column-names \
         --init-command='SET SESSION TRANSACTION READ ONLY' --execute",
        user(input)
    )
}
