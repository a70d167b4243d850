//! For tests: actions that do nothing, and a scenario that uses them.
