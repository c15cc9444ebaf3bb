//! Writes the Verilog of the default configuration to a folder: `cargo run -p lpu-hdl --example emit -- DIR`.
use lpu_isa::configuration::Configuration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: emit DIR [CONFIGURATION.toml]")?;
    let configuration = match std::env::args().nth(2) {
        Some(path) => Configuration::from_toml(&std::fs::read_to_string(path)?)?,
        None => Configuration::default(),
    };
    lpu_hdl::lpu::top::design(&configuration)?.write_to(std::path::Path::new(&directory))?;
    Ok(())
}
