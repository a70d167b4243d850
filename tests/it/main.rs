//! Tests against real servers, and of the program as a whole.

// `cfg(test)` on each module, since clippy lets helpers unwrap only in there.
#[cfg(test)]
mod after_a_run;
#[cfg(test)]
mod alarms;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod before_the_day;
#[cfg(test)]
mod depth;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod effects;
#[cfg(test)]
mod elsewhere;
#[cfg(test)]
mod etcd_command;
#[cfg(test)]
mod etcd_decrypt;
#[cfg(test)]
mod etcd_hash_kv;
#[cfg(test)]
mod etcd_members;
#[cfg(test)]
mod etcd_server;
#[cfg(test)]
mod etcd_snapshots;
#[cfg(test)]
mod etcd_tree;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faults_aurora;
#[cfg(test)]
mod generated;
#[cfg(test)]
mod giving_back;
#[cfg(test)]
mod going_on;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod hostile_inputs;
#[cfg(test)]
mod hostile_limits;
#[cfg(test)]
mod hostile_secrets;
#[cfg(test)]
mod hostile_targets;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod ladder;
#[cfg(test)]
mod loopback;
#[cfg(test)]
mod moto_operations;
#[cfg(test)]
mod older_versions;
#[cfg(test)]
mod organisation;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod preflight;
#[cfg(test)]
mod program;
#[cfg(test)]
mod promotion;
#[cfg(test)]
mod reap;
#[cfg(test)]
mod recoveries;
#[cfg(test)]
mod rehearsals;
#[cfg(test)]
mod resuming;
#[cfg(test)]
mod runbooks;
#[cfg(test)]
mod second_person;
#[cfg(test)]
mod server_alarms;
#[cfg(test)]
mod server_approvals;
#[cfg(test)]
mod server_aurora;
#[cfg(test)]
mod server_aurora_copies;
#[cfg(test)]
mod server_browser;
#[cfg(test)]
mod server_crash;
#[cfg(test)]
mod server_damage;
#[cfg(test)]
mod server_damage_mariadb;
#[cfg(test)]
mod server_databases;
#[cfg(test)]
mod server_etcd_live;
#[cfg(test)]
mod server_etcd_museum;
#[cfg(test)]
mod server_etcd_restore;
#[cfg(test)]
mod server_etcd_store;
#[cfg(test)]
mod server_iam;
#[cfg(test)]
mod server_identity;
#[cfg(test)]
mod server_ladder;
#[cfg(test)]
mod server_ladder_differences;
#[cfg(test)]
mod server_mariadb_tls;
#[cfg(test)]
mod server_moto;
#[cfg(test)]
mod server_outside;
#[cfg(test)]
mod server_point_in_time;
#[cfg(test)]
mod server_promotion;
#[cfg(test)]
mod server_restore;
#[cfg(test)]
mod server_runbooks;
#[cfg(test)]
mod server_sandbox;
#[cfg(test)]
mod server_shipped;
#[cfg(test)]
mod server_shipped_k3s;
#[cfg(test)]
mod server_shipped_orders;
#[cfg(test)]
mod server_support;
#[cfg(test)]
mod server_tokens;
#[cfg(test)]
mod server_unseen;
#[cfg(test)]
mod server_unseen_partitions;
#[cfg(test)]
mod server_writes;
#[cfg(test)]
mod shared_copies;
#[cfg(test)]
mod shipped_drills;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod steering;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod times;
#[cfg(test)]
mod values;
#[cfg(test)]
mod waits;
#[cfg(test)]
mod wire;
