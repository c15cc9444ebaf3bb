//! A scratch directory and the command in it.

use lpu_tests::tflite_writer::{Dense, Fused, Model, Network};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A directory of its own for one test.
pub struct Scratch {
    directory: TempDir,
}

/// What a call of the command has left behind.
#[derive(Debug)]
pub struct Called {
    /// Exit status.
    pub status: i32,
    /// Standard output; the scratch directory is written as `DIR`.
    pub stdout: String,
    /// Standard error; the scratch directory is written as `DIR`.
    pub stderr: String,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), bytes).unwrap();
        name.into()
    }

    /// A compiled program of the digits network.
    pub fn program(&self, name: &str) -> String {
        let called = self.lpu(&["compile", &digits("digits.tflite"), "--board", "ulx3s-12f", "--out", name]);
        assert_eq!(called.status, 0, "{}", called.stderr);
        name.into()
    }

    /// Calls `lpu` with these arguments in the scratch directory.
    pub fn lpu(&self, arguments: &[&str]) -> Called {
        self.lpu_with(arguments, &[])
    }

    /// The same, with environment variables.
    pub fn lpu_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Called {
        let output = Command::new(env!("CARGO_BIN_EXE_lpu"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env("LPU_CACHE", lpu_tests::witnesses::cache())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(&*self.directory.path().to_string_lossy(), "DIR")
        };
        Called { status: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Names of all that stands in the scratch directory.
    pub fn names(&self) -> Vec<String> {
        names(self.directory.path())
    }
}

impl Called {
    /// The one object on standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }

    /// The message of a refusal: status 2, nothing on standard output.
    pub fn refusal(&self) -> &str {
        assert_eq!((self.status, self.stdout.as_str()), (2, ""), "{}", self.stderr);
        for part in ["error: ", "  where: ", "  why:   ", "  help:  "] {
            assert!(self.stderr.contains(part), "{}", self.stderr);
        }
        &self.stderr
    }
}

/// Names of all that stands in `directory`.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A board whose machine executes language models, with `depth` words of weight RAM in each tile.
pub fn language_board(depth: u32) -> String {
    format!(
        "description = \"a board for language models\"\nfamily = \"ecp5\"\ndevice = \"LFE5U-85F\"\npackage = \"CABGA381\"\n\
         speed_grade = \"6\"\noscillator_mhz = 25.0\nclock_mhz = 125.0\nluts = 83640\nblock_rams = 208\n\
         block_ram_kbit = 18\nmultipliers = 156\nloader = \"ulx3s\"\nnextpnr = []\npack = []\n\
         [link]\nrx = \"M1\"\ntx = \"L4\"\nbaud = 3000000\n\
         [configuration]\ntiles = 37\ndot = 4\nstream_elements = 8\nweight_depth = {depth}\nvector_slices = 3\n\
         vector_depth = 2048\nscale_depth = 2048\nqueue_depth = 4096\nrequantise_interval = 2\n\
         [configuration.pipeline]\ncrossbar = 3\nweight_read = 1\nmultiply = 0\ndrain = 3\nvector_read = 2\n\
         [configuration.extensions]\nregisters = 15\nscalars = 64\ntables = 16\n"
    )
}

/// A file of the network that ships with the project.
pub fn digits(name: &str) -> String {
    format!("{}/../models/digits/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// One fully connected layer of these sizes.
pub fn dense_network(inputs: usize, outputs: usize) -> Model {
    let dense = Dense {
        weights: vec![1; inputs * outputs],
        bias: None,
        scales: vec![0.01],
        outputs,
        fused: Fused::None,
        output_scale: 0.1,
        output_zero_point: 0,
    };
    Network::new(&[1, inputs], 0.05, 0).dense(dense).model()
}

/// An int8 array as numpy.save writes it.
pub fn npy(shape: &str, elements: &[i8]) -> Vec<u8> {
    let bytes: Vec<u8> = elements.iter().map(|&element| element as u8).collect();
    npy_of("|i1", shape, &bytes)
}

/// An array of any type.
pub fn npy_of(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}
