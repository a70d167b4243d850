//! `sql.check` over TLS, of a MariaDB server of this test alone whose certificate is of an authority of its own, as those of RDS
//! are.

use crate::server_damage_mariadb::Server;
use crate::server_databases::{Stepped, certificates};
use redrill::journal::{FailureClass, Outcome};
use serde_json::{Value, json};
use std::path::Path;

/// A server with this folder's certificate, which is good for `localhost` only.
async fn with_certificate_of(authority: &Path) -> Server {
    let server = Server::start_with(|folder| {
        for name in ["server.pem", "server.key"] {
            std::fs::copy(authority.join(name), folder.join(name)).unwrap();
        }
        let file = |option: &str, name: &str| format!("{option}={}", folder.join(name).display());
        vec![
            file("--ssl-cert", "server.pem"),
            file("--ssl-key", "server.key"),
            "--innodb-buffer-pool-size=32M".to_owned(),
            "--innodb-log-file-size=16M".to_owned(),
        ]
    });
    let orders = "create database shop; use shop; create table orders (id int primary key); \
                  insert into orders values (1), (2)";
    server.change(orders).await;
    server
}

/// What comes of a check there, at this host and with this protection. One of its queries is about the connection itself.
async fn checked(server: &Server, host: &str, tls: Value) -> Stepped {
    let version = "select variable_value from information_schema.session_status where variable_name = 'SSL_VERSION'";
    let with = json!({
        "endpoint": host, "tls": tls, "ready_within": "20s",
        "queries": [
            { "name": "orders", "sql": "select count(*) from orders", "expect": "= 2" },
            { "name": "encrypted", "sql": version, "expect": "~ ^TLSv1" },
        ],
    });
    server.step("sql.check", server.connected("shop", with)).await
}

#[tokio::test]
async fn server_mariadb_certificates_are_verified_by_the_authority_that_the_check_names() {
    let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(own.path());
    certificates(other.path());
    let authority = |of: &tempfile::TempDir, file: &str| json!({ "ca": of.path().join(file) });
    let server = with_certificate_of(own.path()).await;

    let right = checked(&server, "localhost", authority(&own, "ca.pem")).await;
    assert_eq!(right.red(), []);
    assert!(right.check("encrypted").observed.starts_with("TLSv1"), "{:?}", right.events);
    let note = right.check("database answers").note.clone().unwrap();
    assert!(!note.contains("not verified"), "{note}");

    for (host, tls, words) in [
        ("localhost", authority(&other, "ca.pem"), "invalid peer certificate"),
        ("localhost", json!("verify"), "invalid peer certificate: UnknownIssuer"),
        ("127.0.0.1", authority(&own, "ca.pem"), "certificate not valid for name \"127.0.0.1\""),
        ("localhost", authority(&own, "nowhere.pem"), "No such file"),
        ("localhost", authority(&own, "server.key"), "holds no certificate in PEM form"),
    ] {
        let refused = checked(&server, host, tls).await;
        let error = refused.output.unwrap_err();
        // Nothing is said about the backup.
        assert_eq!(error.class(), FailureClass::Broken, "{words}: {error}");
        let text = error.to_string();
        assert!(text.starts_with("TLS: ") && text.contains(words), "{words}: {text}");
        let help = error.into_failure().help.unwrap();
        assert!(help.contains("global-bundle.pem") && help.contains("tls: {ca: FILE}"), "{help}");
        assert!(refused.events.is_empty(), "nothing was asked: {:?}", refused.events);
    }
}

#[tokio::test]
async fn server_mariadb_a_certificate_that_was_not_verified_is_said_and_so_is_no_encryption() {
    let own = tempfile::tempdir().unwrap();
    certificates(own.path());
    let server = with_certificate_of(own.path()).await;
    let unverified = checked(&server, "127.0.0.1", json!("encrypt")).await;
    assert_eq!(unverified.red(), []);
    let note = unverified.check("database answers").note.clone().unwrap();
    assert!(note.contains("the certificate was not verified"), "{note}");
    // The query about the connection tells one that is not encrypted.
    let plain = checked(&server, "127.0.0.1", json!("off")).await;
    assert_eq!(plain.red(), [("encrypted".to_owned(), Outcome::Failed)]);
}
