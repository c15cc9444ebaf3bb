//! The hardware's end of the host link against the one in Rust, which says what it has to do: for the same bytes the same answer,
//! byte for byte, and the same accesses to the machine, in the same order.
#![allow(clippy::unwrap_used)]

use lpu_firmware::{Decoder, Device, Frame, MAX_ENCODED, MAX_PAYLOAD, MAX_WORDS, Machine, MachineStatus, encode};
use lpu_hdl::board::frame_engine::frame_engine;
use lpu_hdl::layer::Design;
use lpu_isa::configuration::{Configuration, Extensions};
use lpu_isa::host::{ADDRESS_BITS, Command, Generation};
use lpu_isa::latency::Latency;
use lpu_sim::verilated::{Library, Model, Port, PortIndex, Source, build};
use lpu_tests::witnesses::{cache, toolchain};
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};

const IDENTITY: u32 = 0x8a00_17f3;
/// Cycles between two bytes on the line, as few as the engine is made for.
const CYCLES_A_BYTE: u64 = 16;
/// Cycles in which an answer is on its way to the line, byte stuffing and all, if there is one.
const CYCLES_TO_ANSWER: u64 = 20_000;
/// Command of a write, run, read, status and generate request.
const COMMANDS: [u8; 5] = [1, 2, 3, 4, 5];
/// Commands of the answers.
const ACK: u8 = 0x81;
const DATA: u8 = 0x82;
const STATUS: u8 = 0x83;
const ERROR: u8 = 0x84;

/// What the machine's host port was told: command and data.
type Journal = Vec<(u32, u32)>;

/// The word that stands at bus word `chunk` of memory word `address` of a unit; units below 80 (hexadecimal) and from 90 on have
/// nothing to read.
fn content(unit: u8, address: u32, chunk: u32) -> u32 {
    let place = u32::from(unit) << ADDRESS_BITS | address;
    if (0x80..0x90).contains(&unit) { (place ^ chunk << 20).wrapping_mul(0x9e37_79b9) & 0xffff_00ff } else { 0 }
}

/// The machine behind the device in Rust. It notes what a host port would be told.
struct Twin {
    /// Bus words in a beat.
    beat: usize,
    generates: bool,
    status: MachineStatus,
    journal: Journal,
}

impl Twin {
    fn tell(&mut self, command: Command, data: u32) {
        self.journal.push((command as u32, data));
    }

    fn address(&mut self, unit: u8, address: u32) {
        self.tell(Command::Address, u32::from(unit) << ADDRESS_BITS | address);
    }
}

impl Machine for Twin {
    fn write(&mut self, unit: u8, address: u32, chunks: u8, words: &[u32]) {
        self.address(unit, address);
        for (index, &word) in words.iter().enumerate() {
            let last = (index + 1).is_multiple_of(usize::from(chunks));
            self.tell(if last { Command::Write } else { Command::Shift }, word);
        }
    }

    fn start(&mut self, entry: u32) {
        self.tell(Command::Start, entry);
    }

    fn generates(&self) -> bool {
        self.generates
    }

    fn generate(&mut self, first: u16, runs: u16) {
        self.tell(Command::Generate, Generation { first, runs }.bus_word());
    }

    fn status(&mut self) -> MachineStatus {
        self.status
    }

    fn read(&mut self, unit: u8, address: u32, words: &mut [u32]) {
        self.address(unit, address);
        for (address, beat) in (address..).zip(words.chunks_mut(self.beat)) {
            self.tell(Command::Read, 0);
            for (chunk, word) in (0..).zip(beat) {
                *word = content(unit, address & 0xff_ffff, chunk);
            }
        }
    }
}

struct Ports {
    rx_byte: PortIndex,
    rx_valid: PortIndex,
    tx_ready: PortIndex,
    tx_byte: PortIndex,
    tx_valid: PortIndex,
    command: PortIndex,
    data: PortIndex,
    read_valid: PortIndex,
    read_data: PortIndex,
    done: PortIndex,
    cycles: PortIndex,
}

