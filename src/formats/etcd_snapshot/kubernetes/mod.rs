//! What a snapshot of a Kubernetes cluster holds: which objects, in which namespaces, encrypted or not.
//!
//! Main entries: [`take_inventory`], and [`compare`] with that of an earlier backup, which is the best sign that a backup
//! is of the right cluster and has what it should have. Keys are read as the API server writes them
//! (`/registry/<resource>/<namespace>/<name>`, with the group before the resource for those that came later), values only as far
//! as their envelope, their metadata's times and the prefix of encrypted ones go; no value leaves this module. Whether one secret
//! can be decrypted with the keys of a recovery kit is for [`at_rest`].
//!
//! Facts: <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding> (the envelope),
//! <https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/#verifying-that-data-is-encrypted> (the prefix), numbers of
//! fields from `generated.proto` of `k8s.io/apimachinery/pkg/apis/meta/v1` and `k8s.io/api/coordination/v1`.

pub mod at_rest;
mod difference;
mod inventory;
mod kept;
mod key;
mod newest;
mod taking;
mod value;

pub use difference::{Change, ChangeKind, Difference, Tolerance, Tolerances, Warning, compare};
pub use inventory::{Inventory, NewestTime, ResourceCount, SecretsAtRest, Stored, TimeSource};
pub use kept::KeptInventory;
pub use key::{is_kept_as, keys_of};
pub use newest::newest_time_of_last_changes;
pub use taking::{NoInventory, take_inventory};
