//! Asking the members of a running cluster: who they are, and what they store.

use super::live_judge::{Answered, Hashed, Round, Silent};
use crate::action::{Given, InputProblem, StepContext};
use crate::outside::etcd::{
    EtcdHash, EtcdHashed, EtcdListed, EtcdLogin, EtcdMember, EtcdStatus, EtcdTls,
};
use crate::outside::{OutsideError, SecretFrom};
use crate::time::HumanDuration;
use futures_util::future::join_all;
use http::Uri;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often members are asked again that have just compacted, or are just behind.
const ROUNDS: u32 = 4;
/// How long is waited between.
const PAUSE: Duration = Duration::from_secs(2);

/// How connections to etcd are protected: by the cluster's own authority. Files in PEM form.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsInput {
    /// The certificate authorities of the cluster: `/etc/kubernetes/pki/etcd/ca.crt`. Needed for `https`.
    #[serde(default)]
    pub(super) ca: Option<String>,
    /// The certificate that the client shows, where members ask for one.
    #[serde(default)]
    pub(super) certificate: Option<String>,
    /// Its key. It is never written down.
    #[serde(default)]
    #[schemars(extend("format" = SecretFrom::FILE))]
    pub(super) key: Option<String>,
    /// The name that the certificates of members carry, where it is not that of the endpoints.
    #[serde(default)]
    pub(super) server_name: Option<String>,
}

pub(super) fn ten_seconds() -> HumanDuration {
    Duration::from_secs(10).into()
}

/// Who asks, and how long is waited.
pub(super) fn login(
    context: &StepContext,
    endpoint: &str,
    tls: &TlsInput,
    limit: HumanDuration,
) -> EtcdLogin {
    EtcdLogin {
        step: context.step.clone(),
        endpoint: endpoint.trim_end_matches('/').to_owned(),
        tls: EtcdTls {
            authorities: tls.ca.clone(),
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
            server_name: tls.server_name.clone(),
        },
        timeout: limit.0,
    }
}

/// The members of a cluster that answered, and those that did not.
pub(super) struct Members {
    open: Vec<Open>,
    pub(super) silent: Vec<Silent>,
    /// What the first that answered lists, or why nothing does.
    pub(super) listed: Result<Vec<EtcdListed>, String>,
}

struct Open {
    answered: Answered,
    member: Box<dyn EtcdMember>,
}

impl Members {
    /// Connects to every endpoint, and with `all` to every further member that the cluster lists.
    ///
    /// # Errors
    /// [`OutsideError::NotRehearsed`] when this world knows none of them: then nothing was tried.
    pub(super) async fn reach(
        context: &StepContext,
        logins: &[EtcdLogin],
        all: bool,
    ) -> Result<Self, OutsideError> {
        let mut members = Self {
            open: Vec::new(),
            silent: Vec::new(),
            listed: Err("no member answered".to_owned()),
        };
        members.connect(context, logins).await?;
        members.list().await;
        if let (true, Some(first), Ok(listed)) = (all, logins.first(), &members.listed) {
            let further = members.not_reached(listed, first);
            members.connect(context, &further).await?;
        }
        Ok(members)
    }

    async fn connect(
        &mut self,
        context: &StepContext,
        logins: &[EtcdLogin],
    ) -> Result<(), OutsideError> {
        let tried = join_all(logins.iter().map(|login| connect(context, login))).await;
        for (login, tried) in logins.iter().zip(tried) {
            let endpoint = login.endpoint.clone();
            match tried {
                Ok((member, status)) if self.knows(status.member) => drop(member),
                Ok((member, status)) => {
                    self.open.push(Open { answered: Answered { endpoint, status }, member });
                }
                Err(error @ OutsideError::NotRehearsed(_)) => return Err(error),
                Err(error) => self.silent.push(Silent { endpoint, why: error.to_string() }),
            }
        }
        Ok(())
    }

    fn knows(&self, member: u64) -> bool {
        self.open.iter().any(|open| open.answered.status.member == member)
    }

    async fn list(&mut self) {
        for open in &mut self.open {
            match open.member.members().await {
                Ok(listed) => {
                    self.listed = Ok(listed);
                    return;
                }
                Err(error) => self.listed = Err(error.to_string()),
            }
        }
    }

    /// The first client URL of every listed member that was not tried. What a member tells is followed only where the connection is
    /// protected as the scenario's own is.
    fn not_reached(&self, listed: &[EtcdListed], like: &EtcdLogin) -> Vec<EtcdLogin> {
        let scheme = |url: &str| url.split_once("://").map(|(scheme, _)| scheme.to_owned());
        let tried: BTreeSet<&str> =
            self.silent.iter().map(|silent| silent.endpoint.as_str()).collect();
        let not_tried = |member: &&EtcdListed| {
            !self.knows(member.member)
                && !member.client_urls.iter().any(|url| tried.contains(url.as_str()))
        };
        let url = |member: &EtcdListed| {
            let alike = |url: &&String| scheme(url) == scheme(&like.endpoint);
            member.client_urls.iter().find(alike).cloned()
        };
        let urls = listed.iter().filter(not_tried).filter_map(url);
        urls.map(|url| EtcdLogin { endpoint: url.trim_end_matches('/').to_owned(), ..like.clone() })
            .collect()
    }

