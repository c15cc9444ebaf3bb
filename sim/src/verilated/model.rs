//! One running instance of a Verilated model.

use std::ffi::{CStr, CString, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::library::Loaded;
use super::source::{Direction, words};

/// A model did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The top module has no such port.
    #[error("the model has no port `{name}`")]
    NoPort {
        /// The name asked for.
        name: String,
    },
    /// The simulated design or Verilator's runtime stopped with an error. The instance's state is not to be trusted after it.
    #[error("the model stopped: {reason}")]
    Fault {
        /// What it said.
        reason: String,
    },
    /// Rows of another length than the ports take, or an output where an input is needed.
    #[error("cannot drive the model: {what}")]
    Shape {
        /// What does not fit.
        what: String,
    },
    /// The library has no function of this name.
    #[error("the model has no function `{name}` among its extra C++")]
    NoFunction {
        /// The name asked for.
        name: String,
    },
}

/// A port of one model: made by [`Model::port`], valid for every instance of the same library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortIndex(u32);

impl PortIndex {
    /// Its place among the source's ports, for [`Model::call`].
    pub fn number(self) -> u32 {
        self.0
    }
}

struct Slot {
    data: NonNull<c_void>,
    width: u32,
    input: bool,
}

/// An independent copy of the hardware. It may move to another thread; two instances share no state.
pub struct Model {
    handle: NonNull<c_void>,
    slots: Vec<Slot>,
    loaded: Arc<Loaded>,
}

// SAFETY: an instance has its own `VerilatedContext`, which every call makes the calling thread's current one; nothing in it
// belongs to the thread that made it. Verilator runs without threads of its own (`--threads 1`).
#[allow(unsafe_code)]
unsafe impl Send for Model {}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: `handle` came from `lpu_new` and is not used again.
        #[allow(unsafe_code)]
        unsafe {
            (self.loaded.functions.free)(self.handle.as_ptr());
        }
    }
}

impl Model {
    pub(super) fn new(loaded: Arc<Loaded>) -> Result<Self, ModelError> {
        // SAFETY: it takes nothing; null means that there is no memory.
        #[allow(unsafe_code)]
        let handle = unsafe { (loaded.functions.new)() };
        let Some(handle) = NonNull::new(handle) else {
            return Err(ModelError::Fault { reason: "there is no memory for it".into() });
        };
        let mut model = Self { handle, slots: Vec::new(), loaded };
        let reason = model.reason();
        if !reason.is_empty() {
            return Err(ModelError::Fault { reason });
        }
        for (index, port) in (0u32..).zip(&model.loaded.ports) {
            // SAFETY: the handle is live and the index is below the port count.
            #[allow(unsafe_code)]
            let data = unsafe { (model.loaded.functions.port_data)(handle.as_ptr(), index) };
            let Some(data) = NonNull::new(data) else {
                return Err(ModelError::NoPort { name: port.name.clone() });
            };
            model.slots.push(Slot { data, width: port.width, input: port.direction == Direction::Input });
        }
        Ok(model)
    }

    /// The port of this name.
    ///
    /// # Errors
    /// [`ModelError::NoPort`].
    pub fn port(&self, name: &str) -> Result<PortIndex, ModelError> {
        match (0u32..).zip(&self.loaded.ports).find(|(_, port)| port.name == name) {
            Some((index, _)) => Ok(PortIndex(index)),
            None => Err(ModelError::NoPort { name: name.to_owned() }),
        }
    }

    /// Bits of a port.
    pub fn width(&self, port: PortIndex) -> u32 {
        self.slot(port).width
    }

    /// Sets the low 64 bits of a port, the rest of a wider one to zero. Bits beyond the port's width are dropped.
    pub fn set(&mut self, port: PortIndex, value: u64) {
        let count = words(self.slot(port).width);
        if count <= 2 {
            self.store(port, &[value as u32, (value >> 32) as u32][..count]);
        } else {
            let mut wide = vec![0; count];
            wide[0] = value as u32;
            wide[1] = (value >> 32) as u32;
            self.store(port, &wide);
        }
    }

