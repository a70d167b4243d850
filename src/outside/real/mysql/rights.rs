//! What `information_schema` of MySQL and MariaDB does not show to a user, by the rights that the user lacks. Pure.

use std::collections::BTreeMap;

/// Kinds of objects that a user without a right does not see, or sees without their definitions, and what to grant.
/// <https://dev.mysql.com/doc/refman/8.0/en/information-schema-views-table.html>,
/// <https://dev.mysql.com/doc/refman/8.0/en/information-schema-triggers-table.html>,
/// <https://dev.mysql.com/doc/refman/8.0/en/information-schema-events-table.html>,
/// <https://dev.mysql.com/doc/refman/8.0/en/information-schema-routines-table.html>
///
/// `version` is what the server says of itself.
pub(super) fn hidden_kinds(
    grants: &[String],
    database: &str,
    version: &str,
) -> BTreeMap<String, String> {
    let rights = Rights::of(grants, database, version);
    let mut hidden = BTreeMap::new();
    let mut hide = |kinds: &[&str], grant: &str| {
        hidden.extend(kinds.iter().map(|kind| ((*kind).to_owned(), grant.to_owned())));
    };
    if !rights.have("SELECT") {
        hide(&["table"], "grant select on the database");
    }
    if !BESIDES_SELECT.iter().any(|right| rights.have(right)) {
        let grant = "grant another right on the database than select, such as show view";
        hide(&["check", "foreign key"], grant);
    }
    if !rights.have("SHOW VIEW") {
        hide(&["view"], "grant show view on the database");
    }
    if !rights.have("TRIGGER") {
        hide(&["trigger"], "grant trigger on the database");
    }
    if !rights.have("EVENT") {
        hide(&["event"], "grant event on the database");
    }
    if !rights.show_routines() {
        let grant = "grant show_routine on *.* (MySQL), show create routine on the database (MariaDB 11.3), \
                     or select on mysql.proc (older MariaDB)";
        hide(&["function", "procedure"], grant);
    }
    hidden
}

/// Rights on tables of which a user needs one to be shown constraints: MariaDB 10.11 was seen to show neither
/// `referential_constraints` nor `table_constraints` of a table that a user may only select from.
const BESIDES_SELECT: [&str; 10] = [
    "ALTER",
    "CREATE",
    "DELETE",
    "DROP",
    "INDEX",
    "INSERT",
    "REFERENCES",
    "SHOW VIEW",
    "TRIGGER",
    "UPDATE",
];

/// What a user may do in a database, as `SHOW GRANTS` says it.
#[derive(Default)]
struct Rights {
    /// Everywhere.
    global: Words,
    /// Taken away in the database from what is granted everywhere. MariaDB knows no such thing: it refuses to revoke in a
    /// database what was not granted there.
    /// <https://dev.mysql.com/doc/refman/8.0/en/partial-revokes.html>
    taken: Words,
    /// In the database, by who is granted it (the user, and roles that are in use): what each line gives whose pattern means
    /// the database.
    here: BTreeMap<String, Vec<Words>>,
    /// In the server's own database, or on the table of routines in it, where there is one.
    of_routines: Words,
}

/// Rights by their names, in upper case. `ALL PRIVILEGES` holds each of its level.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn have(&self, right: &str) -> bool {
        self.0.iter().any(|word| word == right || word == "ALL PRIVILEGES" || word == "ALL")
    }
}

impl Rights {
    fn of(grants: &[String], database: &str, version: &str) -> Self {
        let mut rights = Self::default();
        for line in grants.iter().filter_map(|line| Line::of(line)) {
            let Line { given, words, object, grantee } = line;
            let name = object.strip_suffix(".*");
            let is_here = name.is_some_and(|name| matches(name.chars(), database));
            match object.as_str() {
                "*.*" if given => rights.global.0.extend(words),
                "mysql.*" | "mysql.proc" if given && has_table_of_routines(version) => {
                    rights.of_routines.0.extend(words);
                }
                _ if given && is_here => rights.here.entry(grantee).or_default().push(Words(words)),
                // Where something can be taken away, `_` and `%` stand for themselves.
                _ if !given && (is_here || name == Some(database)) => rights.taken.0.extend(words),
                _ => {}
            }
        }
        rights
    }

    fn have(&self, right: &str) -> bool {
        self.have_by_all(right) || self.have_here(right)
    }