    /// Those that answered.
    pub(super) fn answered(&self) -> Vec<Answered> {
        self.open.iter().map(|open| open.answered.clone()).collect()
    }

    /// Asks every voting member for its hash at a revision, again while some have just compacted or are just behind.
    pub(super) async fn hashes(&mut self, context: &StepContext, revision: i64) -> Round {
        let mut round = self.ask(revision).await;
        for _ in 1..ROUNDS {
            if round.is_settled() {
                break;
            }
            context.clock.sleep(PAUSE).await;
            round = self.ask(revision).await;
        }
        round
    }

    async fn ask(&mut self, revision: i64) -> Round {
        let voting = self.open.iter_mut().filter(|open| !open.answered.status.learner);
        let asked = voting.map(|open| async {
            let hashed = hashed(open.member.as_mut(), &open.answered.status, revision).await;
            (open.answered.clone(), hashed)
        });
        Round { revision, answers: join_all(asked).await }
    }
}

async fn connect(
    context: &StepContext,
    login: &EtcdLogin,
) -> Result<(Box<dyn EtcdMember>, EtcdStatus), OutsideError> {
    let mut member = context.outside.etcd(login).await?;
    let status = member.status().await?;
    Ok((member, status))
}

/// The hash of the member with this status at a revision, and of no other one: behind a balancer each call may be answered by
/// whoever is free, and one member asked twice agrees with itself. etcd refuses the one up to which it has compacted, unless that is
/// the last one and no revision is named: an idle cluster whose whole history is compacted.
pub(super) async fn hashed(member: &mut dyn EtcdMember, of: &EtcdStatus, revision: i64) -> Hashed {
    let is_another = |hash: &EtcdHash| (hash.cluster, hash.member) != (of.cluster, of.member);
    let answer = match member.hash_kv(revision).await {
        Ok(EtcdHashed::Compacted) => match member.hash_kv(0).await {
            Ok(EtcdHashed::Hash(last)) if is_another(&last) || last.member_revision == revision => {
                Ok(EtcdHashed::Hash(last))
            }
            Ok(_) => Ok(EtcdHashed::Compacted),
            Err(error) => Err(error),
        },
        other => other,
    };
    match answer {
        Ok(EtcdHashed::Hash(hash)) if is_another(&hash) => {
            Hashed::Unknown("another member answered: name the members, not a balancer".to_owned())
        }
        Ok(EtcdHashed::Hash(hash)) => Hashed::Hash(hash),
        Ok(EtcdHashed::Compacted) => Hashed::Compacted,
        Ok(EtcdHashed::Future) => Hashed::Future,
        Err(error) => Hashed::Unknown(error.to_string()),
    }
}

/// What is wrong with endpoints and their certificates, as far as they are known.
pub(super) fn problems(given: &Given, endpoints: &[(String, &str)]) -> Vec<InputProblem> {
    let odd = |(path, url): &(String, &str)| {
        let uri: Option<Uri> = url.parse().ok();
        let is_one = uri.is_some_and(|uri| {
            let known = matches!(uri.scheme_str(), Some("http" | "https"));
            let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
            known && !user && matches!(uri.path(), "" | "/") && uri.query().is_none()
        });
        let message = format!("{}: {url} is not a client URL of etcd", path.replace('/', "."));
        let problem = InputProblem::new(format!("/{path}"), message);
        (!is_one)
            .then(|| problem.expected("https://HOST:2379, or http:// on loopback and in tunnels"))
    };
    let mut problems: Vec<_> = endpoints.iter().filter_map(odd).collect();
    let encrypted = endpoints.iter().any(|(_, url)| url.starts_with("https://"));
    if encrypted && !given.has("tls.ca") && !given.comes_later("tls") {
        let problem = InputProblem::new("", "tls.ca is missing: an endpoint begins with https");
        problems.push(problem.help("name the file with the certificate authority of the cluster: /etc/kubernetes/pki/etcd/ca.crt"));
    }
    if given.has("tls.certificate") != given.has("tls.key") {
        let problem =
            InputProblem::at("tls", "tls: a client certificate and its key belong together");
        problems.push(problem.help("give both certificate: and key:, or neither"));
    }
    problems.extend(InputProblem::no_time(given, "answer_within"));
    problems
}

