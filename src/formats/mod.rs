//! Readers of what backups contain. No network, no AWS; every offset bounded, whatever the file says.
