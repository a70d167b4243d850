use crate::limits;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

/// The user of this process, as the system knows its user id: by its list of users, or what stands in its place (LDAP, a directory),
/// as `id -un` says it. A user id without a name (containers) is called by the id alone: what the environment says, anybody can say.
pub fn this_user() -> Option<String> {
    let id = user_id()?;
    let called = listed(id).or_else(named_by_the_directory);
    Some(called.unwrap_or_else(|| format!("uid {id}")))
}

/// The name of another user of this machine, for people.
pub(super) fn user_named(id: u32) -> String {
    listed(id).unwrap_or_else(|| format!("uid {id}"))
}

fn listed(id: u32) -> Option<String> {
    let users = limits::read_file(Path::new("/etc/passwd"), limits::FILE_BYTES).unwrap_or_default();
    name_in(&String::from_utf8_lossy(&users), id)
}

/// At its usual place: a program of another place could say any name.
fn named_by_the_directory() -> Option<String> {
    let said = Command::new("/usr/bin/id").arg("-un").output().ok()?;
    let name = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    (said.status.success() && !name.is_empty()).then_some(name)
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
        assert_eq!(user_named(u32::MAX - 7), format!("uid {}", u32::MAX - 7));
    }
}
