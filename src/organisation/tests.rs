use super::{Asked, Limits};
use crate::ids::SiteName;
use crate::scenario::{Guard, Site, Source};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const WHOLE: &str = "redrill_limits: 1
accounts: [\"111111111111\", \"222222222222\"]
regions: [ap-northeast-1, ap-northeast-3]
max_duration: 6h
max_resources: 10
modes: [drill]
";

fn limits(text: &str) -> Limits {
    Limits::read(&Source::new("limits.yaml", text)).unwrap()
}

fn site(account: Option<&str>, region: &str) -> Site {
    Site { account: account.map(str::to_owned), region: region.to_owned(), role: None }
}

fn sites(all: &[(&str, Option<&str>, &str)]) -> BTreeMap<SiteName, Site> {
    let named = |(name, account, region): &(&str, Option<&str>, &str)| {
        (SiteName::new(*name), site(*account, region))
    };
    all.iter().map(named).collect()
}

fn guard(hours: u64, resources: u32) -> Guard {
    let max_duration = Duration::from_secs(hours * 3600).into();
    Guard { max_duration, max_resources: resources, ..Guard::default() }
}

/// What is said of a scenario that is held to [`WHOLE`].
fn said(sites: &BTreeMap<SiteName, Site>, guard: &Guard, mode: &str) -> Vec<String> {
    let asked = Asked { mode: Some(mode), sites, guard };
    limits(WHOLE).exceeded(asked).iter().map(ToString::to_string).collect()
}

#[test]
fn a_scenario_within_all_limits_exceeds_none_and_the_limits_themselves_are_within() {
    let inside = sites(&[
        ("primary", Some("111111111111"), "ap-northeast-1"),
        ("dr", None, "ap-northeast-3"),
    ]);
    assert_eq!(said(&inside, &guard(6, 10), "drill"), Vec::<String>::new());
}

#[test]
fn whatever_goes_beyond_a_limit_is_named_with_the_place_of_the_limit() {
    let inside = sites(&[("dr", Some("222222222222"), "ap-northeast-3")]);
    let strange = sites(&[("dr", Some("333333333333"), "us-east-1")]);
    assert_eq!(
        said(&strange, &guard(6, 10), "drill"),
        [
            "limits.yaml:2:1: accounts: the site dr is in account 333333333333; allowed: 111111111111, 222222222222",
            "limits.yaml:3:1: regions: the site dr is in us-east-1; allowed: ap-northeast-1, ap-northeast-3",
        ]
    );
    assert_eq!(
        said(&inside, &guard(7, 11), "recovery"),
        [
            "limits.yaml:4:1: max_duration: guard.max_duration of the scenario is 7h; at most 6h",
            "limits.yaml:5:1: max_resources: guard.max_resources of the scenario is 11; at most 10",
            "limits.yaml:6:1: modes: the mode is recovery; allowed: drill",
        ]
    );
}

#[test]
fn a_default_that_nobody_wrote_is_called_one() {
    let narrow = limits("redrill_limits: 1\nmax_duration: 1h\nmax_resources: 0\n");
    let (none, guard) = (BTreeMap::new(), Guard::default());
    let asked = Asked { mode: None, sites: &none, guard: &guard };
    let said = narrow.exceeded(asked);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|one| one.what.contains("where it is not written")), "{said:?}");
}

#[test]
fn an_account_that_answers_where_the_scenario_named_none_is_held_to_the_list() {
    let (limits, dr) = (limits(WHOLE), SiteName::new("dr"));
    assert_eq!(limits.account(&dr, "222222222222"), None);
    assert!(limits.account(&dr, "444444444444").is_some());
    // No answer is no allowed account either.
    assert!(limits.account(&dr, "").is_some());
}

