//! Keys of KMS, as the services that encrypt with them see them.

use super::estate::{KmsKeyEstate, KmsKeyState};
use super::state::{PlaceKey, State};

/// The services whose keys AWS makes and manages in every place.
const MANAGED: [&str; 4] =
    ["alias/aws/rds", "alias/aws/ebs", "alias/aws/s3", "alias/aws/secretsmanager"];

/// A key that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) arn: String,
    pub(crate) state: KmsKeyState,
    /// The caller may not use it.
    pub(crate) denied: bool,
    /// AWS made it: its backups cannot be shared with other accounts.
    pub(crate) managed_by_aws: bool,
}

impl Key {
    pub(crate) fn usable(&self) -> bool {
        self.state == KmsKeyState::Enabled && !self.denied
    }

    pub(crate) fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }
}

impl State {
    /// Whether another account may ask for a key of a place: what is shared with it is encrypted with that key, and could not be
    /// used otherwise.
    pub(crate) fn shares_key(&self, owner: &PlaceKey, arn: &str, with: &str) -> bool {
        let Some(place) = self.places.get(owner) else { return false };
        let databases = place.db_snapshots.values().map(|s| (&s.kms_key, &s.shared_with));
        let clusters = place.cluster_snapshots.values().map(|s| (&s.kms_key, &s.shared_with));
        let volumes = place.ebs_snapshots.values().map(|s| (&s.kms_key, &s.shared_with));
        let mut all = databases.chain(clusters).chain(volumes);
        all.any(|(key, accounts)| {
            key.as_deref() == Some(arn) && accounts.iter().any(|account| account == with)
        })
    }

    /// The key of a place by id, ARN, alias or alias ARN. Keys are bound to their region.
    pub(crate) fn find_key(&self, place: &PlaceKey, name: &str) -> Option<Key> {
        let name = match name.strip_prefix("arn:") {
            None => name,
            Some(_) => name.strip_prefix(&place.arn("kms", ""))?,
        };
        let name = name.strip_prefix("key/").unwrap_or(name);
        let as_arn = place.arn("kms", &format!("key/{name}"));
        let spec = self.places.get(place).and_then(|p| p.spec.as_ref());
        let own = spec.iter().flat_map(|s| &s.kms_keys);
        let found = |key: &KmsKeyEstate| Key {
            arn: self.key_arn(place, &key.id),
            state: key.state,
            denied: key.denied,
            managed_by_aws: key.id.starts_with("alias/aws/"),
        };
        let named = own.map(found_with(name, found)).find(|(same, key)| *same || key.arn == as_arn);
        if let Some((_, key)) = named {
            return Some(key);
        }
        MANAGED.iter().find_map(|alias| {
            let arn = self.key_arn(place, alias);
            (*alias == name || arn == as_arn).then_some(Key {
                arn,
                state: KmsKeyState::Enabled,
                denied: false,
                managed_by_aws: true,
            })
        })
    }
}

fn found_with<'a>(
    name: &'a str,
    found: impl Fn(&KmsKeyEstate) -> Key + 'a,
) -> impl Fn(&KmsKeyEstate) -> (bool, Key) + 'a {
    move |key| (key.id == name, found(key))
}
