//! A RISC-V core with the memory map of PicoSoC, as far as `firmware/riscv` uses it.

use rrs_lib::instruction_executor::{InstructionException, InstructionExecutor};
use rrs_lib::{HartState, MemAccessSize, Memory};
use std::collections::VecDeque;

const FLASH: u32 = 0x0010_0000;
const RAM: usize = 0x2_0000;
const UART_DIVIDER: u32 = 0x0200_0004;
const UART_DATA: u32 = 0x0200_0008;
const LAMPS: u32 = 0x0300_0000;

/// Why the core no longer runs.
#[derive(Debug, PartialEq)]
pub enum Stop {
    /// The program showed this number.
    Shown(u32),
    /// An instruction that is none, or an access that there is nothing for.
    Fault(InstructionException),
}

/// The UART, without time: what is sent is there at once.
#[derive(Default)]
pub struct Line {
    /// Bytes for the core.
    pub arriving: VecDeque<u8>,
    /// Bytes from the core.
    pub sent: VecDeque<u8>,
}

/// The core and what is around it.
pub struct Core {
    hart: HartState,
    bus: Bus,
    /// The UART's other end.
    pub line: Line,
}

struct Bus {
    flash: Vec<u8>,
    ram: Vec<u8>,
    line: Line,
    shown: Option<u32>,
}

impl Core {
    /// A core in front of a flash with this content.
    pub fn new(flash: &[u8]) -> Core {
        let mut hart = HartState::new();
        hart.pc = FLASH;
        // What the RAM holds when power comes is anything but zero.
        let bus = Bus { flash: flash.to_vec(), ram: vec![0xa5; RAM], line: Line::default(), shown: None };
        Core { hart, bus, line: Line::default() }
    }

    /// One instruction.
    pub fn step(&mut self) -> Option<Stop> {
        std::mem::swap(&mut self.bus.line, &mut self.line);
        let result = InstructionExecutor { mem: &mut self.bus, hart_state: &mut self.hart }.step();
        std::mem::swap(&mut self.bus.line, &mut self.line);
        match result {
            Err(exception) => Some(Stop::Fault(exception)),
            Ok(()) => self.bus.shown.map(Stop::Shown),
        }
    }
}

fn bytes(size: MemAccessSize) -> usize {
    match size {
        MemAccessSize::Byte => 1,
        MemAccessSize::HalfWord => 2,
        MemAccessSize::Word => 4,
    }
}

impl Memory for Bus {
    fn read_mem(&mut self, address: u32, size: MemAccessSize) -> Option<u32> {
        if address == UART_DATA {
            return Some(self.line.arriving.pop_front().map_or(u32::MAX, u32::from));
        }
        let (memory, from) = match address.checked_sub(FLASH) {
            Some(from) => (&self.flash, from as usize),
            None => (&self.ram, address as usize),
        };
        let part = memory.get(from..from + bytes(size))?;
        Some(part.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }

    fn write_mem(&mut self, address: u32, size: MemAccessSize, value: u32) -> bool {
        match address {
            UART_DATA => self.line.sent.push_back(value as u8),
            UART_DIVIDER => {}
            LAMPS => self.shown = Some(value),
            _ => {
                let count = bytes(size);
                let Some(part) = self.ram.get_mut(address as usize..address as usize + count) else { return false };
                part.copy_from_slice(&value.to_le_bytes()[..count]);
            }
        }
        true
    }
}
