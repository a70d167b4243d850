use crate::limits;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The user of this process: by the environment, else by the name that the system has for its user id, as `id -un` says it
/// (cron and containers set no `USER`), else by the id alone.
#[expect(
    clippy::disallowed_methods,
    reason = "who sits at the terminal is known to the system only"
)]
pub fn this_user() -> Option<String> {
    let named = ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let named = named.into_iter().find(|name| !name.trim().is_empty());
    named.or_else(|| {
        let id = user_id()?;
        let users =
            limits::read_file(Path::new("/etc/passwd"), limits::FILE_BYTES).unwrap_or_default();
        Some(name_in(&String::from_utf8_lossy(&users), id).unwrap_or_else(|| format!("uid {id}")))
    })
}

/// A file that a process makes is its user's; of Linux the process itself tells.
fn user_id() -> Option<u32> {
    let of_process = fs::metadata("/proc/self").ok();
    let of_file = || tempfile::tempfile().ok()?.metadata().ok();
    of_process.or_else(of_file).map(|metadata| metadata.uid())
}

/// The name of a user id in the format of `passwd(5)`: name, password, id, separated by colons.
fn name_in(users: &str, id: u32) -> Option<String> {
    let users = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let is_it = |fields: &Vec<&str>| fields.get(2).is_some_and(|field| field.parse() == Ok(id));
    let name = users.into_iter().find(is_it)?.first().map(|name| (*name).to_owned());
    name.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_a_user_id_has_a_name_without_the_environment() {
        let users = "root:x:0:0:root:/root:/bin/sh\n# x\ndrill:x:1001:1001::/home/drill:/bin/sh\n:x:7:7::/:\n";
        assert_eq!(name_in(users, 1001).as_deref(), Some("drill"));
        assert_eq!(name_in(users, 0).as_deref(), Some("root"));
        assert_eq!((name_in(users, 5), name_in(users, 7)), (None, None));
        assert!(user_id().is_some());
    }
}
