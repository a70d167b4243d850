//! Tokens of IAM: where they are not sent, and how long they are good.

use super::tests::{input, signing, world, written};
use super::*;
use crate::action::{Action, Given};
use crate::ids::{SiteName, StepId};
use crate::journal::FailureClass;
use crate::outside::OutsideError;
use crate::outside::fake::context_with;
use crate::time::Clock;
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

fn with_token(more: &Value) -> Value {
    let mut with = json!({ "credentials": { "iam": true, "user": "app", "at": "dr" } });
    with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    with
}

const UNFIT: [(&str, &str); 3] = [("postgres", "off"), ("mysql", "off"), ("mysql", "encrypt")];

#[tokio::test(start_paused = true)]
async fn regression_a_token_is_sent_only_where_nobody_else_can_read_it() {
    for (engine, tls) in UNFIT {
        let (context, outside, _) = context_with(world().with_database(&[]), signing());
        let with = with_token(&json!({ "engine": engine, "tls": tls }));
        let error = SqlCheck.run(&context, input(with)).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Broken);
        assert!(
            error.to_string().contains("a token is not sent")
                || error.to_string().contains("a token is sent as it is"),
            "{error}"
        );
        assert!(outside.logins_seen.lock().unwrap().is_empty(), "{engine} {tls}");
    }
    let (context, outside, _) = context_with(world().with_database(&[]), signing());
    SqlCheck.run(&context, input(with_token(&json!({ "tls": "encrypt" })))).await.unwrap();
    assert_eq!(outside.logins_seen.lock().unwrap().len(), 1);
}

#[test]
fn a_token_that_could_be_read_on_the_way_is_found_before_the_run() {
    let places = |more: Value| {
        let at = Some(SiteName::new("dr"));
        let given = Given::new("orders", StepId::new("data"), at, written(more));
        let found = SqlCheck.check_input(&given).into_iter();
        found.filter(|p| p.message.contains("a token")).map(|p| p.pointer).collect::<Vec<_>>()
    };
    for (engine, tls) in UNFIT {
        let with = with_token(&json!({ "engine": engine, "tls": tls }));
        assert_eq!(places(with), ["/tls"], "{engine} {tls}");
    }
    let fine = with_token(&json!({ "tls": { "ca": "global-bundle.pem" } }));
    assert_eq!(places(fine), Vec::<String>::new());
    let login = json!({ "name": "the application", "credentials": { "iam": true, "user": "app" } });
    assert_eq!(places(json!({ "tls": "off", "logins": [login] })), ["/tls"]);
    let source = json!({
        "at": "dr", "endpoint": "source.test", "database": "orders", "tls": "off",
        "credentials": { "iam": true, "user": "app" },
    });
    assert_eq!(places(json!({ "source": source, "schema": {} })), ["/source/tls"]);
}

#[derive(Debug)]
struct Simulated(Clock);

impl TimeSource for Simulated {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_server_that_starts_for_longer_than_a_token_is_good_is_given_another_one() {
    let outside = world();
    let starting = || Err(OutsideError::Unreachable("the database system is starting up".into()));
    outside.databases.lock().unwrap().extend((0..2000).map(|_| starting()));
    let (mut context, outside, _) = context_with(outside, signing());
    let time = SharedTimeSource::new(Simulated(context.clock.clone()));
    let config = signing().into_builder().time_source(time).build();
    let session = context.site_named(&SiteName::new("dr")).unwrap();
    let place = session.place().clone();
    let session = crate::aws::SiteSession::new(place, &config, std::sync::Arc::default());
    context.sessions = std::sync::Arc::new([(SiteName::new("dr"), session)].into());
    let with = with_token(&json!({ "ready_within": "20m" }));
    let began = context.clock.elapsed();
    let error = SqlCheck.run(&context, input(with)).await.unwrap_err();
    assert!(context.clock.elapsed() - began >= Duration::from_secs(20 * 60), "{error}");
    let logins = outside.logins_seen.lock().unwrap();
    let signed_at = |login: &crate::outside::DatabaseLogin| {
        let token = login.password.reveal().to_owned();
        token.split("X-Amz-Date=").nth(1).unwrap()[..16].to_owned()
    };
    let (first, last) = (signed_at(logins.first().unwrap()), signed_at(logins.last().unwrap()));
    assert!(first.starts_with("20261122T0300"), "{first}");
    assert!(last.as_str() > "20261122T031800Z", "{last}");
}