#[test]
fn what_is_wrong_with_the_file_is_told_with_its_place_and_never_ignored() {
    for (text, code, line, column) in [
        ("redrill_limits: 1\nacounts: [\"111111111111\"]\n", "RD003", 2, 1),
        ("accounts: [\"111111111111\"]\n", "RD004", 1, 1),
        ("redrill_limits: 2\n", "RD006", 1, 17),
        ("redrill_limits: '1'\n", "RD006", 1, 17),
        ("redrill_limits: 1\naccounts: []\n", "RD009", 2, 11),
        ("redrill_limits: 1\nregions: []\n", "RD009", 2, 10),
        ("redrill_limits: 1\nmodes: []\n", "RD009", 2, 8),
        ("redrill_limits: 1\naccounts:\n", "RD005", 2, 9),
        ("redrill_limits: 1\naccounts: [111111111111]\n", "RD005", 2, 12),
        ("redrill_limits: 1\naccounts: ['1111']\n", "RD008", 2, 12),
        ("redrill_limits: 1\nregions: ['*']\n", "RD008", 2, 11),
        ("redrill_limits: 1\nmodes: [drills]\n", "RD006", 2, 9),
        ("redrill_limits: 1\nmax_duration: 4\n", "RD007", 2, 15),
        ("redrill_limits: 1\nmax_duration: 0s\n", "RD007", 2, 15),
        ("redrill_limits: 1\nmax_resources: -1\n", "RD005", 2, 16),
        ("redrill_limits: 1\nmax_resources: many\n", "RD005", 2, 16),
        ("redrill_limits: 1\nmodes: [drill]\nmodes: [recovery]\n", "RD001", 3, 1),
        ("- redrill_limits: 1\n", "RD005", 1, 1),
        ("", "RD005", 1, 1),
    ] {
        let found = Limits::read(&Source::new("limits.yaml", text)).unwrap_err();
        let first = (found[0].code, found[0].line, found[0].column);
        assert_eq!(first, (code, line, column), "{text}: {found:?}");
    }
}

const ACCOUNTS: [&str; 4] = ["111111111111", "222222222222", "333333333333", "444444444444"];
const REGIONS: [&str; 4] = ["ap-northeast-1", "ap-northeast-3", "eu-west-1", "us-east-1"];

/// A file with every limit, of which lists may be left out.
#[derive(Clone, Debug)]
struct Written {
    accounts: Vec<&'static str>,
    regions: Vec<&'static str>,
    hours: u64,
    resources: u32,
}

impl Written {
    fn text(&self) -> String {
        let list = |key: &str, names: &[&str]| match names {
            [] => String::new(),
            names => format!("{key}: {names:?}\n"),
        };
        format!(
            "redrill_limits: 1\n{}{}max_duration: {}h\nmax_resources: {}\n",
            list("accounts", &self.accounts),
            list("regions", &self.regions),
            self.hours,
            self.resources
        )
    }
}

fn some(names: &'static [&'static str; 4]) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(names.to_vec(), 0..=4)
}

fn written() -> impl Strategy<Value = Written> {
    (some(&ACCOUNTS), some(&REGIONS), 1..10_u64, 0..12_u32).prop_map(
        |(accounts, regions, hours, resources)| Written { accounts, regions, hours, resources },
    )
}

/// Account (or none) and region of each site.
fn places() -> impl Strategy<Value = Vec<(Option<&'static str>, &'static str)>> {
    let account = proptest::option::of(proptest::sample::select(ACCOUNTS.to_vec()));
    proptest::collection::vec((account, proptest::sample::select(REGIONS.to_vec())), 1..4)
}

proptest! {
    /// Nothing is exceeded exactly when every single thing that is asked for is within its limit.
    #[test]
    fn a_scenario_is_let_through_exactly_when_everything_in_it_is_allowed(
        written in written(),
        places in places(),
        hours in 1..10_u64,
        resources in 0..12_u32,
    ) {
        let named = places.iter().enumerate();
        let sites: BTreeMap<_, _> = named
            .map(|(n, (account, region))| (SiteName::new(format!("s{n}")), site(*account, region)))
            .collect();
        let guard = guard(hours, resources);
        let asked = Asked { mode: Some("drill"), sites: &sites, guard: &guard };
        let allowed = |names: &[&str], name: &str| names.is_empty() || names.contains(&name);
        let is_within = hours <= written.hours
            && resources <= written.resources
            && places.iter().all(|(account, region)| {
                account.is_none_or(|account| allowed(&written.accounts, account))
                    && allowed(&written.regions, region)
            });
        let exceeded = limits(&written.text()).exceeded(asked);
        prop_assert_eq!(exceeded.is_empty(), is_within, "{:?}", exceeded);
    }
}
