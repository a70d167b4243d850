//! Tests against real servers, and of the program as a whole.

#[cfg(test)]
mod documents;
#[cfg(test)]
mod etcd_snapshots;
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