    /// Whether it is granted in the database itself. Of several lines for one user whose patterns mean the database, the server
    /// goes by a single one, the most specific; which one that is has rules of its own, so that only what all of them give
    /// counts. What different ones are granted (a user, a role) adds up.
    /// <https://dev.mysql.com/doc/refman/8.0/en/grant.html>, "Database Privileges";
    /// <https://dev.mysql.com/doc/refman/8.0/en/request-access.html>
    fn have_here(&self, right: &str) -> bool {
        self.here.values().any(|lines| lines.iter().all(|line| line.have(right)))
    }

    /// Whether it is granted everywhere, and not taken away here, whatever the words are: one right of `ALL PRIVILEGES`, or
    /// all of them.
    fn have_by_all(&self, right: &str) -> bool {
        self.global.have(right) && !self.taken.have(right)
    }

    fn show_routines(&self) -> bool {
        self.have_by_all("SELECT")
            || self.global.have("SHOW_ROUTINE")
            || self.have("SHOW CREATE ROUTINE")
            || self.of_routines.have("SELECT")
    }
}

/// Whether the server keeps routines in `mysql.proc`: MySQL 8 does not any more, and whoever may read its database `mysql` is shown
/// no routine for that. <https://dev.mysql.com/doc/refman/8.0/en/data-dictionary-schema.html>
fn has_table_of_routines(version: &str) -> bool {
    version.contains("MariaDB") || version.starts_with("5.")
}

/// A line of `SHOW GRANTS`.
struct Line {
    /// Whether it gives; else it takes.
    given: bool,
    /// The rights, in upper case.
    words: Vec<String>,
    /// On what, without quotes.
    object: String,
    /// To whom, or from whom.
    grantee: String,
}

impl Line {
    /// `None` for roles and proxies, and for what is on a routine.
    fn of(line: &str) -> Option<Self> {
        let (given, rest) = match (line.strip_prefix("GRANT "), line.strip_prefix("REVOKE ")) {
            (Some(rest), _) => (true, rest),
            (None, rest) => (false, rest?),
        };
        let (words, rest) = rest.split_once(" ON ")?;
        let (object, rest) = rest.split_once(if given { " TO " } else { " FROM " })?;
        let object = object.strip_prefix("TABLE ").unwrap_or(object);
        let words = words.split(',').map(|word| word.trim().to_ascii_uppercase()).collect();
        // What follows is of no interest, and must not make two users of one.
        let ends = [" WITH ", " IDENTIFIED ", " REQUIRE "];
        let end = ends.iter().filter_map(|end| rest.find(end)).min();
        let grantee = rest[..end.unwrap_or(rest.len())].to_owned();
        let is_meant = object.starts_with(['`', '*']);
        is_meant.then(|| Self { given, words, object: object.replace('`', ""), grantee })
    }
}

/// How long names of databases are at most. <https://dev.mysql.com/doc/refman/8.0/en/identifier-length.html>
const NAME_CHARACTERS: usize = 64;

/// Whether the pattern of a grant means a database: `%` stands for any text, `_` for a character, `\` before either for itself.
/// It is read once, whatever a server writes into it.
/// <https://dev.mysql.com/doc/refman/8.0/en/grant.html>, "Database Privileges"
fn matches(pattern: impl Iterator<Item = char>, database: &str) -> bool {
    let letters: Vec<char> = database.chars().take(NAME_CHARACTERS + 1).collect();
    if letters.len() > NAME_CHARACTERS {
        return false;
    }
    // Bit n is set while what was read of the pattern may stand for the first n letters.
    let (mut reached, mut escaped) = (1_u128, false);
    for wanted in pattern {
        match wanted {
            _ if std::mem::take(&mut escaped) => reached = behind(reached, &letters, wanted),
            '\\' => escaped = true,
            '%' => reached = u128::MAX.checked_shl(reached.trailing_zeros()).unwrap_or(0),
            '_' => reached <<= 1,
            letter => reached = behind(reached, &letters, letter),
        }
    }
    !escaped && (reached >> letters.len()) & 1 == 1
}

