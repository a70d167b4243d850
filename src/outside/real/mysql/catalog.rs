//! What `information_schema` of MySQL and MariaDB is asked.
//! <https://dev.mysql.com/doc/refman/8.0/en/information-schema.html>

pub(super) const COLUMNS: &str = "SELECT c.table_name, t.table_type, c.column_name, c.column_type, c.is_nullable, \
     c.column_default, c.extra FROM information_schema.columns c JOIN information_schema.tables t \
     ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
     WHERE c.table_schema = database() AND t.table_type IN ('BASE TABLE', 'VIEW') \
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
     FROM information_schema.routines WHERE routine_schema = database()";

pub(super) const COUNTERS: &str = "SELECT t.table_name, c.column_name, t.auto_increment FROM information_schema.tables t \
     JOIN information_schema.columns c ON c.table_schema = t.table_schema AND c.table_name = t.table_name \
     WHERE t.table_schema = database() AND c.extra LIKE '%auto_increment%' ORDER BY t.table_name";
