use super::output::Output;
use crate::cli::{FingerprintArgs, SqlCommand};
use crate::error::{Error, ExitCode, Result};
use crate::ids::StepId;
use crate::limits;
use crate::outside::real::RealOutside;
use crate::outside::{DatabaseEngine, DatabaseLogin, Outside, OutsideError, Secret, Tls};
use crate::providers::sql::{ChecksumsInput, RowsInput, Tables, Wanted, take_reference};
use crate::time::Clock;
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
    let wanted = wanted(args);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::broken(format!("no runtime: {e}")))?;
    let reference = runtime.block_on(async {
        let mut session = outside.database(&login).await?;
        let progress = |text: &str| {
            if output.live {
                output.note(text);
            }
        };
        take_reference(&mut *session, &wanted, Clock::system().now(), &progress).await
    });
    let reference = reference.map_err(|error| told(error, &login))?;
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

fn wanted(args: &FingerprintArgs) -> Wanted {
    let tables = Tables((!args.tables.is_empty()).then(|| args.tables.clone()));
    let rows = RowsInput { tables: tables.clone(), ..RowsInput::default() };
    let only = args.only.iter().cloned().collect();
    let sums = ChecksumsInput { tables, only, ranges: args.ranges, ..ChecksumsInput::default() };
    Wanted {
        rows: args.rows.then_some(rows),
        checksums: args.checksums.then_some(sums),
        without_keys: args.without_keys,
    }
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
