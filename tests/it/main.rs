//! Tests against real servers, and of the program as a whole.

// `cfg(test)` on each module, since clippy lets helpers unwrap only in there.
#[cfg(test)]
mod after_a_run;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod etcd_snapshots;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod generated;
#[cfg(test)]
mod program;
#[cfg(test)]
mod rehearsals;
#[cfg(test)]
mod server_browser;
#[cfg(test)]
mod server_moto;
#[cfg(test)]
mod server_outside;
#[cfg(test)]
mod server_restore;
#[cfg(test)]
mod server_sandbox;
#[cfg(test)]
mod server_support;
#[cfg(test)]
mod sim;
