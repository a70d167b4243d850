//! What `information_schema` of MySQL and MariaDB does not show to a user, by the rights that the user lacks. Pure.

use std::collections::BTreeMap;

/// Kinds of objects that a user without a right does not see, or sees without their definitions, and what to grant.
/// <https://dev.mysql.com/doc/refman/8.0/en/information-schema-views-table.html>,
/// <https://dev.mysql.com/doc/refman/8.0/en/information-schema-triggers-table.html>,
/// <https://dev.mysql.com/doc/refman/8.0/en/information-schema-events-table.html>,
/// <https://dev.mysql.com/doc/refman/8.0/en/information-schema-routines-table.html>
pub(super) fn hidden_kinds(grants: &[String], database: &str) -> BTreeMap<String, String> {
    let rights = Rights::of(grants, database);
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
    /// In the database.
    here: Words,
    /// In the server's own database, or on the table of routines in it.
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
    fn of(grants: &[String], database: &str) -> Self {
        let mut rights = Self::default();
        for (given, words, object) in grants.iter().filter_map(|line| granted(line)) {
            let name = object.strip_suffix(".*");
            let is_here = name.is_some_and(|name| matches(name.chars(), database));
            match object.as_str() {
                "*.*" if given => rights.global.0.extend(words),
                "mysql.*" | "mysql.proc" if given => rights.of_routines.0.extend(words),
                _ if given && is_here => rights.here.0.extend(words),
                // Where something can be taken away, `_` and `%` stand for themselves.
                _ if !given && (is_here || name == Some(database)) => rights.taken.0.extend(words),
                _ => {}
            }
        }
        rights
    }

    fn have(&self, right: &str) -> bool {
        self.have_by_all(right) || self.here.have(right)
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

/// Whether a line of `SHOW GRANTS` gives or takes, the rights, and on what, without quotes. `None` for roles and proxies, and for
/// what is on a routine.
fn granted(line: &str) -> Option<(bool, Vec<String>, String)> {
    let (given, rest) = match (line.strip_prefix("GRANT "), line.strip_prefix("REVOKE ")) {
        (Some(rest), _) => (true, rest),
        (None, rest) => (false, rest?),
    };
    let (words, rest) = rest.split_once(" ON ")?;
    let (object, _) = rest.split_once(if given { " TO " } else { " FROM " })?;
    let object = object.strip_prefix("TABLE ").unwrap_or(object).replace('`', "");
    let words = words.split(',').map(|word| word.trim().to_ascii_uppercase());
    (!object.contains(' ')).then(|| (given, words.collect(), object))
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

    fn hidden(grants: &[&str]) -> Vec<String> {
        let grants: Vec<_> = grants.iter().map(|line| (*line).to_owned()).collect();
        hidden_kinds(&grants, "orders_eu").into_keys().collect()
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
