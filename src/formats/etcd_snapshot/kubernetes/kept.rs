use super::inventory::Inventory;
use serde::{Deserialize, Serialize};

/// An inventory, as it is kept as JSON: `redrill etcd inventory FILE --format json` writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptInventory {
    /// The version of this file.
    format: u32,
    /// Why the snapshot is not proven to be what etcd wrote.
    #[serde(default)]
    pub unproven: Vec<String>,
    /// What was counted.
    #[serde(flatten)]
    pub inventory: Inventory,
}

impl KeptInventory {
    /// The version of the file that this program writes and reads.
    const FORMAT: u32 = 1;

    /// One to be kept.
    pub fn new(inventory: Inventory, unproven: Vec<String>) -> Self {
        Self { format: Self::FORMAT, unproven, inventory }
    }

    /// Reads one that was kept.
    ///
    /// # Errors
    /// What is wrong with it: no inventory, or of another version.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let kept: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if kept.format == Self::FORMAT { Ok(kept) } else { Err("it has another format".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::take_inventory;
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_nothing_else() {
        let bytes = include_bytes!("../../../../scenarios/estates/files/cluster-state.snapshot.db");
        let taken = take_inventory(&bytes[..], bytes.len() as u64, &[]).unwrap().unwrap();
        let kept = KeptInventory::new(taken, vec!["a doubt".to_owned()]);
        let written = serde_json::to_string(&kept).unwrap();
        assert_eq!(KeptInventory::read(written.as_bytes()), Ok(kept));
        let newer = written.replace("\"format\":1", "\"format\":2");
        assert_eq!(KeptInventory::read(newer.as_bytes()), Err("it has another format".to_owned()));
        assert!(KeptInventory::read(b"{}").is_err() && KeptInventory::read(b"").is_err());
    }
}