/// The engine under Verilator, a transmitter that takes its time, and a host port with memories.
struct Engine {
    model: Model,
    ports: Ports,
    beat: u32,
    latency: u64,
    now: u64,
    /// The transmitter takes no byte before this cycle.
    busy_until: u64,
    address: u32,
    /// Beats on their way: the cycle in which they arrive, and their words.
    beats: VecDeque<(u64, Vec<u32>)>,
    journal: Journal,
    sent: Vec<u8>,
}

impl Engine {
    fn new(library: &Library, configuration: &Configuration) -> Engine {
        let mut model = library.instance().unwrap();
        let port = |name: &str| model.port(name).unwrap();
        let reset = port("reset");
        let ports = Ports {
            rx_byte: port("rx_byte"),
            rx_valid: port("rx_valid"),
            tx_ready: port("tx_ready"),
            tx_byte: port("tx_byte"),
            tx_valid: port("tx_valid"),
            command: port("host_command"),
            data: port("host_data"),
            read_valid: port("host_read_valid"),
            read_data: port("host_read_data"),
            done: port("done"),
            cycles: port("cycles"),
        };
        model.set(reset, 1);
        model.tick(2).unwrap();
        model.set(reset, 0);
        Engine {
            model,
            ports,
            beat: configuration.dot / 2,
            latency: 4 + u64::from(Latency::of(configuration).vector_read),
            now: 0,
            busy_until: 0,
            address: 0,
            beats: VecDeque::new(),
            journal: Vec::new(),
            sent: Vec::new(),
        }
    }

    fn set_status(&mut self, status: MachineStatus) {
        self.model.set(self.ports.done, u64::from(status.done));
        self.model.set(self.ports.cycles, status.cycles);
    }

    fn cycle(&mut self) {
        let ports = &self.ports;
        self.model.set(ports.tx_ready, u64::from(self.now >= self.busy_until));
        let arrives = self.beats.front().is_some_and(|(when, _)| *when == self.now);
        self.model.set(ports.read_valid, u64::from(arrives));
        if arrives {
            let (_, words) = self.beats.pop_front().unwrap();
            self.model.set_words(ports.read_data, &words).unwrap();
        }
        self.model.tick(1).unwrap();
        self.now += 1;
        let command = self.model.get(ports.command) as u32;
        let data = self.model.get(ports.data) as u32;
        if command == Command::Address as u32 {
            self.address = data;
        }
        if command == Command::Read as u32 {
            let (unit, address) = ((self.address >> ADDRESS_BITS) as u8, self.address & 0xff_ffff);
            if (0x80..0x90).contains(&unit) {
                let words = (0..self.beat).map(|chunk| content(unit, address, chunk)).collect();
                self.beats.push_back((self.now + self.latency, words));
            }
            self.address = u32::from(unit) << ADDRESS_BITS | (address + 1) & 0xff_ffff;
            self.journal.push((command, 0));
        } else if command != Command::Idle as u32 {
            self.journal.push((command, data));
        }
        if self.model.get(ports.tx_valid) != 0 {
            assert!(self.now >= self.busy_until, "a byte for a transmitter that is not ready");
            self.sent.push(self.model.get(ports.tx_byte) as u8);
            self.busy_until = self.now + CYCLES_A_BYTE;
        }
    }

    fn cycles(&mut self, count: u64) {
        (0..count).for_each(|_| self.cycle());
    }

    fn receive(&mut self, byte: u8) {
        self.model.set(self.ports.rx_byte, u64::from(byte));
        self.model.set(self.ports.rx_valid, 1);
        self.cycle();
        self.model.set(self.ports.rx_byte, 0);
        self.model.set(self.ports.rx_valid, 0);
        self.cycles(CYCLES_A_BYTE - 1);
    }

    /// Waits for `count` bytes of an answer, and takes all that have come.
    fn answer(&mut self, count: usize) -> Vec<u8> {
        let end = self.now + CYCLES_TO_ANSWER + CYCLES_A_BYTE * count as u64;
        while self.sent.len() < count && self.now < end {
            self.cycle();
        }
        std::mem::take(&mut self.sent)
    }
}

