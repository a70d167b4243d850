use super::output::Output;
use crate::cli::{FingerprintArgs, SqlCommand};
use crate::error::{Error, ExitCode, Result};
use crate::ids::StepId;
use crate::limits;
use crate::outside::real::RealOutside;
use crate::outside::{DatabaseEngine, DatabaseLogin, Outside, OutsideError, Secret, Tls};
use crate::providers::sql::{ChecksumsInput, Reference, RowsInput, Tables, Wanted, take_reference};
use crate::time::Clock;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// `redrill sql …`
pub(super) fn sql(command: SqlCommand, output: &Output) -> Result<ExitCode> {
    match command {
        SqlCommand::Fingerprint(args) => fingerprint(&args, output),
    }
}

fn fingerprint(args: &FingerprintArgs, output: &Output) -> Result<ExitCode> {
    let outside = RealOutside::new(".");
    let login = login(args, &outside)?;
    let wanted = wanted(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::broken(format!("no runtime: {e}")))?;
    let reference = runtime.block_on(taken(&outside, &login, &wanted, output))?;
    let reference = reference.of_database(&login.host, &login.database);
    if reference.schema.is_empty() {
        let text =
            format!("the database {} holds nothing that {} may see", login.database, login.user);
        return Err(Error::broken(text).help("a reference of nothing would let everything pass"));
    }
    if let Some(unseen) = reference.what_was_not_seen() {
        output.note(&unseen);
    }
    output.json(&reference)?;
    Ok(ExitCode::Passed)
}

async fn taken(
    outside: &RealOutside,
    login: &DatabaseLogin,
    wanted: &Wanted,
    output: &Output,
) -> Result<Reference> {
    let broken = |error: OutsideError| told(error, login);
    let mut session = outside.database(login).await.map_err(broken)?;
    let structure = session.structure().await.map_err(broken)?;
    let not_there = wanted.not_there(&structure);
    if !not_there.is_empty() {
        return Err(no_such_table(&not_there, &login.database, &login.user));
    }
    let progress = |text: &str| {
        if output.live {
            output.note(text);
        }
    };
    let now = Clock::system().now();
    take_reference(&mut *session, &structure, wanted, now, &progress).await.map_err(broken)
}

/// A file without it would look as if it had been taken down.
fn no_such_table(names: &[String], database: &str, user: &str) -> Error {
    let names = names.join(", ");
    let text = format!("the database {database} has no table {names} that {user} may see");
    Error::bad_input(text).help(
        "--table and --only name tables, as orders or public.orders; a view or a single partition is none",
    )
}

fn wanted(args: &FingerprintArgs) -> Result<Wanted> {
    let mut only = BTreeMap::new();
    for (table, condition) in &args.only {
        if only.insert(table.clone(), condition.clone()).is_some() {
            let text = format!("--only: {table} stands twice");
            return Err(Error::bad_input(text).help("join its conditions with and"));
        }
    }
    let tables = Tables((!args.tables.is_empty()).then(|| args.tables.clone()));
    let rows = RowsInput { tables: tables.clone(), ..RowsInput::default() };
    let sums = ChecksumsInput { tables, only, ranges: args.ranges, ..ChecksumsInput::default() };
    Ok(Wanted {
        rows: args.rows.then_some(rows),
        checksums: args.checksums.then_some(sums),
        without_keys: args.without_keys,
    })
}

fn login(args: &FingerprintArgs, outside: &RealOutside) -> Result<DatabaseLogin> {
    let place = place(&args.url)?;
    let tls = match (args.tls.as_str(), &args.ca) {
        (_, Some(file)) => Tls::VerifyWith(file.clone()),
        ("encrypt", None) => Tls::Encrypt,
        ("off", None) => Tls::Off,
        _ => Tls::Verify,
    };
    Ok(DatabaseLogin {
        step: StepId::new("fingerprint"),
        engine: place.engine,
        host: place.host,
        port: place.port,
        user: place.user,
        password: password(args, outside)?,
        database: place.database,
        tls,
        connect_timeout: CONNECT_TIMEOUT,
        statement_timeout: args.statement_timeout.0,
    })
}

fn password(args: &FingerprintArgs, outside: &RealOutside) -> Result<Secret> {
    let broken = |error: OutsideError| Error::bad_input(error.to_string());
    if let Some(name) = &args.password_env {
        return outside.environment(name).map_err(broken);
    }
    let path = args.password_file.as_deref().unwrap_or_default();
    // A pipe will do here: it is read once.
    let content = limits::read_file(Path::new(path), limits::CREDENTIAL_BYTES);
    let content = content.map_err(|why| Error::bad_input(format!("{path}: {why}")))?;
    let text = String::from_utf8(content);
    let text = text.map_err(|_| Error::bad_input(format!("{path} is not text")))?;
    Ok(Secret::new(text.trim_end_matches(['\n', '\r'])))
}

struct Place {
    engine: DatabaseEngine,
    host: String,
    port: u16,
    user: String,
    database: String,
}

