//! A simulated AWS estate behind the real SDK clients.