/// Both ends of the comparison.
struct Pair {
    device: Device<Twin>,
    engine: Engine,
    /// The last number that a request was accepted with.
    last: u32,
    /// The commands of the answers so far, of errors with their code.
    kinds: BTreeSet<(u8, u8)>,
}

impl Pair {
    fn new(library: &Library, configuration: &Configuration) -> Pair {
        let status = MachineStatus { running: true, done: false, cycles: 0, identity: IDENTITY };
        let beat = configuration.dot as usize / 2;
        let mut engine = Engine::new(library, configuration);
        engine.set_status(status);
        Pair {
            device: Device::new(Twin { beat, generates: configuration.generates(), status, journal: Vec::new() }),
            engine,
            last: 0,
            kinds: BTreeSet::new(),
        }
    }

    /// Gives both the same bytes and compares what they make of them.
    fn send(&mut self, bytes: &[u8]) -> Result<(), TestCaseError> {
        for &byte in bytes {
            let expected = self.device.push(byte).unwrap_or_default().to_vec();
            self.engine.receive(byte);
            let found = self.engine.answer(expected.len());
            prop_assert_eq!(&found, &expected, "answer");
            let mut decoder = Decoder::new();
            for frame in expected.iter().filter_map(|&byte| decoder.push(byte)?.ok()) {
                let code = if frame.command == ERROR { frame.payload()[0] } else { 0 };
                self.kinds.insert((frame.command, code));
            }
            let (found, expected) = (&mut self.engine.journal, &mut self.device.machine_mut().journal);
            prop_assert_eq!(&*found, &*expected, "accesses");
            found.clear();
            expected.clear();
        }
        Ok(())
    }

    fn set_status(&mut self, done: bool, cycles: u64) {
        let status = MachineStatus { running: !done, done, cycles, identity: IDENTITY };
        self.device.machine_mut().status = status;
        self.engine.set_status(status);
    }
}

/// What happens on the line, with sequence numbers relative to the last accepted one.
#[derive(Debug, Clone)]
enum Event {
    Request { ahead: u32, command: u8, payload: Vec<u8>, damage: Damage },
    Garbage(Vec<u8>),
    Progress { done: bool, cycles: u64 },
}

#[derive(Debug, Clone)]
enum Damage {
    None,
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Lose(prop::sample::Index),
    Repeat,
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        12 => Just(1u32),
        3 => Just(0u32),
        1 => Just(u32::MAX),
        1 => 2..70_000u32,
        1 => prop_oneof![Just(0x7fff_ffffu32), Just(0x8000_0000), Just(0x100), Just(0x101), Just(0xffff_ff01)],
        1 => any::<u32>(),
    ]
}

/// Bytes with many zeros, ones and full ones among them.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()]
}