/// The places behind this letter, of those where it is the next one.
fn behind(reached: u128, letters: &[char], letter: char) -> u128 {
    let found = letters.iter().enumerate().filter(|(_, found)| **found == letter);
    let places = found.fold(0_u128, |places, (at, _)| places | (1 << at));
    (reached & places) << 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARIADB: &str = "10.11.14-MariaDB-0+deb12u2";

    fn hidden(grants: &[&str]) -> Vec<String> {
        hidden_by(MARIADB, grants)
    }

    fn hidden_by(version: &str, grants: &[&str]) -> Vec<String> {
        let grants: Vec<_> = grants.iter().map(|line| (*line).to_owned()).collect();
        hidden_kinds(&grants, "orders_eu", version).into_keys().collect()
    }

    #[test]
    fn regression_what_a_user_who_may_only_select_does_not_see_is_known() {
        let login = "GRANT USAGE ON *.* TO `ro`@`%` IDENTIFIED BY PASSWORD '*0'";
        let reader = "GRANT SELECT ON `orders\\_eu`.* TO `ro`@`%`";
        let unseen = ["check", "event", "foreign key", "function", "procedure", "trigger", "view"];
        assert_eq!(hidden(&[login, reader]), unseen);
        assert_eq!(
            hidden(&[login]),
            ["check", "event", "foreign key", "function", "procedure", "table", "trigger", "view"]
        );
        let of_a_table = "GRANT SELECT, SHOW VIEW, TRIGGER ON `orders_eu`.`ledger` TO `ro`@`%`";
        assert_eq!(hidden(&[login, of_a_table]).len(), 8);
        let elsewhere = "GRANT ALL PRIVILEGES ON `orders\\_us`.* TO `ro`@`%`";
        assert_eq!(hidden(&[login, reader, elsewhere]), unseen);
    }

    #[test]
    fn rights_are_found_at_every_level_where_they_can_be_given() {
        for all in [
            &["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"][..],
            &["GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO `ro`@`%`"],
            &[
                "GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON `orders_eu`.* TO `ro`@`%`",
                "GRANT SHOW_ROUTINE ON *.* TO `ro`@`%`",
            ],
            &[
                "GRANT ALL PRIVILEGES ON `orders%`.* TO `ro`@`%`",
                "GRANT SELECT ON `mysql`.`proc` TO `ro`@`%`",
            ],
            &[
                "GRANT SELECT, SHOW VIEW, EVENT, TRIGGER, SHOW CREATE ROUTINE ON `orders\\_eu`.* TO `ro`@`%`",
            ],
        ] {
            assert_eq!(hidden(all), Vec::<String>::new(), "{all:?}");
        }
        let all = "GRANT ALL PRIVILEGES ON `orders_eu`.* TO `owner`@`%`";
        assert_eq!(
            hidden(&[all]),
            Vec::<String>::new(),
            "bodies that are left out all the same are seen to be empty"
        );
        let partly = [
            "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO `ro`@`%`",
            "REVOKE TRIGGER ON `orders_eu`.* FROM `ro`@`%`",
        ];
        assert_eq!(hidden(&partly), ["trigger"]);
        assert_eq!(hidden(&["GRANT `reader` TO `ro`@`%`"]).len(), 8);
    }

    #[test]
    fn regression_of_several_lines_that_mean_the_database_only_what_all_of_them_give_counts() {
        let narrow = "GRANT SELECT, SHOW VIEW ON `orders\\_eu`.* TO `ro`@`%` WITH GRANT OPTION";
        let wide = "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `orders%`.* TO `ro`@`%`";
        let unseen = ["event", "function", "procedure", "trigger"];
        assert_eq!(hidden(&[wide]), ["function", "procedure"]);
        for grants in [[narrow, wide], [wide, narrow]] {
            assert_eq!(hidden(&grants), unseen, "{grants:?}");
        }
        let all = "GRANT ALL PRIVILEGES ON `%`.* TO `ro`@`%`";
        assert_eq!(hidden(&[all, narrow]), unseen);
        let nothing_alike = "GRANT TRIGGER ON `orders%`.* TO `ro`@`%`";
        assert!(hidden(&[narrow, nothing_alike]).contains(&"table".to_owned()));
        // What is given everywhere is given besides, and so is what another one is given.
        let everywhere = "GRANT TRIGGER, EVENT ON *.* TO `ro`@`%` REQUIRE SSL";
        assert_eq!(hidden(&[everywhere, wide, narrow]), ["function", "procedure"]);
        let by_role = "GRANT TRIGGER, EVENT ON `orders%`.* TO `reader`";
        assert_eq!(hidden(&[narrow, by_role]), ["function", "procedure"]);
    }

    #[test]
    fn regression_the_own_database_of_a_server_without_a_table_of_routines_shows_none() {
        let reader = "GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON `orders_eu`.* TO `ro`@`%`";
        for routines in
            ["GRANT SELECT ON `mysql`.* TO `ro`@`%`", "GRANT SELECT ON `mysql`.`proc` TO `ro`@`%`"]
        {
            for version in [MARIADB, "5.7.44-log"] {
                assert_eq!(hidden_by(version, &[reader, routines]), Vec::<String>::new());
            }
            for version in ["8.0.36", "8.4.3", "9.1.0", ""] {
                let unseen = hidden_by(version, &[reader, routines]);
                assert_eq!(unseen, ["function", "procedure"], "{version}");
            }
        }
        let show = "GRANT SHOW_ROUTINE ON *.* TO `ro`@`%`";
        assert_eq!(hidden_by("8.0.36", &[reader, show]), Vec::<String>::new());
    }

    #[test]
    fn patterns_of_databases_are_read_as_the_server_reads_them() {
        for (pattern, database, is) in [
            ("orders", "orders", true),
            ("orders", "orders2", false),
            ("orders\\_eu", "orders_eu", true),
            ("orders\\_eu", "ordersXeu", false),
            ("orders_eu", "ordersXeu", true),
            ("ord%", "orders", true),
            ("%eu", "orders_eu", true),
            ("%", "", true),
            ("", "", true),
            ("", "orders", false),
            ("%%_s", "orders", true),
            ("o%d%s", "orders", true),
            ("o%d%z", "orders", false),
            ("orders_", "orders", false),
            ("orders\\", "orders", false),
            ("größe\\%", "größe%", true),
        ] {
            assert_eq!(matches(pattern.chars(), database), is, "{pattern} {database}");
        }
        let longest = "x".repeat(64);
        assert!(matches("%x".chars(), &longest) && matches(longest.chars(), &longest));
        assert!(!matches("%".chars(), &"x".repeat(65)), "no database has such a name");
    }

    #[test]
    fn regression_a_pattern_of_a_hostile_server_is_read_once() {
        let database = "a".repeat(64);
        for part in ["%", "%a", "%_", "a%"] {
            let pattern = format!("{}b", part.repeat(20_000));
            let mut read = 0;
            let is = matches(pattern.chars().inspect(|_| read += 1), &database);
            assert_eq!((is, read), (false, pattern.chars().count()), "{part}");
        }
    }

    #[test]
    fn regression_what_is_taken_away_in_a_database_is_not_believed() {
        let everything = "GRANT ALL PRIVILEGES ON *.* TO `ro`@`%` WITH GRANT OPTION";
        // As MySQL writes it, name by name, and dynamic rights in a line of their own.
        let by_name = "GRANT SELECT, INSERT, SHOW VIEW, TRIGGER, EVENT ON *.* TO `ro`@`%`";
        let dynamic = "GRANT SHOW_ROUTINE ON *.* TO `ro`@`%`";
        let select = "REVOKE SELECT ON `orders_eu`.* FROM `ro`@`%`";
        for grants in [
            &[everything, select][..],
            &[by_name, dynamic, select],
            &[select, by_name, dynamic],
            &[by_name, dynamic, "REVOKE SELECT ON `orders\\_eu`.* FROM `ro`@`%`"],
        ] {
            assert!(hidden(grants).contains(&"table".to_owned()), "{grants:?}");
        }
        // Dynamic rights are of the server as a whole: routines stay in sight.
        assert_eq!(hidden(&[everything, select]), ["table"]);
        let views = "REVOKE SELECT, SHOW VIEW ON `orders_eu`.* FROM `ro`@`%`";
        assert_eq!(hidden(&[by_name, dynamic, views]), ["table", "view"]);
        for all in ["ALL PRIVILEGES", "ALL"] {
            let nothing = format!("REVOKE {all} ON `orders_eu`.* FROM `ro`@`%`");
            let unseen = ["check", "event", "foreign key", "table", "trigger", "view"];
            assert_eq!(hidden(&[everything, &nothing]), unseen, "{nothing}");
        }
        let elsewhere = "REVOKE SELECT ON `mysql`.* FROM `ro`@`%`";
        assert_eq!(hidden(&[everything, elsewhere]), Vec::<String>::new());
    }
}
