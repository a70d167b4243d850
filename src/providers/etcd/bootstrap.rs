//! The data from which servers of k3s and RKE2 start, and the server token without which it is of no use.
//!
//! It holds the authorities of the cluster and the keys with which secrets are encrypted, and is encrypted with the token. Its name is
//! made of the token, so that the name tells which one it needs. A server that begins to write it makes an empty entry first.
//! <https://github.com/k3s-io/k3s/blob/master/pkg/cluster/storage.go>,
//! <https://github.com/k3s-io/k3s/blob/master/pkg/cluster/encrypt.go>,
//! <https://docs.k3s.io/datastore/backup-restore>

use super::inventory_judge::{Judged, unfounded};
use crate::action::{Probe, ProbeVerdict, StepContext, StepError};
use crate::formats::etcd_snapshot::kubernetes::Inventory;
use crate::journal::{Check, Finding, Severity};
use crate::limits;
use crate::outside::{OutsideError, Secret};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const DATA: &str = "bootstrap data";
const TOKEN: &str = "server token";
const HELP: &str = "name a copy of the file /var/lib/rancher/k3s/server/token of a server (of RKE2: /var/lib/rancher/rke2/server/token), as \
                    it lies in the recovery kit";
/// How much of the token's SHA-256 stands in the name, in hexadecimal digits.
const DIGITS: usize = 12;

/// What a snapshot must hold beside its objects.
#[derive(Clone, Debug, Default)]
pub(super) struct WantedBootstrap {
    /// Servers of this platform start from it.
    pub(super) needed: bool,
    /// The names that the entry has with the token of the recovery kit, if one was named.
    pub(super) names: Option<Vec<String>>,
}

/// Reads the token. From then on it is known as a secret. Gives the names that the entry may have with it.
///
/// # Errors
/// When there is none, or a server would refuse it: then nothing can be said of the snapshot.
pub(super) fn names(context: &StepContext, path: &str) -> Result<Vec<String>, StepError> {
    let bytes = context.outside.file(path, limits::SERVER_TOKEN_BYTES)?;
    let token = Token::read(bytes).map_err(|why| {
        StepError::broken(format!("server_token: {path} is no server token: {why}")).help(HELP)
    })?;
    for text in [token.whole.as_str(), token.password()] {
        context.outside.secrets().learn(&Secret::new(text));
    }
    Ok(token.names())
}

/// Whether the token can be read, before the day of a drill.
pub(super) fn probe(context: &StepContext, path: &str) -> Probe {
    let verdict = match context.outside.file(path, limits::SERVER_TOKEN_BYTES) {
        Ok(bytes) => match Token::read(bytes) {
            Ok(_) => ProbeVerdict::works("there, and written as a server token is"),
            Err(why) => ProbeVerdict::fails(format!("it is no server token: {why}"), HELP),
        },
        Err(error @ OutsideError::NotRehearsed(_)) => ProbeVerdict::Unknown(error.to_string()),
        Err(error) => ProbeVerdict::fails(error.to_string(), HELP),
    };
    Probe::new(format!("server token {path}"), verdict)
}

/// `K10<hash>::<user>:<password>`, or a password alone. <https://docs.k3s.io/cli/token>
struct Token {
    whole: Zeroizing<String>,
}

impl Token {
    fn read(bytes: Vec<u8>) -> Result<Self, &'static str> {
        let bytes = Zeroizing::new(bytes);
        let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8")?;
        let token = Self { whole: Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()) };
        if token.whole.is_empty() {
            return Err("it is empty");
        }
        if token.whole.contains('\n') {
            return Err("it has several lines");
        }
        if token.password().is_empty() {
            return Err("there is no password in it");
        }
        Ok(token)
    }

    /// What is hashed of it.
    fn password(&self) -> &str {
        let Some(secure) = self.whole.strip_prefix("K10") else { return &self.whole };
        let credentials = secure.split_once("::").map_or(secure, |(_, credentials)| credentials);
        credentials.split_once(':').map_or("", |(_, password)| password)
    }

    /// Older servers have hashed all of it.
    fn names(&self) -> Vec<String> {
        let name = |text: &str| {
            let digest = hex::encode(Sha256::digest(text));
            format!("/bootstrap/{}", digest.get(..DIGITS).unwrap_or_default())
        };
        vec![name(self.password()), name(&self.whole)]
    }
}

/// Judges the data, and whether the token fits. Nothing is judged that nobody asks for, but what is there is told.
pub(super) fn judge(wanted: &WantedBootstrap, inventory: &Inventory, judged: &mut Judged) {
    let full = inventory.bootstrap_keys.saturating_sub(inventory.bootstrap_empty);
    if wanted.needed || wanted.names.is_some() {
        let check = match (inventory.bootstrap_keys, full) {
            (0, _) => Check::made(DATA, "there", "there is none", false),
            (_, 0) => Check::made(DATA, "there", EMPTY, false),
            (_, full) => Check::made(DATA, "there", format!("there, {full} entries"), true),
        };
        if full == 0 && inventory.objects > 0 {
            judged.findings.push(missing(&check.observed));
        }
        judged.checks.push(if inventory.objects == 0 { unfounded(check) } else { check });
    }
    let fits = wanted.names.as_ref().map(|names| token(names, full, inventory, judged));
    if inventory.bootstrap_keys > 0 && fits != Some(true) {
        judged.findings.push(needs_token());
    }
}

const EMPTY: &str = "it is empty: a server had begun to write it, and not ended";

