//! Schemas that runs make for themselves: SQLite has none, so a table of the schema's name stands for it.

use super::query::{DatabaseLogin, QueryRefused, SqlValue};
use crate::outside::ladder::{OwnSchema, SchemaState, SchemaWork};
use crate::sandbox::world::World;

impl World {
    /// Does something with a schema of a run's own. Its name has been verified.
    pub(crate) fn own_schema(
        &self,
        login: &DatabaseLogin,
        schema: &OwnSchema,
        work: SchemaWork,
    ) -> Result<SchemaState, QueryRefused> {
        let name = &schema.name;
        let there = format!("select count(*) from sqlite_master where name = '{name}'");
        let there = self.query(login, &there)?.rows;
        let found = match there.first().and_then(|row| row.first()) {
            Some(SqlValue::Integer(1)) => {
                let mark = self.query(login, &format!("select mark from {name} limit 1"))?.rows;
                let mark = mark.into_iter().flatten().next();
                Some(mark.map_or_else(String::new, |mark| match mark {
                    SqlValue::Text(mark) => mark,
                    other => format!("{other:?}"),
                }))
            }
            _ => None,
        };
        let state = schema.judge(found.as_deref());
        match (work, &state) {
            (SchemaWork::Find, _) | (_, SchemaState::Foreign(_)) => Ok(state),
            (SchemaWork::Remove, SchemaState::Gone) | (SchemaWork::Try, SchemaState::Ours) => {
                Ok(state)
            }
            (SchemaWork::Remove, SchemaState::Ours) => {
                self.query(login, &format!("drop table {name}"))?;
                Ok(SchemaState::Gone)
            }
            (SchemaWork::Try, SchemaState::Gone) => {
                self.query(login, &format!("create table {name} (mark text not null)"))?;
                let mark = schema.mark.replace('\'', "''");
                self.query(login, &format!("insert into {name} values ('{mark}')"))?;
                Ok(SchemaState::Ours)
            }
        }
    }
}
