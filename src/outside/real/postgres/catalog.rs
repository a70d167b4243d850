//! What PostgreSQL's catalogs are asked. <https://www.postgresql.org/docs/current/catalogs.html>

/// Schemas that belong to users: not those that runs have made for themselves, and may be removing right now.
const OURS: &str = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^(pg_(toast|temp)|redrill_)'";

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

/// What format 2 of references adds: who may see and do what, and parts of definitions that format 1 leaves out. Then what
/// format 3 adds: what single partitions have, and large objects.
pub(super) fn details_sql() -> [String; 6] {
    [
        details_of_relations_sql(),
        details_of_functions_sql(),
        details_of_types_sql(),
        own_of_partitions_sql(),
        columns_of_partitions_sql(),
        large_objects_sql(),
    ]
}

/// Grants that differ from what an owner has anyway, in one order. <https://www.postgresql.org/docs/current/ddl-priv.html>
fn grants_sql(given: &str, usual: &str) -> String {
    let sorted = |grants: &str| {
        format!(
            "coalesce((SELECT string_agg(g::text, ', ' ORDER BY g::text COLLATE \"C\") FROM unnest({grants}) g), 'none')"
        )
    };
    let (given_sorted, usual) = (sorted(given), sorted(usual));
    format!("CASE WHEN {given} IS NOT NULL AND {given_sorted} <> {usual} THEN {given_sorted} END")
}

fn details_of_relations_sql() -> String {
    let relations = format!(
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS} AND {NOT_OF_EXTENSION} \
         AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"
    );
    let columns = format!(
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid \
         AND a.attnum > 0 AND NOT a.attisdropped WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition \
         AND {OURS} AND {NOT_OF_EXTENSION}"
    );
    let usual = "acldefault(CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r' END, c.relowner)";
    let grants = grants_sql("c.relacl", usual);
    format!(
        "SELECT 'row security', n.nspname || '.' || c.relname, CASE WHEN c.relrowsecurity THEN 'enabled' ELSE 'disabled' END \
         || CASE WHEN c.relforcerowsecurity THEN ', forced' ELSE '' END {relations} \
         AND (c.relrowsecurity OR c.relforcerowsecurity) \
         UNION ALL SELECT 'unlogged table', n.nspname || '.' || c.relname, 'unlogged' {relations} \
         AND c.relpersistence = 'u' AND c.relkind <> 'S' \
         UNION ALL SELECT 'options', n.nspname || '.' || c.relname, (SELECT string_agg(o, ', ' ORDER BY o) \
         FROM unnest(c.reloptions) o) {relations} AND c.reloptions IS NOT NULL \
         UNION ALL SELECT 'owner', n.nspname || '.' || c.relname, pg_get_userbyid(c.relowner) {relations} \
         UNION ALL SELECT 'grants', n.nspname || '.' || c.relname, {grants} {relations} AND {grants} IS NOT NULL \
         UNION ALL SELECT 'identity', n.nspname || '.' || c.relname || '.' || a.attname, \
         CASE a.attidentity WHEN 'a' THEN 'always' ELSE 'by default' END {columns} AND a.attidentity <> '' \
         UNION ALL SELECT 'collation', n.nspname || '.' || c.relname || '.' || a.attname, \
         (SELECT l.collname FROM pg_collation l WHERE l.oid = a.attcollation) {columns} AND a.attcollation <> \
         (SELECT y.typcollation FROM pg_type y WHERE y.oid = a.atttypid) AND a.attcollation <> 0 \
         UNION ALL SELECT 'grants', n.nspname || '.' || c.relname || '.' || a.attname, \
         (SELECT string_agg(g::text, ', ' ORDER BY g::text) FROM unnest(a.attacl) g) {columns} AND a.attacl IS NOT NULL \
         UNION ALL SELECT 'policy roles', n.nspname || '.' || c.relname || ' ' || o.polname, \
         CASE WHEN o.polpermissive THEN 'permissive' ELSE 'restrictive' END || ' for ' || (SELECT string_agg(CASE r \
         WHEN 0 THEN 'public' ELSE pg_get_userbyid(r) END, ', ' ORDER BY pg_get_userbyid(r)) FROM unnest(o.polroles) r) \
         FROM pg_policy o JOIN pg_class c ON c.oid = o.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS} \
         UNION ALL SELECT 'rule', n.nspname || '.' || c.relname || ' ' || w.rulename, pg_catalog.pg_get_ruledef(w.oid) \
         || w.ev_enabled::text FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE w.rulename <> '_RETURN' AND {OURS} AND {NOT_OF_EXTENSION} \
         UNION ALL SELECT 'sequence limits', n.nspname || '.' || c.relname, s.seqmin || ' to ' || s.seqmax || ' cache ' \
         || s.seqcache || CASE WHEN s.seqcycle THEN ' cycle' ELSE '' END FROM pg_sequence s \
         JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS} AND {NOT_OF_EXTENSION}"
    )
}