/// Whether the entry has the name that this token gives it.
fn token(names: &[String], full: u64, inventory: &Inventory, judged: &mut Judged) -> bool {
    const EXPECTED: &str = "that with which the bootstrap data is encrypted";
    let fits =
        names.iter().any(|name| inventory.named.get(name).is_some_and(|there| there.is_some()));
    if full == 0 {
        let check = Check::not_made(TOKEN, EXPECTED, "there is no data that it could open");
        judged.checks.push(check);
        return false;
    }
    let observed =
        if fits { "the entry has the name that it gives" } else { "that of another token" };
    judged.checks.push(Check::made(TOKEN, EXPECTED, observed, fits).over(full));
    if !fits {
        judged.findings.push(Finding {
            severity: Severity::Critical,
            code: "etcd.server_token_differs".to_owned(),
            what: "the server token of the recovery kit is not the one with which the bootstrap data of this snapshot is encrypted"
                .to_owned(),
            why: "no server of k3s or RKE2 starts from this snapshot with that token".to_owned(),
            action: "put the token of the time of the snapshot into the recovery kit: `k3s token rotate` makes a new one, and snapshots \
                     from before need the old one; or it is a snapshot of another cluster"
                .to_owned(),
        });
    }
    fits
}

fn missing(observed: &str) -> Finding {
    Finding {
        severity: Severity::Critical,
        code: "etcd.no_bootstrap_data".to_owned(),
        what: format!("the data from which servers of k3s or RKE2 start: {observed}"),
        why: "a server that starts from this snapshot makes new authorities: no node and no token of the old cluster is known to it, \
              and the keys of its secrets are not there"
            .to_owned(),
        action: "take another snapshot, and look at the key /bootstrap/ of the running cluster".to_owned(),
    }
}

fn needs_token() -> Finding {
    Finding {
        severity: Severity::Note,
        code: "etcd.bootstrap_needs_token".to_owned(),
        what: "the snapshot holds the data from which servers of k3s or RKE2 start".to_owned(),
        why: "the authorities of the cluster are in it, encrypted with the server token: no server starts from it without"
            .to_owned(),
        action: "keep the server token in the recovery kit, and name it in server_token".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::etcd_snapshot::kubernetes::take_inventory;
    use crate::journal::Outcome::{self, Failed, Inconclusive, Passed};

    fn names_of(token: &str) -> Vec<String> {
        Token::read(token.as_bytes().to_vec()).unwrap().names()
    }

    #[test]
    fn the_name_is_made_of_the_password_in_the_token() {
        // `printf %s swordfish | sha256sum`
        let of_password = "/bootstrap/b9f195c5cc7e";
        for token in
            ["swordfish", "swordfish\n", "K10ab12::server:swordfish\n", "K10::server:swordfish"]
        {
            assert_eq!(names_of(token)[0], of_password, "{token}");
        }
        assert_eq!(names_of("K10ab::server:a:b")[0], names_of("a:b")[0]);
        assert_ne!(names_of("K10ab12::server:swordfish")[1], of_password);
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_repeated() {
        for (bytes, why) in [
            (&b""[..], "it is empty"),
            (b"\n", "it is empty"),
            (b"one\ntwo", "several lines"),
            (b"K10ab::server:", "no password"),
            (b"K10ab", "no password"),
            (b"\xff\xfe", "not UTF-8"),
        ] {
            assert!(Token::read(bytes.to_vec()).err().unwrap().contains(why), "{why}");
        }
    }

    const BYTES: &[u8] =
        include_bytes!("../../../scenarios/estates/files/cluster-state.snapshot.db");

    /// Entries of bootstrap data, so many of them empty, and whether one has the name.
    fn with(entries: u64, empty: u64, is_named: bool) -> Inventory {
        let taken = take_inventory(BYTES, BYTES.len() as u64, &[]).unwrap().unwrap();
        let named = [("/bootstrap/b9f195c5cc7e".to_owned(), is_named.then_some(2))];
        let (bootstrap_keys, bootstrap_empty) = (entries, empty);
        Inventory { bootstrap_keys, bootstrap_empty, named: named.into(), ..taken }
    }

    fn judged(
        token: Option<&str>,
        needed: bool,
        inventory: &Inventory,
    ) -> (Vec<Outcome>, Vec<String>) {
        let wanted = WantedBootstrap { needed, names: token.map(names_of) };
        let mut judged = Judged::default();
        judge(&wanted, inventory, &mut judged);
        let codes = judged.findings.into_iter().map(|finding| finding.code).collect();
        (judged.checks.into_iter().map(|check| check.outcome).collect(), codes)
    }

    #[test]
    fn data_and_token_are_judged_where_somebody_asks_and_each_can_fail() {
        let (needs, none, differs) = (
            "etcd.bootstrap_needs_token".to_owned(),
            "etcd.no_bootstrap_data".to_owned(),
            "etcd.server_token_differs".to_owned(),
        );
        let token = Some("swordfish");
        let there = with(1, 0, true);
        assert_eq!(judged(None, false, &there), (vec![], vec![needs.clone()]));
        assert_eq!(judged(None, false, &with(0, 0, false)), (vec![], vec![]));
        assert_eq!(judged(None, true, &there), (vec![Passed], vec![needs.clone()]));
        assert_eq!(judged(token, true, &there), (vec![Passed, Passed], vec![]));
        assert_eq!(judged(None, true, &with(0, 0, false)), (vec![Failed], vec![none.clone()]));
        let locked = judged(token, true, &with(1, 1, true));
        assert_eq!(locked, (vec![Failed, Inconclusive], vec![none, needs.clone()]));
        let other = judged(token, true, &with(1, 0, false));
        assert_eq!(other, (vec![Passed, Failed], vec![differs, needs]));
        let nothing = Inventory { objects: 0, ..with(0, 0, false) };
        assert_eq!(judged(token, true, &nothing), (vec![Inconclusive; 2], vec![]));
    }
}
