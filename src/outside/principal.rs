//! Who somebody is, as AWS and the operating system name them: whether they may answer, and whether two names are one person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Those who may answer, as AWS knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowedPrincipals {
    /// ARNs as `aws sts get-caller-identity` prints them: `arn:aws:iam::111111111111:user/anna`,
    /// `arn:aws:sts::111111111111:assumed-role/incident-commander/anna@example.com`. A `*` stands for any characters but
    /// `/` and `:`, and not in the account.
    #[schemars(
        length(min = 1),
        inner(regex(
            pattern = r"^arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:(user|assumed-role|federated-user|root)(/[^:]+)?$"
        ))
    )]
    pub principals: Vec<String>,
    /// The region whose STS is asked. It must be one that is there after the disaster: `{{sites.dr.region}}`.
    pub region: String,
}

impl AllowedPrincipals {
    /// Whether the one with this ARN is among them.
    pub fn admit(&self, arn: &str) -> bool {
        self.principals.iter().any(|pattern| matches(pattern, arn))
    }

    /// The first that is no pattern of an ARN of one account: nothing can be judged by it.
    pub fn unusable(&self) -> Option<&str> {
        let usable = |pattern: &&String| Named::read(pattern).is_some();
        self.principals.iter().find(|pattern| !usable(pattern)).map(String::as_str)
    }
}

/// Part by part, so that no `*` reaches over a border: neither from a role to its session nor to another account.
fn matches(pattern: &str, arn: &str) -> bool {
    let split = |text: &str| -> Vec<String> { text.split([':', '/']).map(str::to_owned).collect() };
    let borders = |text: &str| -> String { text.chars().filter(|c| ":/".contains(*c)).collect() };
    let (wanted, found) = (split(pattern), split(arn));
    Named::read(pattern).is_some()
        && borders(pattern) == borders(arn)
        && wanted.len() == found.len()
        && wanted.iter().zip(&found).all(|(wanted, found)| matches_part(wanted, found))
}

fn matches_part(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// Somebody as `sts:GetCallerIdentity` names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// `arn:aws:sts::111111111111:assumed-role/incident-commander/anna@example.com`.
    pub arn: String,
    /// The account.
    pub account: String,
    /// The unique id: of a session, that of its role, a colon and the session's name.
    pub user_id: String,
}

/// Who a run is: what its operator is called by AWS, and the roles that the run assumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunBy {
    /// The one whose credentials the run was started with.
    pub operator: Principal,
    /// ARNs of the roles of its sites.
    pub roles: Vec<String>,
}

impl RunBy {
    /// Somebody of whom no more than the ARN is known; `None` when that names nobody.
    pub(crate) fn seen_as(arn: &str) -> Option<Self> {
        let account = Named::read(arn)?.account.to_owned();
        // No id of anybody is empty: STS's answers without one say nobody.
        let operator = Principal { arn: arn.to_owned(), account, user_id: String::new() };
        Some(Self { operator, roles: Vec::new() })
    }
}

/// What an ARN of IAM or STS says about a person.
struct Named<'a> {
    account: &'a str,
    /// Of a session: the role.
    role: Option<&'a str>,
    /// The user's or the session's name.
    name: &'a str,
}

impl<'a> Named<'a> {
    fn read(arn: &'a str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let mut part = || parts.next();
        let (scheme, partition, service, region) = (part()?, part()?, part()?, part()?);
        let (account, resource) = (part()?, part()?);
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let known = scheme == "arn"
            && partition.starts_with("aws")
            && ["iam", "sts"].contains(&service)
            && region.is_empty()
            && is_account
            && !resource.contains(':');
        let (kind, rest) = resource.split_once('/').unwrap_or((resource, resource));
        let (role, name) = match kind {
            "assumed-role" => {
                let (role, session) = rest.split_once('/')?;
                (Some(role), session)
            }
            "user" | "federated-user" => (None, rest.rsplit('/').next()?),
            "root" => (None, "root"),
            _ => return None,
        };
        (known && !name.is_empty()).then_some(Self { account, role, name })
    }
}