/// A body that format 1 holds is taken out of the definition, so that a change of it is one difference.
fn details_of_functions_sql() -> String {
    const NOT_OF: &str = "NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = p.oid AND e.deptype = 'e' \
         AND e.classid = 'pg_proc'::regclass)";
    let name = "n.nspname || '.' || p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')'";
    let functions = format!(
        "FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {OURS} AND {NOT_OF}"
    );
    let grants = grants_sql("p.proacl", "acldefault('f', p.proowner)");
    let of_schemas = grants_sql("n.nspacl", "acldefault('n', n.nspowner)");
    format!(
        "SELECT 'function clauses', {name}, replace(pg_catalog.pg_get_functiondef(p.oid), p.prosrc, '') {functions} \
         AND p.prokind <> 'a' \
         UNION ALL SELECT 'aggregate', {name}, (SELECT concat_ws(' ', g.aggkind::text, g.aggtransfn::regprocedure::text, \
         g.aggfinalfn::regprocedure::text, pg_catalog.format_type(g.aggtranstype, NULL), g.agginitval) \
         FROM pg_aggregate g WHERE g.aggfnoid = p.oid) {functions} AND p.prokind = 'a' \
         UNION ALL SELECT 'owner', {name}, pg_get_userbyid(p.proowner) {functions} \
         UNION ALL SELECT 'grants', {name}, {grants} {functions} AND {grants} IS NOT NULL \
         UNION ALL SELECT 'owner', n.nspname, pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE {OURS} \
         UNION ALL SELECT 'grants', n.nspname, {of_schemas} FROM pg_namespace n WHERE {OURS} AND {of_schemas} IS NOT NULL \
         UNION ALL SELECT 'event trigger', v.evtname, concat_ws(' ', v.evtevent, v.evtfoid::regprocedure::text, \
         v.evtenabled::text, v.evttags::text) FROM pg_event_trigger v WHERE NOT EXISTS (SELECT FROM pg_depend e \
         WHERE e.objid = v.oid AND e.deptype = 'e' AND e.classid = 'pg_event_trigger'::regclass)"
    )
}

fn details_of_types_sql() -> String {
    let types = format!(
        "FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {OURS} AND NOT EXISTS (SELECT FROM pg_depend e \
         WHERE e.objid = t.oid AND e.deptype = 'e' AND e.classid = 'pg_type'::regclass)"
    );
    format!(
        "SELECT 'domain', n.nspname || '.' || t.typname, concat_ws(' ', pg_catalog.format_type(t.typbasetype, t.typtypmod), \
         CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault, (SELECT 'collate ' || l.collname \
         FROM pg_collation l JOIN pg_type b ON b.oid = t.typbasetype WHERE l.oid = t.typcollation \
         AND t.typcollation <> b.typcollation), (SELECT string_agg(k.conname || ' ' || pg_catalog.pg_get_constraintdef(k.oid), \
         ', ' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid)) {types} AND t.typtype = 'd' \
         UNION ALL SELECT 'composite type', n.nspname || '.' || t.typname, (SELECT string_agg(a.attname || ' ' \
         || pg_catalog.format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) FROM pg_attribute a \
         WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) {types} AND t.typtype = 'c' \
         AND (SELECT c.relkind FROM pg_class c WHERE c.oid = t.typrelid) = 'c' \
         UNION ALL SELECT 'range type', n.nspname || '.' || t.typname, (SELECT pg_catalog.format_type(g.rngsubtype, NULL) \
         FROM pg_range g WHERE g.rngtypid = t.oid) {types} AND t.typtype = 'r'"
    )
}

