//! A simulated AWS estate behind the real SDK clients.

pub mod s3;
