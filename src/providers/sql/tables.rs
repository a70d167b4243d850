use crate::outside::ladder::TableName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which tables are meant, by name: `orders`, or `public.orders` where several schemas have one. All of them when left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Tables(pub Option<Vec<String>>);

impl Tables {
    /// Whether this table is meant.
    pub(super) fn mean(&self, table: &TableName) -> bool {
        self.0.as_ref().is_none_or(|names| names.iter().any(|name| table.is_meant_by(name)))
    }

    /// Whether a table of this name (`public.orders`) is meant.
    pub(super) fn mean_text(&self, table: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.iter().any(|name| named_so(table, name)))
    }

    /// Names that were given and mean none of these tables.
    pub(super) fn missing<'n>(&'n self, found: &[&TableName]) -> Vec<&'n str> {
        let is_there = |name: &&String| found.iter().any(|table| table.is_meant_by(name));
        let names = self.0.iter().flatten();
        names.filter(|name| !is_there(name)).map(String::as_str).collect()
    }

    /// Whether tables were asked for by their names.
    pub(super) fn are_named(&self) -> bool {
        self.0.is_some()
    }
}

/// Whether a table (`public.orders`) is meant by a name that a scenario gives.
pub(super) fn named_so(table: &str, name: &str) -> bool {
    table == name || table.rsplit_once('.').is_some_and(|(_, alone)| alone == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_meant_by_name_and_all_of_them_when_none_is_named() {
        let orders = TableName::in_schema("public", "orders");
        let named = Tables(Some(vec!["orders".into(), "public.nowhere".into()]));
        assert!(named.mean(&orders) && Tables::default().mean(&orders));
        assert!(named.mean_text("public.orders") && !named.mean_text("public.ledger"));
        assert_eq!(named.missing(&[&orders]), ["public.nowhere"]);
        assert!(Tables::default().missing(&[]).is_empty());
        assert!(!Tables(Some(vec![])).mean(&orders));
    }
}