/// Indexes and constraints that a partition has by itself. Those that it has from its parent stand with the parent, which is
/// invalid while one is missing. Two foreign keys of a partition may have the same columns, so that they go by their names.
/// <https://www.postgresql.org/docs/current/ddl-partitioning.html>,
/// <https://www.postgresql.org/docs/current/catalog-pg-constraint.html>
fn own_of_partitions_sql() -> String {
    format!(
        "SELECT CASE WHEN i.indisunique THEN 'partition unique index' ELSE 'partition index' END, \
         n.nspname || '.' || c.relname || ' ' || x.relname, \
         substring(pg_catalog.pg_get_indexdef(x.oid) from ' USING (.*)') \
         || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END \
         FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE {OURS} AND {NOT_OF_EXTENSION} AND c.relispartition \
         AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = x.oid) \
         AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x')) \
         UNION ALL SELECT 'partition ' || CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' \
         WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check' ELSE 'constraint' END, \
         n.nspname || '.' || c.relname || CASE WHEN k.contype = 'p' THEN '' ELSE ' ' || k.conname END, \
         CASE WHEN k.contype IN ('p', 'u') THEN substring(pg_catalog.pg_get_constraintdef(k.oid) from '\\(.*') \
         ELSE pg_catalog.pg_get_constraintdef(k.oid) END \
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE k.contype IN ('p', 'u', 'f', 'c', 'x') AND {OURS} AND {NOT_OF_EXTENSION} AND c.relispartition \
         AND k.coninhcount = 0 AND k.conparentid = 0"
    )
}

/// What columns of a partition have otherwise than those of its parent, and rights on them. No default, and null as a default,
/// which `pg_dump` makes of it, are the same. Columns stand behind a blank: behind a dot, names are taken for those of partitions.
fn columns_of_partitions_sql() -> String {
    let default = |of: &str| {
        format!(
            "(SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS text FROM pg_attrdef d WHERE d.adrelid = {of}.attrelid \
             AND d.adnum = {of}.attnum AND pg_catalog.pg_get_expr(d.adbin, d.adrelid) !~ '^NULL::[a-zA-Z0-9_ .,()\"\\[\\]]+$')"
        )
    };
    let (own, of_parent) = (default("a"), default("u"));
    let partitions = format!(
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid \
         AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_inherits h ON h.inhrelid = c.oid \
         JOIN pg_attribute u ON u.attrelid = h.inhparent AND u.attname = a.attname \
         LEFT JOIN LATERAL {own} own ON true LEFT JOIN LATERAL {of_parent} of_parent ON true \
         WHERE c.relispartition AND c.relkind IN ('r', 'p', 'f') AND {OURS} AND {NOT_OF_EXTENSION}"
    );
    format!(
        "SELECT 'partition column', n.nspname || '.' || c.relname || ' ' || a.attname, \
         concat_ws(', ', CASE WHEN a.attnotnull AND NOT u.attnotnull THEN 'not null' END, \
         CASE WHEN a.attidentity <> '' AND u.attidentity = '' THEN 'identity' END, \
         CASE WHEN own.text IS DISTINCT FROM of_parent.text THEN coalesce(CASE WHEN a.attgenerated = '' THEN 'default ' \
         ELSE 'generated ' END || own.text, 'no default') END) {partitions} \
         AND ((a.attnotnull AND NOT u.attnotnull) OR (a.attidentity <> '' AND u.attidentity = '') \
         OR own.text IS DISTINCT FROM of_parent.text) \
         UNION ALL SELECT 'grants partition', n.nspname || '.' || c.relname || '.' || a.attname, \
         (SELECT string_agg(g::text, ', ' ORDER BY g::text COLLATE \"C\") FROM unnest(a.attacl) g) {partitions} \
         AND a.attacl IS NOT NULL"
    )
}