/// Whether what is sent to this client URL can be read on the way.
pub(super) fn is_exposed(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let uri: Option<Uri> = format!("http://{rest}").parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<std::net::IpAddr> = host.parse().ok();
    !host.eq_ignore_ascii_case("localhost") && !address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::live_judge::{Names, same_data};
    use super::*;
    use crate::ids::StepId;
    use crate::journal::Outcome;
    use crate::outside::Answer;
    use crate::outside::etcd::EtcdPieces;
    use serde_json::{Value, json};

    fn of(with: Value, urls: &[&str]) -> Vec<String> {
        let given = Given::new("cluster", StepId::new("x"), None, with);
        let urls: Vec<_> =
            urls.iter().enumerate().map(|(n, url)| (format!("endpoints/{n}"), *url)).collect();
        problems(&given, &urls).into_iter().map(|problem| problem.message).collect()
    }

    /// Gives these answers to calls for a hash, one after the other.
    struct Answers(Vec<EtcdHashed>);

    impl EtcdMember for Answers {
        fn status(&mut self) -> Answer<'_, EtcdStatus> {
            panic!("not asked")
        }

        fn members(&mut self) -> Answer<'_, Vec<EtcdListed>> {
            panic!("not asked")
        }

        fn hash_kv(&mut self, _revision: i64) -> Answer<'_, EtcdHashed> {
            let answer = self.0.remove(0);
            Box::pin(std::future::ready(Ok(answer)))
        }

        fn snapshot(&mut self) -> Answer<'_, Box<dyn EtcdPieces>> {
            panic!("not asked")
        }
    }

    fn hash_of(cluster: u64, member: u64) -> EtcdHashed {
        EtcdHashed::Hash(EtcdHash {
            cluster,
            member,
            member_revision: 9,
            compact_revision: -1,
            hash: 7,
        })
    }

    fn status(member: u64) -> EtcdStatus {
        EtcdStatus { cluster: 5, member, revision: 9, ..EtcdStatus::default() }
    }

    fn is_refused(hashed: &Hashed) -> bool {
        matches!(hashed, Hashed::Unknown(why) if why.contains("not a balancer"))
    }

    #[tokio::test]
    async fn regression_a_hash_that_another_member_told_is_not_that_of_the_one_that_was_asked() {
        let of =
            async |answers: Vec<EtcdHashed>| hashed(&mut Answers(answers), &status(1), 9).await;
        assert!(of(vec![hash_of(5, 1)]).await.hash().is_some());
        assert!(is_refused(&of(vec![hash_of(5, 2)]).await));
        assert!(is_refused(&of(vec![hash_of(6, 1)]).await));
        // Also when it is asked for its last one.
        assert!(of(vec![EtcdHashed::Compacted, hash_of(5, 1)]).await.hash().is_some());
        assert!(is_refused(&of(vec![EtcdHashed::Compacted, hash_of(5, 2)]).await));
    }

    #[tokio::test]
    async fn regression_one_member_that_answers_for_all_behind_a_balancer_is_not_the_same_data() {
        let open = |member| Open {
            answered: Answered { endpoint: "http://a:1".to_owned(), status: status(member) },
            member: Box::new(Answers(vec![hash_of(5, 1)])),
        };
        let list = |member| EtcdListed { member, ..EtcdListed::default() };
        let listed = vec![list(1), list(2)];
        let open = vec![open(1), open(2)];
        let mut members = Members { open, silent: Vec::new(), listed: Ok(listed.clone()) };
        let round = members.ask(9).await;
        assert!(round.hash_of(1).is_some() && round.hash_of(2).is_none(), "{round:?}");
        let check = same_data(&round, &Names(&listed));
        assert_eq!(check.outcome, Outcome::Inconclusive);
        assert!(check.note.as_deref().unwrap().contains("another member answered"), "{check:?}");
    }

    #[test]
    fn what_is_no_client_url_is_found_before_the_run() {
        for good in ["http://127.0.0.1:2379", "http://[::1]:2379/"] {
            assert_eq!(of(json!({}), &[good]), [] as [&str; 0], "{good}");
        }
        for bad in ["127.0.0.1:2379", "ftp://a", "http://u:p@a:1", "http://a/b", "http://a?b", ""] {
            assert_eq!(of(json!({}), &[bad]).len(), 1, "{bad}");
        }
    }

    #[test]
    fn https_needs_an_authority_and_a_certificate_its_key() {
        let url = ["https://10.0.0.1:2379"];
        assert!(of(json!({}), &url)[0].starts_with("tls.ca is missing"));
        assert_eq!(of(json!({ "tls": { "ca": "ca.crt" } }), &url), [] as [&str; 0]);
        let half = of(json!({ "tls": { "ca": "ca.crt", "key": "k" } }), &url);
        assert!(half[0].contains("belong together"));
        assert_eq!(of(json!({ "answer_within": "0s" }), &[]).len(), 1);
    }

    #[test]
    fn only_what_leaves_the_machine_unencrypted_is_exposed() {
        for quiet in ["https://a:1", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"] {
            assert!(!is_exposed(quiet), "{quiet}");
        }
        assert!(is_exposed("http://10.0.0.1:2379"));
    }
}
