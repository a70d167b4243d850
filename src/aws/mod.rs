//! The door to AWS.