/// How many there are, and whether they are the same ones: tables refer to them by their numbers. A database that has none has no
/// object of the kind. Whoever may log in may read this; the content is for superusers, and those with rights on it.
/// <https://www.postgresql.org/docs/current/catalog-pg-largeobject-metadata.html>
fn large_objects_sql() -> String {
    "SELECT 'large objects', 'count', count(*)::text FROM pg_largeobject_metadata HAVING count(*) > 0 \
     UNION ALL SELECT 'large objects', 'sum of numbers', sum(m.oid::bigint)::text FROM pg_largeobject_metadata m \
     HAVING count(*) > 0"
        .to_owned()
}

/// Tables whose hashes of records say less than their text, by a column or what is within it:
///
/// - numbers of the server's own, which are others on another server: enum, oid and what refers to objects
///   (<https://www.postgresql.org/docs/current/datatype-oid.html>);
/// - values that are equal and not the same, since a hash goes by equality: a collation that is not deterministic
///   (<https://www.postgresql.org/docs/current/collation.html>, "Nondeterministic Collations"), `-0` of floating numbers, `1 mon` and
///   `30 days` of `interval`, trailing blanks of `bpchar` without a length;
/// - types of extensions, whose equality nobody here knows, such as `citext`.
///
/// Digits behind the last one of `numeric` (`1.0`, `1.00`, in `jsonb`, too) are not among them: that would be most tables.
/// Before PostgreSQL 12, catalogs do not know of the first kind of collation.
pub(super) fn not_hashed_alike_sql() -> String {
    format!(
        "WITH RECURSIVE types AS (SELECT a.attrelid AS rel, a.atttypid AS typ, a.attcollation AS coll, a.atttypmod AS len \
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND {OURS} \
         UNION SELECT t.rel, u.typ, u.coll, u.len FROM types t CROSS JOIN LATERAL ( \
         SELECT y.typelem AS typ, t.coll AS coll, t.len AS len FROM pg_type y WHERE y.oid = t.typ AND y.typelem <> 0 \
         UNION ALL SELECT y.typbasetype, t.coll, y.typtypmod FROM pg_type y WHERE y.oid = t.typ AND y.typtype = 'd' \
         UNION ALL SELECT g.rngsubtype, g.rngcollation, -1 FROM pg_range g WHERE g.rngtypid = t.typ \
         UNION ALL SELECT b.atttypid, b.attcollation, b.atttypmod FROM pg_type y JOIN pg_attribute b \
         ON b.attrelid = y.typrelid WHERE y.oid = t.typ AND y.typtype = 'c' AND b.attnum > 0 AND NOT b.attisdropped) u) \
         SELECT DISTINCT n.nspname::text, c.relname::text FROM types t JOIN pg_type y ON y.oid = t.typ \
         JOIN pg_namespace yn ON yn.oid = y.typnamespace JOIN pg_class c ON c.oid = t.rel \
         JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_collation l ON l.oid = t.coll \
         WHERE y.typtype IN ('e', 'm') OR y.typname = 'citext' \
         OR (y.typtype = 'b' AND yn.nspname <> 'pg_catalog' AND NOT (y.typcategory = 'A' AND y.typelem <> 0)) \
         OR (yn.nspname = 'pg_catalog' AND (y.typname LIKE 'reg%' OR (y.typname = 'bpchar' AND t.len = -1) \
         OR y.typname IN ('oid', 'xid', 'cid', 'tid', 'float4', 'float8', 'interval'))) \
         OR (to_jsonb(l) ->> 'collisdeterministic') = 'false'"
    )
}