    /// The low 64 bits of a port.
    pub fn get(&self, port: PortIndex) -> u64 {
        let slot = self.slot(port);
        // SAFETY: `data` points to the port's storage inside the live model; by the width it is one integer of 8, 16, 32 or
        // 64 bits or an array of at least three 32-bit words, as the shim checked when it was compiled.
        #[allow(unsafe_code)]
        unsafe {
            match slot.width {
                0..=8 => u64::from(slot.data.cast::<u8>().read()),
                9..=16 => u64::from(slot.data.cast::<u16>().read()),
                17..=32 => u64::from(slot.data.cast::<u32>().read()),
                33..=64 => slot.data.cast::<u64>().read(),
                _ => {
                    let data = slot.data.cast::<u32>();
                    u64::from(data.read()) | u64::from(data.add(1).read()) << 32
                }
            }
        }
    }

    /// Sets a port from 32-bit words, lowest first.
    ///
    /// # Errors
    /// [`ModelError::Shape`] unless there is one word for each 32 bits begun.
    pub fn set_words(&mut self, port: PortIndex, value: &[u32]) -> Result<(), ModelError> {
        let count = words(self.slot(port).width);
        if value.len() != count {
            let what = format!("`{}` takes {count} words, got {}", self.name(port), value.len());
            return Err(ModelError::Shape { what });
        }
        self.store(port, value);
        Ok(())
    }

