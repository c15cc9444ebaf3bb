//! Prints the picture of the default machine: `cargo run -p lpu-hdl --example picture > docs/machine.svg`.

fn main() {
    print!("{}", lpu_hdl::picture::svg(&lpu_isa::configuration::Configuration::default()));
}
