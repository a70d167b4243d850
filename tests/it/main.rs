//! Tests against real servers, and of the program as a whole.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod etcd_snapshots;
#[cfg(test)]
mod generated;
#[cfg(test)]
mod program;
#[cfg(test)]
mod rehearsals;
#[cfg(test)]
mod server_outside;