    /// A port as 32-bit words, lowest first.
    pub fn get_words(&self, port: PortIndex) -> Vec<u32> {
        let slot = self.slot(port);
        if slot.width <= 64 {
            let value = self.get(port);
            return [value as u32, (value >> 32) as u32][..words(slot.width)].to_vec();
        }
        // SAFETY: a port of more than 64 bits is an array of this many words, in the live model.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts(slot.data.cast::<u32>().as_ptr(), words(slot.width)).to_vec()
        }
    }

    /// Settles combinational logic without a clock edge.
    ///
    /// # Errors
    /// [`ModelError::Fault`].
    pub fn eval(&mut self) -> Result<(), ModelError> {
        // SAFETY: the handle is live.
        #[allow(unsafe_code)]
        let status = unsafe { (self.loaded.functions.eval)(self.handle.as_ptr()) };
        self.check(status)
    }

    /// `cycles` clock cycles.
    ///
    /// # Errors
    /// [`ModelError::Fault`].
    pub fn tick(&mut self, cycles: u64) -> Result<(), ModelError> {
        // SAFETY: the handle is live.
        #[allow(unsafe_code)]
        let status = unsafe { (self.loaded.functions.tick)(self.handle.as_ptr(), cycles) };
        self.check(status)
    }

    /// Cycles since the instance was made.
    pub fn cycles(&self) -> u64 {
        // SAFETY: the handle is live.
        #[allow(unsafe_code)]
        unsafe {
            (self.loaded.functions.cycles)(self.handle.as_ptr())
        }
    }

    /// Ticks, at least once, until `port` is not zero after a tick. The number of ticks made, or `None` if it was still zero
    /// after `most` of them.
    ///
    /// # Errors
    /// [`ModelError::Fault`].
    pub fn run_until(&mut self, port: PortIndex, most: u64) -> Result<Option<u64>, ModelError> {
        let (made, reached) = self.run(port.0, most, ptr::null_mut())?;
        Ok(reached.then_some(made))
    }

    /// Words of one log row: each observed signal takes one for each 32 bits begun.
    pub fn log_row_words(&self) -> usize {
        self.loaded.observed.iter().map(|observed| words(observed.width)).sum()
    }

    /// As [`Model::run_until`], but also logs the observed signals of each cycle into `log`, one row of
    /// [`Model::log_row_words`] words a cycle, and makes at most as many ticks as whole rows fit. Returns the ticks made and
    /// whether the port was the reason to stop.
    ///
    /// # Errors
    /// [`ModelError::Fault`], or [`ModelError::Shape`] if nothing is observed.
    pub fn run_until_logged(&mut self, port: PortIndex, log: &mut [u32]) -> Result<(u64, bool), ModelError> {
        let most = self.rows_in(log)?;
        self.run(port.0, most, log.as_mut_ptr())
    }

    /// Fills `log` with the observed signals of the next cycles, one row of [`Model::log_row_words`] words a cycle. Returns
    /// the cycles made: as many as whole rows fit.
    ///
    /// # Errors
    /// As [`Model::run_until_logged`].
    pub fn tick_logged(&mut self, log: &mut [u32]) -> Result<u64, ModelError> {
        let most = self.rows_in(log)?;
        Ok(self.run(u32::MAX, most, log.as_mut_ptr())?.0)
    }

    /// One tick a row: sets `inputs` from the row, ticks. A row holds for each port, in order, one word for each 32 bits begun.
    ///
    /// # Errors
    /// [`ModelError::Shape`] if a port is no input or `rows` is not a whole number of rows; [`ModelError::Fault`].
    pub fn drive_sequence(&mut self, inputs: &[PortIndex], rows: &[u32]) -> Result<(), ModelError> {
        self.exchange(inputs, rows, &[]).map(drop)
    }

    /// As [`Model::drive_sequence`], and reads `outputs` after each tick: the answer has one row for each row given.
    ///
    /// # Errors
    /// As [`Model::drive_sequence`].
    pub fn exchange(
        &mut self,
        inputs: &[PortIndex],
        rows: &[u32],
        outputs: &[PortIndex],
    ) -> Result<Vec<u32>, ModelError> {
        if let Some(&port) = inputs.iter().find(|&&port| !self.slot(port).input) {
            return Err(ModelError::Shape { what: format!("`{}` is an output", self.name(port)) });
        }
        let row = |ports: &[PortIndex]| ports.iter().map(|&port| words(self.slot(port).width)).sum::<usize>();
        let (stride, answer) = (row(inputs), row(outputs));
        if stride == 0 || !rows.len().is_multiple_of(stride) {
            let what = format!("a row takes {stride} words, and {} words are not whole rows", rows.len());
            return Err(ModelError::Shape { what });
        }
        let count = rows.len() / stride;
        let indices = |ports: &[PortIndex]| ports.iter().map(|port| port.0).collect::<Vec<u32>>();
        let (inputs, outputs) = (indices(inputs), indices(outputs));
        let mut results = vec![0u32; count * answer];
        // SAFETY: all indices are below the port count (`slot` looked each of them up), `rows` holds `count` rows of the
        // inputs' words and `results` has room for `count` rows of the outputs' words.
        #[allow(unsafe_code)]
        let status = unsafe {
            (self.loaded.functions.drive)(
                self.handle.as_ptr(),
                inputs.as_ptr(),
                inputs.len() as u32,
                rows.as_ptr(),
                count as u64,
                outputs.as_ptr(),
                outputs.len() as u32,
                results.as_mut_ptr(),
            )
        };
        self.check(status)?;
        Ok(results)
    }

    /// Calls a function of [`Source::extra_cpp`](super::Source::extra_cpp):
    /// `extern "C" uint64_t NAME(Simulation*, uint32_t* words, uint64_t count)`, exported with `LPU_EXPORT`. That it has this
    /// type and keeps within `words` is the word of whoever wrote the source.
    ///
    /// # Errors
    /// [`ModelError::NoFunction`].
    pub fn call(&mut self, name: &str, words: &mut [u32]) -> Result<u64, ModelError> {
        type Extra = unsafe extern "C" fn(*mut c_void, *mut u32, u64) -> u64;
        // SAFETY: by the source's promise the function has this type; it gets the live handle and the slice's bounds.
        #[allow(unsafe_code)]
        unsafe {
            let function = self.loaded.library.get::<Extra>(name.as_bytes());
            let function = function.map_err(|_| ModelError::NoFunction { name: name.to_owned() })?;
            Ok(function(self.handle.as_ptr(), words.as_mut_ptr(), words.len() as u64))
        }
    }

    /// Starts a wave file at the next tick; one that is open is closed first.
    ///
    /// # Errors
    /// [`ModelError::Fault`] if the model was built without tracing or the file cannot be written.
    pub fn open_trace(&mut self, path: &Path) -> Result<(), ModelError> {
        let bad = || ModelError::Fault { reason: format!("`{}` cannot name a trace file", path.display()) };
        let path = CString::new(path.to_str().ok_or_else(bad)?).map_err(|_| bad())?;
        // SAFETY: the handle is live, the path ends with a zero.
        #[allow(unsafe_code)]
        let status = unsafe { (self.loaded.functions.trace_open)(self.handle.as_ptr(), path.as_ptr()) };
        self.check(status)
    }

    /// Completes the wave file, if one is open. Dropping the instance does the same.
    ///
    /// # Errors
    /// [`ModelError::Fault`].
    pub fn close_trace(&mut self) -> Result<(), ModelError> {
        // SAFETY: the handle is live.
        #[allow(unsafe_code)]
        let status = unsafe { (self.loaded.functions.trace_close)(self.handle.as_ptr()) };
        self.check(status)
    }

    fn rows_in(&self, log: &[u32]) -> Result<u64, ModelError> {
        match log.len().checked_div(self.log_row_words()) {
            Some(rows) => Ok(rows as u64),
            None => Err(ModelError::Shape { what: "nothing is observed, so there is nothing to log".into() }),
        }
    }

    /// `log` is null or has room for `most` rows.
    fn run(&mut self, port: u32, most: u64, log: *mut u32) -> Result<(u64, bool), ModelError> {
        let (mut made, mut reached) = (0, 0);
        // SAFETY: the handle is live; the shim writes one row a tick to `log` and ignores a port index that is too large.
        #[allow(unsafe_code)]
        let status = unsafe {
            (self.loaded.functions.run)(self.handle.as_ptr(), port, most, log, &raw mut made, &raw mut reached)
        };
        self.check(status)?;
        Ok((made, reached != 0))
    }

    /// `value` has as many words as the port.
    fn store(&mut self, port: PortIndex, value: &[u32]) {
        let slot = self.slot(port);
        let count = words(slot.width);
        debug_assert_eq!(value.len(), count);
        let mask = u32::MAX >> ((32 - slot.width % 32) % 32);
        let last = value[count - 1] & mask;
        // SAFETY: `data` points to the port's storage inside the live model: by the width one integer of 8 or 16 bits or
        // `count` 32-bit words (on the little-endian machines Verilator's models are built for, a 64-bit integer is two).
        #[allow(unsafe_code)]
        unsafe {
            match slot.width {
                0..=8 => slot.data.cast::<u8>().write(last as u8),
                9..=16 => slot.data.cast::<u16>().write(last as u16),
                _ => {
                    let data = slot.data.cast::<u32>();
                    ptr::copy_nonoverlapping(value.as_ptr(), data.as_ptr(), count - 1);
                    data.add(count - 1).write(last);
                }
            }
        }
    }

    fn slot(&self, port: PortIndex) -> &Slot {
        &self.slots[port.0 as usize]
    }

    fn name(&self, port: PortIndex) -> &str {
        &self.loaded.ports[port.0 as usize].name
    }

    fn check(&self, status: i32) -> Result<(), ModelError> {
        if status == 0 { Ok(()) } else { Err(ModelError::Fault { reason: self.reason() }) }
    }

    fn reason(&self) -> String {
        // SAFETY: the handle is live and the text ends with a zero; it is copied before the next call.
        #[allow(unsafe_code)]
        unsafe {
            CStr::from_ptr((self.loaded.functions.error)(self.handle.as_ptr())).to_string_lossy().into_owned()
        }
    }
}
