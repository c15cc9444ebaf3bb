//! A built model's shared library, loaded.

use std::ffi::{CStr, c_char, c_void};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::model::{Model, ModelError};
use super::shim::INTERFACE;
use super::source::{Direction, Observed, Port};

/// A shared library is not one that [`build`](super::build) made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system's loader refuses it, or a function is missing.
    #[error("cannot load the simulator library `{path}`: {error}")]
    Loader {
        /// The file.
        path: PathBuf,
        /// The loader's reason.
        #[source]
        error: libloading::Error,
    },
    /// It was made by another version of this crate.
    #[error("the simulator library `{path}` has interface {found}, needed is {INTERFACE}; delete the cache directory")]
    Interface {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
}

/// The shim's `Description`.
#[repr(C)]
struct Description {
    name: *const c_char,
    width: u32,
    direction: u32,
}

/// The functions that the shim exports; `*mut c_void` is its `Simulation*`.
pub(super) struct Functions {
    pub new: unsafe extern "C" fn() -> *mut c_void,
    pub free: unsafe extern "C" fn(*mut c_void),
    pub error: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    pub cycles: unsafe extern "C" fn(*mut c_void) -> u64,
    pub port_data: unsafe extern "C" fn(*mut c_void, u32) -> *mut c_void,
    pub eval: unsafe extern "C" fn(*mut c_void) -> i32,
    pub tick: unsafe extern "C" fn(*mut c_void, u64) -> i32,
    pub run: unsafe extern "C" fn(*mut c_void, u32, u64, *mut u32, *mut u64, *mut u32) -> i32,
    pub drive: unsafe extern "C" fn(*mut c_void, *const u32, u32, *const u32, u64, *const u32, u32, *mut u32) -> i32,
    pub trace_open: unsafe extern "C" fn(*mut c_void, *const c_char) -> i32,
    pub trace_close: unsafe extern "C" fn(*mut c_void) -> i32,
}

pub(super) struct Loaded {
    pub functions: Functions,
    pub ports: Vec<Port>,
    pub observed: Vec<Observed>,
    pub can_trace: bool,
    /// Behind the function pointers above: it must live as long as they do.
    pub library: libloading::Library,
}

/// A loaded simulator library. Cloning it is cheap; its instances keep it loaded.
#[derive(Clone)]
pub struct Library {
    loaded: Arc<Loaded>,
}

impl Library {
    /// Loads the shared library that [`build`](super::build) returned.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let failed = |error| LoadError::Loader { path: path.to_path_buf(), error };
        // SAFETY: the library's initialisers are those of Verilator's runtime and of the C++ standard library; they touch
        // nothing of this process. All its symbols but the shim's are hidden, so it cannot replace any of ours.
        #[allow(unsafe_code)]
        let library = unsafe { libloading::Library::new(path) }.map_err(failed)?;
        macro_rules! function {
            ($name:literal) => {{
                // SAFETY: the shim defines each of these functions with the type that the field or binding declares; the
                // interface number, looked at first, changes with any of them.
                #[allow(unsafe_code)]
                let symbol = unsafe { library.get($name) }.map_err(failed)?;
                *symbol
            }};
        }
        type Count = unsafe extern "C" fn() -> u32;
        type Table = unsafe extern "C" fn() -> *const Description;
        let count = |function: Count| {
            // SAFETY: these functions take nothing and return a constant.
            #[allow(unsafe_code)]
            unsafe {
                function()
            }
        };
        let found = count(function!(b"lpu_interface"));
        if found != INTERFACE {
            return Err(LoadError::Interface { path: path.to_path_buf(), found });
        }
        let ports = describe(function!(b"lpu_ports"), count(function!(b"lpu_port_count")));
        let observed = describe(function!(b"lpu_observed"), count(function!(b"lpu_observed_count")));
        fn describe(table: Table, count: u32) -> Vec<(String, u32, u32)> {
            // SAFETY: the table has `count` rows, and a spare one, in the library's constant data; names end with a zero.
            #[allow(unsafe_code)]
            unsafe {
                let rows = std::slice::from_raw_parts(table(), count as usize);
                let text = |name| CStr::from_ptr(name).to_string_lossy().into_owned();
                rows.iter().map(|row| (text(row.name), row.width, row.direction)).collect()
            }
        }
        let direction = |code| {
            if code == 0 { Direction::Input } else { Direction::Output }
        };
        let loaded = Loaded {
            ports: ports
                .into_iter()
                .map(|(name, width, code)| Port { name, width, direction: direction(code) })
                .collect(),
            observed: observed.into_iter().map(|(path, width, _)| Observed { path, width }).collect(),
            can_trace: count(function!(b"lpu_can_trace")) != 0,
            functions: Functions {
                new: function!(b"lpu_new"),
                free: function!(b"lpu_free"),
                error: function!(b"lpu_error"),
                cycles: function!(b"lpu_cycles"),
                port_data: function!(b"lpu_port_data"),
                eval: function!(b"lpu_eval"),
                tick: function!(b"lpu_tick"),
                run: function!(b"lpu_run"),
                drive: function!(b"lpu_drive"),
                trace_open: function!(b"lpu_trace_open"),
                trace_close: function!(b"lpu_trace_close"),
            },
            library,
        };
        Ok(Self { loaded: Arc::new(loaded) })
    }

    /// A new instance of the hardware, all inputs zero, no clock edge seen.
    ///
    /// # Errors
    /// [`ModelError::Fault`] if an observed signal is not in the model or the model fails while it settles.
    pub fn instance(&self) -> Result<Model, ModelError> {
        Model::new(Arc::clone(&self.loaded))
    }

    /// The ports, in the order of their indices.
    pub fn ports(&self) -> &[Port] {
        &self.loaded.ports
    }

    /// The observed signals, in the order in which a log row holds them.
    pub fn observed(&self) -> &[Observed] {
        &self.loaded.observed
    }

    /// Whether instances can write wave files.
    pub fn can_trace(&self) -> bool {
        self.loaded.can_trace
    }
}
