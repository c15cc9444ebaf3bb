//! The netlist: what synthesis made of the text does, cycle for cycle, what the text does.

mod bench;
mod cells;
mod runs;