/// Reads the address. What is wrong with it is said without repeating it: there may be a password in it.
fn place(url: &str) -> Result<Place> {
    const FORM: &str =
        "write postgres://USER@HOST[:PORT]/DATABASE, or mysql://… for MySQL and MariaDB";
    let wrong = |what: &str| Error::bad_input(format!("--url: {what}")).help(FORM);
    let parsed =
        reqwest::Url::parse(url).map_err(|e| wrong(&format!("this is no address: {e}")))?;
    let (engine, usual) = match parsed.scheme() {
        "postgres" | "postgresql" => (DatabaseEngine::Postgres, 5432),
        "mysql" | "mariadb" => (DatabaseEngine::Mysql, 3306),
        other => return Err(wrong(&format!("{other} is no kind of database that is known"))),
    };
    if parsed.password().is_some() {
        return Err(wrong(
            "a password must not stand on the command line, where everyone can see it",
        )
        .help("give it with --password-env or --password-file"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong("there must be no query: options have names of their own"));
    }
    let user = parsed.username();
    let database = parsed.path().trim_start_matches('/');
    if user.is_empty() || database.is_empty() || database.contains('/') {
        return Err(wrong("user and database are needed"));
    }
    if user.contains('%') || database.contains('%') {
        return Err(wrong("names with characters that must be encoded cannot be given"));
    }
    let host = parsed.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| wrong("a host is needed"))?;
    Ok(Place {
        engine,
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: parsed.port().unwrap_or(usual),
        user: user.to_owned(),
        database: database.to_owned(),
    })
}

fn told(error: OutsideError, login: &DatabaseLogin) -> Error {
    let place = format!("{}:{}", login.host, login.port);
    let text = format!("the database {} at {place}: {error}", login.database);
    let about_tls = matches!(&error, OutsideError::Failed(why) if why.starts_with("TLS"));
    match error {
        OutsideError::Denied(_) => Error::broken(text).help(format!(
            "check the password and the rights of {}; reading is enough",
            login.user
        )),
        _ if about_tls => Error::broken(text).help(
            "give the certificate authorities with --ca FILE: for RDS and Aurora, download \
             https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem",
        ),
        _ => Error::broken(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    /// What these arguments ask for, or what is wrong with them.
    fn parsed(more: &[&str]) -> std::result::Result<FingerprintArgs, String> {
        let start = ["redrill", "sql", "fingerprint", "--url", "postgres://ro@db/orders"];
        let cli = Cli::try_parse_from(start.into_iter().chain(more.iter().copied()));
        match cli.map_err(|error| error.to_string())?.command {
            Command::Sql(SqlCommand::Fingerprint(args)) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn regression_tables_and_conditions_that_nothing_would_be_taken_of_are_refused() {
        let with = |more: &[&str]| parsed(&[&["--password-env", "WORD"][..], more].concat());
        let why = with(&["--table", "orders"]).unwrap_err();
        assert!(why.contains("--rows") && why.contains("--checksums"), "{why}");
        let why = with(&["--rows", "--only", "orders=id > 1"]).unwrap_err();
        assert!(why.contains("--checksums"), "{why}");
        for rungs in [&["--rows"][..], &["--checksums"], &["--rows", "--checksums"]] {
            let args = with(&[rungs, &["--table", "orders", "--table", "ledger"]].concat());
            assert_eq!(args.unwrap().tables, ["orders", "ledger"]);
        }
        let only = ["--checksums", "--only", "orders=id > 1", "--only"];
        let both = with(&[&only[..], &["ledger=id > 1"]].concat()).unwrap();
        assert_eq!(wanted(&both).unwrap().checksums.unwrap().only.len(), 2);
        let twice = with(&[&only[..], &["orders=id > 2"]].concat()).unwrap();
        assert!(wanted(&twice).unwrap_err().to_string().contains("orders stands twice"));
    }

    #[test]
    fn regression_a_table_that_is_not_there_is_bad_input() {
        let error = no_such_table(&["heartbeet".into(), "nosuch".into()], "orders", "ro");
        assert_eq!(error.exit_code(), ExitCode::BadInput);
        assert!(error.to_string().contains("no table heartbeet, nosuch"), "{error}");
    }

    #[test]
    fn regression_both_ways_to_give_a_password_are_named_where_there_is_none() {
        let why = parsed(&[]).unwrap_err();
        assert!(why.contains("--password-env") && why.contains("--password-file"), "{why}");
        assert!(parsed(&["--password-file", "word"]).is_ok());
        let why = parsed(&["--password-file", "word", "--password-env", "WORD"]).unwrap_err();
        assert!(why.contains("cannot be used with"), "{why}");
    }

    #[test]
    fn addresses_are_read_with_their_usual_ports() {
        let found = place("postgres://ro@db.example.com/orders").unwrap();
        assert_eq!((found.host.as_str(), found.port), ("db.example.com", 5432));
        assert_eq!((found.user.as_str(), found.database.as_str()), ("ro", "orders"));
        let found = place("mysql://ro@[::1]:3307/orders").unwrap();
        assert_eq!((found.host.as_str(), found.port), ("::1", 3307));
        assert_eq!(found.engine, DatabaseEngine::Mysql);
    }

    #[test]
    fn a_password_in_the_address_is_refused_and_not_repeated() {
        for (url, why) in [
            ("postgres://ro:hunter2@db/orders", "must not stand on the command line"),
            ("postgres://ro@db/orders?password=hunter2", "no query"),
            ("oracle://ro@db/orders", "no kind of database"),
            ("postgres://db/orders", "user and database"),
            ("postgres://ro@db", "user and database"),
            ("db", "no address"),
        ] {
            let Err(error) = place(url) else { panic!("{url} was taken") };
            let text = error.to_string();
            assert!(text.contains(why) && !text.contains("hunter2"), "{text}");
        }
    }
}
