//! A link to a Verilated model in the same process: the device end is Rust, the machine behind it is the model's host port.

use super::port::HostPort;
use crate::verilated::ModelError;
use lpu_firmware::{Device, Link};
use std::collections::VecDeque;

/// A byte stream that ends at a simulated device in the same process. It loses nothing.
pub struct SimulatedLink {
    device: Device<HostPort>,
    answers: VecDeque<u8>,
}

impl SimulatedLink {
    /// A link to `port`.
    pub fn new(port: HostPort) -> SimulatedLink {
        SimulatedLink { device: Device::new(port), answers: VecDeque::new() }
    }

    /// The port at its far end.
    pub fn port(&mut self) -> &mut HostPort {
        self.device.machine_mut()
    }
}

impl Link for SimulatedLink {
    type Error = ModelError;

    fn write(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        for &byte in bytes {
            if let Some(answer) = self.device.push(byte) {
                self.answers.extend(answer);
            }
        }
        self.port().fault().map_or(Ok(()), Err)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ModelError> {
        let count = buffer.len().min(self.answers.len());
        for (slot, byte) in buffer.iter_mut().zip(self.answers.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }
}
