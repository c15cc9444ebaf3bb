//! The command `lpu`.
fn main() {}
