//! The contract of a step. TODO