/// Commands and payloads, most of them of the right form.
fn request() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let unit = || prop_oneof![0x80..0x90u8, any::<u8>()];
    let address = || (vec(byte(), 3), unit()).prop_map(|(address, unit)| [address, vec![unit]].concat());
    let whole_words = (1..=8usize).prop_flat_map(|chunks| {
        let words = (0..=MAX_WORDS / chunks).prop_flat_map(move |count| vec(byte(), count * chunks * 4));
        words.prop_map(move |words| (chunks as u8, words))
    });
    let any_words = (byte(), vec(byte(), 0..=4 * MAX_WORDS));
    let write = (address(), prop_oneof![4 => whole_words, 1 => any_words])
        .prop_map(|(address, (chunks, words))| (1, [address, vec![chunks], words].concat()));
    let read = (address(), prop_oneof![4 => 0..=MAX_WORDS as u8, 1 => byte()])
        .prop_map(|(address, count)| (3, [address, vec![count]].concat()));
    prop_oneof![
        4 => write,
        2 => read,
        2 => vec(byte(), 4).prop_map(|entry| (2, entry)),
        1 => vec(byte(), 4).prop_map(|runs| (5, runs)),
        2 => Just((4, Vec::new())),
        1 => (prop::sample::select(&COMMANDS[..]), vec(byte(), 0..=8)),
        1 => (byte(), vec(byte(), 0..=MAX_PAYLOAD)),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    let damage = prop_oneof![
        12 => Just(Damage::None),
        1 => (index(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => index().prop_map(Damage::Cut),
        1 => index().prop_map(Damage::Lose),
        2 => Just(Damage::Repeat),
    ];
    let request = (number(), request(), damage).prop_map(|(ahead, (command, payload), damage)| Event::Request {
        ahead,
        command,
        payload,
        damage,
    });
    prop_oneof![
        12 => request,
        1 => vec(byte(), 0..600).prop_map(Event::Garbage),
        1 => (any::<bool>(), 0..1u64 << 48).prop_map(|(done, cycles)| Event::Progress { done, cycles }),
    ]
}

fn play(pair: &mut Pair, event: &Event) -> Result<(), TestCaseError> {
    let (ahead, command, payload, damage) = match event {
        Event::Garbage(bytes) => return pair.send(bytes),
        Event::Progress { done, cycles } => {
            pair.set_status(*done, *cycles);
            return Ok(());
        }
        Event::Request { ahead, command, payload, damage } => (*ahead, *command, payload, damage),
    };
    let sequence = pair.last.wrapping_add(ahead);
    let mut buffer = [0; MAX_ENCODED];
    let length = encode(&Frame::new(sequence, command, payload).unwrap(), &mut buffer).unwrap();
    let mut wire = buffer[..length].to_vec();
    match damage {
        Damage::None => {}
        Damage::Flip(at, bit) => wire[at.index(length)] ^= 1 << bit,
        Damage::Cut(at) => wire.truncate(at.index(length)),
        Damage::Lose(at) => drop(wire.remove(at.index(length))),
        Damage::Repeat => wire.extend_from_within(..),
    }
    let accepted = ahead == 1 || command == 4 && payload.is_empty() && ahead < 1 << 31;
    if accepted && matches!(damage, Damage::None | Damage::Repeat) {
        pair.last = sequence;
    }
    pair.send(&wire)
}

/// The engine of a machine with this many multipliers in a tile.
fn engine(dot: u32) -> Option<(Library, Configuration)> {
    engine_of(Configuration { dot, ..Configuration::default() })
}

/// The engine of a machine of `configuration`.
fn engine_of(configuration: Configuration) -> Option<(Library, Configuration)> {
    let toolchain = toolchain("the hardware's end of the host link")?;
    let design = Design::new(frame_engine(&configuration, IDENTITY).unwrap()).unwrap();
    let ports = design.modules().last().unwrap().ports.iter().filter(|port| port.name != "clk");
    let ports = ports.map(|port| {
        let (name, width) = (port.name.as_str(), port.width as u32);
        if port.input { Port::input(name, width) } else { Port::output(name, width) }
    });
    let source = Source {
        files: vec![("frame_engine.v".into(), design.single_text())],
        top: design.top_name().into(),
        clock: "clk".into(),
        ports: ports.collect(),
        ..Source::default()
    };
    Some((Library::load(&build(&source, &toolchain, &cache()).unwrap()).unwrap(), configuration))
}

/// Plays random events on the engine of a machine with `dot` multipliers in a tile.
fn compare(dot: u32, cases: u32) {
    compare_on(engine(dot), cases);
}

fn compare_on(engine: Option<(Library, Configuration)>, cases: u32) {
    let Some((library, configuration)) = engine else { return };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    });
    let kinds = RefCell::new(BTreeSet::new());
    let result = runner.run(&vec(event(), 1..40), |events| {
        let mut pair = Pair::new(&library, &configuration);
        for event in &events {
            play(&mut pair, event)?;
        }
        kinds.borrow_mut().append(&mut pair.kinds);
        // Nothing comes late.
        pair.engine.cycles(CYCLES_TO_ANSWER);
        prop_assert!(pair.engine.sent.is_empty() && pair.engine.journal.is_empty());
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let all = [(ACK, 0), (DATA, 0), (STATUS, 0), (ERROR, 1), (ERROR, 2), (ERROR, 3)];
    assert_eq!(kinds.into_inner(), BTreeSet::from(all), "an answer was never given");
}

#[test]
fn the_hardware_answers_and_executes_as_the_device_in_rust_does() {
    compare(4, 60);
}

#[test]
fn the_hardware_does_so_for_narrow_and_wide_beats() {
    compare(2, 15);
    compare(8, 15);
}

#[test]
fn the_hardware_does_so_where_it_generates_tokens() {
    let extensions = Some(Extensions { registers: 2, scalars: 2, tables: 1, tokens: 64 });
    let engine = engine_of(Configuration { extensions, ..Configuration::default() });
    if let Some((library, configuration)) = &engine {
        let mut pair = Pair::new(library, configuration);
        for frame in [wire(1, 5, &[3, 0, 7, 1]), wire(1, 5, &[3, 0, 7, 1]), wire(2, 5, &[1, 0]), wire(3, 5, &[0; 4])] {
            pair.send(&frame).unwrap();
        }
        assert!(pair.kinds.contains(&(ACK, 0)) && pair.kinds.contains(&(ERROR, 2)));
    }
    compare_on(engine, 60);
}

fn wire(sequence: u32, command: u8, payload: &[u8]) -> Vec<u8> {
    let mut buffer = [0; MAX_ENCODED];
    let length = encode(&Frame::new(sequence, command, payload).unwrap(), &mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn known_frames_get_the_known_answers() {
    let Some((library, configuration)) = engine(4) else { return };
    let mut pair = Pair::new(&library, &configuration);
    let longest: Vec<u8> = (0..4 * MAX_WORDS).map(|index| index as u8 | 1).collect();
    let frames = [
        wire(0, 2, &[5, 0, 0, 0]),
        wire(0x7fff_0000, 4, &[]),
        wire(0x7fff_0001, 1, &[&[0, 0, 0, 0x80, 1][..], &longest].concat()),
        wire(0x7fff_0002, 3, &[0xff, 0xff, 0xff, 0x80, MAX_WORDS as u8]),
        wire(0x7fff_0003, 3, &[0, 0, 0, 0x20, 3]),
        wire(0x7fff_0004, 2, &[5, 0, 0, 0]),
        wire(0x7fff_0004, 2, &[5, 0, 0, 0]),
        wire(0x8000_0000, 4, &[]),
    ];
    for frame in frames {
        pair.send(&frame).unwrap();
    }
}

#[test]
fn frames_that_come_while_the_hardware_is_busy_are_lost_whole() {
    let Some((library, configuration)) = engine(4) else { return };
    let run = wire(1, 2, &[9, 0, 0, 0]);
    let late = wire(2, 2, &[7, 0, 0, 0]);
    // From the first cycles of the request's execution to beyond its answer: the late frame is lost or executed, never half of it.
    let mut executed = [0, 0];
    for delay in (0..900).step_by(7) {
        let mut pair = Pair::new(&library, &configuration);
        let engine = &mut pair.engine;
        run.iter().for_each(|&byte| engine.receive(byte));
        engine.cycles(delay);
        late.iter().for_each(|&byte| engine.receive(byte));
        engine.cycles(CYCLES_TO_ANSWER);
        let journal = std::mem::take(&mut engine.journal);
        let (start, count) = (Command::Start as u32, journal.len());
        assert_eq!(journal, [(start, 9), (start, 7)][..count], "after {delay} cycles");
        executed[count - 1] += 1;
        // Sent again, it is executed if it was not, and answered in both cases.
        engine.sent.clear();
        late.iter().for_each(|&byte| engine.receive(byte));
        assert_eq!(engine.answer(wire(2, 0x81, &[]).len()), wire(2, 0x81, &[]), "after {delay} cycles");
        assert_eq!(engine.journal.len(), 2 - count, "after {delay} cycles");
    }
    assert!(executed.iter().all(|&count| count > 5), "{executed:?}");
}
