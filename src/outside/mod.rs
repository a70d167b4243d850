//! What leaves the process and is not AWS.