/// Roles that IAM Identity Center makes, and nobody else; it names their sessions after the person:
/// <https://docs.aws.amazon.com/singlesignon/latest/userguide/identity-center-and-iam-roles.html>.
const OF_IDENTITY_CENTER: &str = "AWSReservedSSO_";

/// Why the one who answers may be the one who runs the drill; `None` when they are two people, as far as AWS can tell.
pub(crate) fn why_the_same_person(run: &RunBy, answers: &Principal) -> Option<String> {
    let operator = &run.operator;
    if operator.arn == answers.arn || operator.user_id == answers.user_id {
        return Some(format!("{} has started the run", answers.arn));
    }
    let (Some(one), Some(other)) = (Named::read(&operator.arn), Named::read(&answers.arn)) else {
        return Some(format!(
            "{} and {} cannot be told apart by their names",
            operator.arn, answers.arn
        ));
    };
    if is_same_name(one.name, other.name) {
        return Some(format!("{} is called as the one who has started the run", answers.arn));
    }
    let role = other.role?;
    let of_the_run = run.roles.iter().any(|arn| {
        let named = arn.splitn(6, ':').nth(5).and_then(|resource| resource.rsplit('/').next());
        arn.split(':').nth(4) == Some(other.account) && named == Some(role)
    });
    if of_the_run {
        return Some(format!("{} is a session of a role that the run itself uses", answers.arn));
    }
    let same_role = one.account == other.account && one.role == Some(role);
    (same_role && !role.starts_with(OF_IDENTITY_CENTER)).then(|| {
        format!(
            "{} is a session of the role by which the run was started, and whoever assumes a role names the session",
            answers.arn
        )
    })
}

fn is_same_name(one: &str, other: &str) -> bool {
    let bare = |name: &str| name.split('@').next().unwrap_or_default().to_ascii_lowercase();
    bare(one) == bare(other)
}

/// Whether somebody who approves, by a name such as `anna`, `anna@example.com` or an ARN, is the user `anna` of the system. A key with
/// several names (`anna, oncall`) is each of them.
pub fn is_same_person(user: &str, principal: &str) -> bool {
    let any_of = |one: &str| is_the_user(user, one);
    user.eq_ignore_ascii_case(principal) || principal.split(", ").any(any_of)
}