/// Sequences that columns own, and those that their defaults call.
pub(super) fn sequences_sql() -> String {
    format!(
        "SELECT DISTINCT n.nspname || '.' || s.relname, tn.nspname::text, t.relname::text, a.attname::text, \
         n.nspname::text, s.relname::text, q.seqincrement::text, has_sequence_privilege(s.oid, 'SELECT')::text FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid \
         JOIN pg_namespace n ON n.oid = s.relnamespace \
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

const ROOT: &str = "JOIN pg_class r ON r.oid = coalesce(pg_partition_root(c.oid), c.oid) \
     JOIN pg_namespace rn ON rn.oid = r.relnamespace";

/// Indexes that amcheck knows, and tables, each with the table that it belongs to or is a partition of: permanent ones, since
/// what is temporary or unlogged is not in a backup. What holds their large values (TOAST) is among them.
/// <https://www.postgresql.org/docs/current/amcheck.html>, <https://www.postgresql.org/docs/current/storage-toast.html>
pub(super) fn inspected_sql() -> String {
    let large = format!(
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class t ON t.oid = c.reltoastrelid \
         JOIN pg_index i ON i.indrelid = t.oid {ROOT} WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND {OURS}"
    );
    format!(
        "SELECT rn.nspname::text, r.relname::text, 'index', n.nspname || '.' || x.relname, x.oid::text FROM pg_index i \
         JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam JOIN pg_class c ON c.oid = i.indrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace {ROOT} \
         WHERE m.amname = 'btree' AND x.relkind = 'i' AND i.indisvalid AND i.indisready AND x.relpersistence = 'p' AND {OURS} \
         UNION ALL SELECT rn.nspname::text, r.relname::text, 'table', n.nspname || '.' || c.relname, c.oid::text \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am m ON m.oid = c.relam {ROOT} \
         WHERE c.relkind = 'r' AND m.amname = 'heap' AND c.relpersistence = 'p' AND {OURS} \
         UNION ALL SELECT rn.nspname::text, r.relname::text, 'table', n.nspname || '.' || c.relname || ' (TOAST)', t.oid::text \
         {large} \
         UNION ALL SELECT rn.nspname::text, r.relname::text, 'index', n.nspname || '.' || c.relname || ' (TOAST)', \
         i.indexrelid::text {large} AND i.indisvalid ORDER BY 1, 2, 3, 4"
    )
}

/// Tables and partitions that `inspected_sql` leaves out, each with the table that it belongs to, and why: `unlogged`, `foreign`
/// (partitions on another server), or the storage that amcheck does not know.
pub(super) fn other_tables_sql() -> String {
    format!(
        "SELECT rn.nspname::text, r.relname::text, n.nspname || '.' || c.relname, \
         CASE WHEN c.relkind = 'f' THEN 'foreign' WHEN c.relpersistence = 'u' THEN 'unlogged' ELSE m.amname::text END \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am m ON m.oid = c.relam {ROOT} \
         WHERE ((c.relkind = 'f' AND c.relispartition) OR (c.relkind = 'r' AND (c.relpersistence = 'u' \
         OR (c.relpersistence = 'p' AND m.amname <> 'heap')))) AND {OURS} ORDER BY 1, 2, 3"
    )
}

/// Indexes that the server does not use, since building them did not come to its end (`invalid`), and those that it cannot
/// inspect, with their kind. <https://www.postgresql.org/docs/current/catalog-pg-index.html>
pub(super) fn other_indexes_sql() -> String {
    format!(
        "SELECT rn.nspname::text, r.relname::text, n.nspname || '.' || x.relname, \
         CASE WHEN i.indisvalid AND i.indisready THEN m.amname::text ELSE 'invalid' END FROM pg_index i \
         JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam JOIN pg_class c ON c.oid = i.indrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace {ROOT} \
         WHERE x.relkind IN ('i', 'I') AND (NOT i.indisvalid OR NOT i.indisready OR (m.amname <> 'btree' \
         AND x.relkind = 'i' AND x.relpersistence = 'p')) AND {OURS} ORDER BY 1, 2, 3"
    )
}

/// The files of a table: its own, or those of its partitions, with their kind and how many pages they have.
pub(super) fn files_sql(table: &str) -> String {
    format!(
        "WITH RECURSIVE parts AS (SELECT c.oid, c.relkind FROM pg_class c WHERE c.oid = {table}::regclass \
         UNION ALL SELECT c.oid, c.relkind FROM parts p JOIN pg_inherits h ON h.inhparent = p.oid \
         JOIN pg_class c ON c.oid = h.inhrelid AND c.relispartition) \
         SELECT n.nspname::text, c.relname::text, c.relkind::text, CASE WHEN c.relkind = 'r' THEN \
         (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::text END FROM parts p \
         JOIN pg_class c ON c.oid = p.oid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind <> 'p' \
         ORDER BY 1, 2"
    )
}
