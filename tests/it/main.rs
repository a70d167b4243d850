//! Tests against real servers, and of the program as a whole.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod etcd_snapshots;
#[cfg(test)]
mod server_outside;