fn is_the_user(user: &str, principal: &str) -> bool {
    let name = Named::read(principal).map_or(principal, |named| named.name);
    is_same_name(user, name) || user.eq_ignore_ascii_case(principal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:sts::111111111111:assumed-role/commander/anna@example.com";

    fn allowed(pattern: &str) -> AllowedPrincipals {
        AllowedPrincipals { principals: vec![pattern.to_owned()], region: "eu-west-1".into() }
    }

    #[test]
    fn a_pattern_names_one_account_and_no_star_reaches_over_a_border() {
        for pattern in [
            ROLE,
            "arn:aws:sts::111111111111:assumed-role/commander/*",
            "arn:aws:sts::111111111111:assumed-role/com*er/a*@example.com",
            "arn:aws:sts::111111111111:assumed-role/*/*",
        ] {
            assert!(allowed(pattern).admit(ROLE), "{pattern}");
        }
        for pattern in [
            "arn:aws:sts::111111111111:assumed-role/commander",
            "arn:aws:sts::111111111111:assumed-role/*",
            "arn:aws:sts::111111111111:*",
            "arn:aws:sts::*:assumed-role/commander/*",
            "arn:aws:sts::222222222222:assumed-role/commander/*",
            "arn:aws:iam::111111111111:user/*/*",
            "arn:aws:sts::111111111111:assumed-role/commander/bert*",
            "arn:aws:sts::111111111111:assumed-role/command/*",
            "*",
        ] {
            assert!(!allowed(pattern).admit(ROLE), "{pattern}");
        }
        let user = "arn:aws:iam::111111111111:user/team/anna";
        assert!(allowed("arn:aws:iam::111111111111:user/team/*").admit(user));
        assert!(!allowed("arn:aws:iam::111111111111:user/*").admit(user));
    }

    #[test]
    fn a_star_stands_for_nothing_too_and_pieces_do_not_overlap() {
        for (pattern, text, fits) in [
            ("a*", "a", true),
            ("ab*ba", "aba", false),
            ("*a*b*", "xaxbx", true),
            ("*a*a", "a", false),
            ("**", "", true),
        ] {
            assert_eq!(matches_part(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_of_no_account_is_told() {
        let everywhere = "arn:aws:sts::*:assumed-role/a/b";
        assert_eq!(allowed(everywhere).unusable(), Some(everywhere));
        assert_eq!(allowed("anna").unusable(), Some("anna"));
        assert_eq!(allowed(ROLE).unusable(), None);
    }

    fn principal(arn: &str) -> Principal {
        let account = arn.split(':').nth(4).unwrap().to_owned();
        Principal { arn: arn.to_owned(), account, user_id: format!("id of {arn}") }
    }

    fn same(operator: &str, answers: &str) -> bool {
        let roles = vec!["arn:aws:iam::111111111111:role/path/redrill-drill".to_owned()];
        let run = RunBy { operator: principal(operator), roles };
        why_the_same_person(&run, &principal(answers)).is_some()
    }

    #[test]
    fn two_people_are_told_apart_and_in_doubt_are_one() {
        let user = |name: &str| format!("arn:aws:iam::111111111111:user/{name}");
        let session = |role: &str, name: &str| {
            format!("arn:aws:sts::111111111111:assumed-role/{role}/{name}")
        };
        let sso = "AWSReservedSSO_Operator_0123456789abcdef";
        assert!(!same(&user("bert"), &user("anna")));
        assert!(!same(&user("bert"), &session("commander", "anna")));
        assert!(!same(&session(sso, "bert@example.com"), &session(sso, "anna@example.com")));
        for (operator, answers, why) in [
            (user("anna"), user("anna"), "the same"),
            (user("anna"), session("commander", "Anna@example.com"), "the same name"),
            (session(sso, "anna@example.com"), session("commander", "anna@example.com"), "name"),
            (session("ops", "bert"), session("ops", "anna"), "sessions of one role"),
            (user("bert"), session("redrill-drill", "anna"), "a role of the run"),
            ("arn:aws:iam::111111111111:what/is".to_owned(), user("anna"), "nobody can tell"),
        ] {
            assert!(same(&operator, &answers), "{why}: {operator} {answers}");
        }
    }

    #[test]
    fn somebody_of_whom_only_the_arn_is_known_is_told_apart_by_it() {
        let bert = RunBy::seen_as("arn:aws:iam::111111111111:user/bert").unwrap();
        let same = |arn: &str| why_the_same_person(&bert, &principal(arn)).is_some();
        assert!(same("arn:aws:iam::111111111111:user/bert"));
        assert!(same("arn:aws:sts::111111111111:assumed-role/commander/bert@example.com"));
        assert!(!same("arn:aws:iam::111111111111:user/anna"));
        assert_eq!(RunBy::seen_as("<secret>"), None);
        assert_eq!(RunBy::seen_as(""), None);
    }

    #[test]
    fn the_user_of_the_system_is_recognised_in_an_arn() {
        assert!(is_same_person("anna", ROLE));
        assert!(is_same_person("Anna", "arn:aws:iam::111111111111:user/team/anna"));
        assert!(!is_same_person("commander", ROLE));
        assert!(is_same_person("bert", "oncall, bert@example.com"));
        assert!(!is_same_person("bert", "oncall, anna@bert, example.com"));
    }
}
