//! What PostgreSQL's catalogs are asked. <https://www.postgresql.org/docs/current/catalogs.html>

/// Schemas that belong to users.
const OURS: &str =
    "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'";

/// What an extension brings along changes with the extension, whose version stands for it.
const NOT_OF_EXTENSION: &str = "NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = c.oid AND e.deptype = 'e' \
     AND e.classid = 'pg_class'::regclass)";

pub(super) fn columns_sql() -> String {
    format!(
        "SELECT n.nspname::text, c.relname::text, c.relkind::text, a.attname::text, \
         pg_catalog.format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 't' END, a.attidentity::text, \
         a.attgenerated::text, pg_catalog.pg_get_expr(d.adbin, d.adrelid) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND {OURS} AND {NOT_OF_EXTENSION} \
         ORDER BY n.nspname::text COLLATE \"C\", c.relname::text COLLATE \"C\", a.attnum"
    )
}

pub(super) fn keys_sql() -> String {
    format!(
        "SELECT n.nspname::text, c.relname::text, a.attname::text FROM pg_index i \
         JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k (num, place) \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.num \
         WHERE i.indisprimary AND {OURS} ORDER BY c.oid, k.place"
    )
}

pub(super) fn indexes_sql() -> String {
    format!(
        "SELECT CASE WHEN i.indisunique THEN 'unique index' ELSE 'index' END, \
         n.nspname || '.' || c.relname || ' ' || x.relname, \
         pg_catalog.pg_get_indexdef(x.oid) || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END \
         FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE {OURS} AND {NOT_OF_EXTENSION} AND NOT c.relispartition \
         AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x'))"
    )
}

pub(super) fn constraints_sql() -> String {
    format!(
        "SELECT CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign key' \
         WHEN 'c' THEN 'check' ELSE 'constraint' END, \
         n.nspname || '.' || c.relname || CASE WHEN k.contype = 'f' THEN ' (' || (SELECT string_agg(a.attname, ', ' \
         ORDER BY u.place) FROM unnest(k.conkey) WITH ORDINALITY u (num, place) JOIN pg_attribute a \
         ON a.attrelid = k.conrelid AND a.attnum = u.num) || ')' WHEN k.contype = 'p' THEN '' ELSE ' ' || k.conname END, \
         CASE WHEN k.contype IN ('p', 'u') THEN substring(pg_catalog.pg_get_constraintdef(k.oid) from '\\(.*') \
         ELSE pg_catalog.pg_get_constraintdef(k.oid) END \
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE k.contype IN ('p', 'u', 'f', 'c', 'x') AND {OURS} AND {NOT_OF_EXTENSION} AND NOT c.relispartition"
    )
}

/// Views, functions, triggers, row policies, sequences of their own, types, partitions and extensions.
pub(super) fn others_sql() -> String {
    format!(
        "SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, n.nspname || '.' || c.relname, \
         pg_catalog.pg_get_viewdef(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('v', 'm') AND {OURS} AND {NOT_OF_EXTENSION} \
         UNION ALL SELECT 'function', n.nspname || '.' || p.proname || '(' || \
         pg_catalog.pg_get_function_identity_arguments(p.oid) || ')', \
         concat_ws(' ', l.lanname, p.prokind::text, p.provolatile::text, pg_catalog.pg_get_function_result(p.oid), \
         p.prosrc) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang \
         WHERE {OURS} AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = p.oid AND e.deptype = 'e' \
         AND e.classid = 'pg_proc'::regclass) \
         UNION ALL SELECT 'trigger', n.nspname || '.' || c.relname || ' ' || t.tgname, \
         pg_catalog.pg_get_triggerdef(t.oid) || t.tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND {OURS} AND {NOT_OF_EXTENSION} \
         UNION ALL SELECT 'policy', n.nspname || '.' || c.relname || ' ' || o.polname, concat_ws(' ', o.polcmd::text, \
         pg_catalog.pg_get_expr(o.polqual, o.polrelid), pg_catalog.pg_get_expr(o.polwithcheck, o.polrelid)) \
         FROM pg_policy o JOIN pg_class c ON c.oid = o.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS} \
         UNION ALL SELECT 'sequence', n.nspname || '.' || c.relname, \
         pg_catalog.format_type(s.seqtypid, NULL) || ' by ' || s.seqincrement FROM pg_sequence s \
         JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS} AND {NOT_OF_EXTENSION} \
         AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.objid = c.oid AND i.deptype = 'i' AND i.classid = 'pg_class'::regclass) \
         UNION ALL SELECT 'type', n.nspname || '.' || t.typname, 'enum ' || (SELECT string_agg(e.enumlabel, ', ' \
         ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) FROM pg_type t \
         JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'e' AND {OURS} \
         UNION ALL SELECT 'partition', n.nspname || '.' || c.relname, (SELECT h.inhparent::regclass::text FROM pg_inherits h \
         WHERE h.inhrelid = c.oid) || ' ' || pg_catalog.pg_get_expr(c.relpartbound, c.oid) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relispartition AND c.relkind IN ('r', 'p') AND {OURS} \
         UNION ALL SELECT 'extension', e.extname, e.extversion FROM pg_extension e WHERE e.extname <> 'plpgsql'"
    )
}

/// Sequences that columns own, and those that their defaults call.
pub(super) fn sequences_sql() -> String {
    format!(
        "SELECT DISTINCT n.nspname || '.' || s.relname, tn.nspname::text, t.relname::text, a.attname::text, \
         p.last_value::text, q.seqincrement::text, has_sequence_privilege(s.oid, 'SELECT, USAGE')::text FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid \
         JOIN pg_namespace n ON n.oid = s.relnamespace \
         JOIN pg_sequences p ON p.schemaname = n.nspname AND p.sequencename = s.relname \
         JOIN (SELECT d.objid AS seq, d.refobjid AS rel, d.refobjsubid AS num FROM pg_depend d \
         WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') \
         AND d.refobjsubid > 0 \
         UNION SELECT d.refobjid, f.adrelid, f.adnum FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid \
         WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass) w ON w.seq = s.oid \
         JOIN pg_class t ON t.oid = w.rel JOIN pg_namespace tn ON tn.oid = t.relnamespace \
         JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = w.num \
         WHERE {OURS} AND t.relkind IN ('r', 'p') ORDER BY 1, 2, 3, 4"
    )
}

/// Indexes that amcheck knows, and tables, each with the table that it belongs to or is a partition of: permanent ones, since
/// what is temporary or unlogged is not in a backup. <https://www.postgresql.org/docs/current/amcheck.html>
pub(super) fn inspected_sql() -> String {
    const ROOT: &str = "JOIN pg_class r ON r.oid = coalesce(pg_partition_root(c.oid), c.oid) \
         JOIN pg_namespace rn ON rn.oid = r.relnamespace";
    format!(
        "SELECT rn.nspname::text, r.relname::text, 'index', n.nspname || '.' || x.relname, x.oid::text FROM pg_index i \
         JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam JOIN pg_class c ON c.oid = i.indrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace {ROOT} \
         WHERE m.amname = 'btree' AND x.relkind = 'i' AND i.indisvalid AND i.indisready AND x.relpersistence = 'p' AND {OURS} \
         UNION ALL SELECT rn.nspname::text, r.relname::text, 'table', n.nspname || '.' || c.relname, c.oid::text \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am m ON m.oid = c.relam {ROOT} \
         WHERE c.relkind = 'r' AND m.amname = 'heap' AND c.relpersistence = 'p' AND {OURS} ORDER BY 1, 2, 3, 4"
    )
}
