//! What `information_schema` of MySQL and MariaDB is asked.
//! <https://dev.mysql.com/doc/refman/8.0/en/information-schema.html>

/// MariaDB calls tables that keep their history by another type. A default takes numbers from a sequence by its full name.
/// <https://mariadb.com/kb/en/information-schema-tables-table/>
pub(super) const COLUMNS: &str = "SELECT c.table_name, replace(t.table_type, 'SYSTEM VERSIONED', 'BASE TABLE'), c.column_name, \
     c.column_type, c.is_nullable, replace(c.column_default, concat('`', database(), '`.'), ''), c.extra \
     FROM information_schema.columns c JOIN information_schema.tables t \
     ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
     WHERE c.table_schema = database() AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW') \
     ORDER BY c.table_name, c.ordinal_position";

pub(super) const KEYS: &str = "SELECT table_name, column_name FROM information_schema.statistics \
     WHERE table_schema = database() AND index_name = 'PRIMARY' ORDER BY table_name, seq_in_index";

pub(super) const INDEXES: &str = "SELECT CASE WHEN non_unique = 0 THEN 'unique index' ELSE 'index' END, \
     concat(table_name, ' ', index_name), concat(lower(index_type), ' (', group_concat(concat(column_name, \
     CASE WHEN sub_part IS NULL THEN '' ELSE concat('(', sub_part, ')') END) ORDER BY seq_in_index SEPARATOR ', '), ')') \
     FROM information_schema.statistics WHERE table_schema = database() AND index_name <> 'PRIMARY' \
     GROUP BY table_name, index_name, non_unique, index_type";

pub(super) const FOREIGN_KEYS: &str = "SELECT 'foreign key', concat(k.table_name, ' (', group_concat(k.column_name \
     ORDER BY k.ordinal_position SEPARATOR ', '), ')'), concat(k.referenced_table_name, '(', group_concat(\
     k.referenced_column_name ORDER BY k.ordinal_position SEPARATOR ', '), ') on update ', lower(r.update_rule), \
     ' on delete ', lower(r.delete_rule)) FROM information_schema.key_column_usage k \
     JOIN information_schema.referential_constraints r ON r.constraint_schema = k.constraint_schema \
     AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name \
     WHERE k.table_schema = database() AND k.referenced_table_name IS NOT NULL \
     GROUP BY k.table_name, k.constraint_name, k.referenced_table_name, r.update_rule, r.delete_rule";

pub(super) const CHECKS_OF_MARIADB: &str = "SELECT 'check', concat(table_name, ' ', constraint_name), check_clause \
     FROM information_schema.check_constraints WHERE constraint_schema = database()";

pub(super) const CHECKS_OF_MYSQL: &str = "SELECT 'check', concat(t.table_name, ' ', c.constraint_name), c.check_clause \
     FROM information_schema.check_constraints c JOIN information_schema.table_constraints t \
     ON t.constraint_schema = c.constraint_schema AND t.constraint_name = c.constraint_name \
     WHERE c.constraint_schema = database() AND t.constraint_type = 'CHECK'";

/// Bodies name the database that they are in: a copy may have another name.
pub(super) const OTHERS: &str = "SELECT 'view', table_name, replace(view_definition, concat('`', database(), '`.'), '') \
     FROM information_schema.views WHERE table_schema = database() \
     UNION ALL SELECT 'trigger', concat(event_object_table, ' ', trigger_name), replace(concat_ws(' ', action_timing, \
     event_manipulation, action_statement), concat('`', database(), '`.'), '') FROM information_schema.triggers \
     WHERE trigger_schema = database() \
     UNION ALL SELECT lower(routine_type), routine_name, replace(routine_definition, concat('`', database(), '`.'), '') \
     FROM information_schema.routines WHERE routine_schema = database() \
     UNION ALL SELECT 'sequence', table_name, 'sequence' FROM information_schema.tables \
     WHERE table_schema = database() AND table_type = 'SEQUENCE'";

/// What format 2 of references adds: parts of definitions that format 1 leaves out. A parameter at place 0 is what a function
/// returns. <https://dev.mysql.com/doc/refman/8.0/en/information-schema-parameters-table.html>
pub(super) const DETAILS: &str = "SELECT 'generated', concat(table_name, '.', column_name), generation_expression \
     FROM information_schema.columns WHERE table_schema = database() AND generation_expression <> '' \
     UNION ALL SELECT 'collation', concat(c.table_name, '.', c.column_name), c.collation_name \
     FROM information_schema.columns c JOIN information_schema.tables t ON t.table_schema = c.table_schema \
     AND t.table_name = c.table_name WHERE c.table_schema = database() AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') \
     AND c.collation_name IS NOT NULL \
     UNION ALL SELECT 'engine', table_name, concat_ws(' ', engine, table_collation, \
     CASE WHEN table_type = 'SYSTEM VERSIONED' THEN 'system versioned' END) FROM information_schema.tables \
     WHERE table_schema = database() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') \
     UNION ALL SELECT 'event', event_name, replace(concat_ws(' ', event_type, execute_at, interval_value, interval_field, \
     status, on_completion, event_definition), concat('`', database(), '`.'), '') FROM information_schema.events \
     WHERE event_schema = database() \
     UNION ALL SELECT concat(lower(routine_type), ' parameter'), concat(specific_name, ' ', ordinal_position), \
     concat_ws(' ', parameter_mode, parameter_name, dtd_identifier, collation_name) FROM information_schema.parameters \
     WHERE specific_schema = database() \
     UNION ALL SELECT concat(lower(routine_type), ' clauses'), routine_name, concat_ws(' ', security_type, sql_data_access, \
     is_deterministic, sql_mode) FROM information_schema.routines WHERE routine_schema = database() \
     UNION ALL SELECT 'view clauses', table_name, concat_ws(' ', security_type, check_option) \
     FROM information_schema.views WHERE table_schema = database()";

/// Columns whose text has six digits, whatever they hold.
/// <https://dev.mysql.com/doc/refman/8.0/en/problems-with-float.html>
pub(super) const FLOATS: &str = "SELECT table_name, column_name FROM information_schema.columns \
     WHERE table_schema = database() AND data_type = 'float' ORDER BY table_name, ordinal_position";

pub(super) const COUNTERS: &str = "SELECT t.table_name, c.column_name, t.auto_increment FROM information_schema.tables t \
     JOIN information_schema.columns c ON c.table_schema = t.table_schema AND c.table_name = t.table_name \
     WHERE t.table_schema = database() AND c.extra LIKE '%auto_increment%' ORDER BY t.table_name";

/// Columns that take their numbers from a sequence of MariaDB: its default is ``nextval(`database`.`sequence`)``.
/// <https://mariadb.com/kb/en/sequence-overview/>
pub(super) const DRAWN: &str = "SELECT s.table_name, c.table_name, c.column_name FROM information_schema.tables s \
     JOIN information_schema.columns c ON c.table_schema = s.table_schema \
     AND lower(c.column_default) = lower(concat('nextval(`', s.table_schema, '`.`', s.table_name, '`)')) \
     WHERE s.table_schema = database() AND s.table_type = 'SEQUENCE' ORDER BY 1, 2, 3";
