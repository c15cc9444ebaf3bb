//! Driver and device over links that lose, damage, repeat and reorder frames: executed once each, in order, nothing lost.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

use lpu_firmware::{
    ADDRESS_BITS, Decoder, Device, Driver, DriverError, ErrorCode, Frame, Link, MAX_ENCODED, MAX_WORDS, Machine,
    MachineStatus, Patience, Reply, Request, Words, encode,
};
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Executed {
    Write { unit: u8, address: u32, chunks: u8, words: Vec<u32> },
    Start { entry: u32 },
    Generate { first: u16, runs: u16 },
}

/// The width of a unit's memory, in words of the bus.
fn chunks_of(unit: u8) -> u8 {
    [1, 2, 6, 60][usize::from(unit % 4)]
}

/// Memory by unit and bus word, and a journal of everything that changed it.
#[derive(Default)]
struct TestMachine {
    memory: BTreeMap<(u8, u32), u32>,
    journal: Vec<Executed>,
    starts: u64,
    /// Is it one that cannot generate tokens?
    plain: bool,
}

impl Machine for TestMachine {
    fn write(&mut self, unit: u8, address: u32, chunks: u8, words: &[u32]) {
        self.journal.push(Executed::Write { unit, address, chunks, words: words.to_vec() });
        for (place, &word) in (address * u32::from(chunks)..).zip(words) {
            self.memory.insert((unit, place), word);
        }
    }

    fn start(&mut self, entry: u32) {
        self.journal.push(Executed::Start { entry });
        self.starts += 1;
    }

    fn generates(&self) -> bool {
        !self.plain
    }

    fn generate(&mut self, first: u16, runs: u16) {
        self.journal.push(Executed::Generate { first, runs });
        self.starts += 1;
    }

    fn status(&mut self) -> MachineStatus {
        MachineStatus { running: false, done: self.starts > 0, cycles: self.starts * 1000, identity: IDENTITY }
    }

    fn read(&mut self, unit: u8, address: u32, words: &mut [u32]) {
        for (place, word) in (address * u32::from(chunks_of(unit))..).zip(words) {
            *word = self.memory.get(&(unit, place)).copied().unwrap_or(0);
        }
    }
}

const IDENTITY: u32 = 0x1d3a_0042;

/// xorshift64*: the link's mischief is the same in every run of a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }
}

/// Chances in percent, each for every frame in each direction.
#[derive(Debug, Clone, Copy)]
struct Mischief {
    lost: u64,
    flipped: u64,
    repeated: u64,
    delayed: u64,
    garbage: u64,
}

const HONEST: Mischief = Mischief { lost: 0, flipped: 0, repeated: 0, delayed: 0, garbage: 0 };
const ROUGH: Mischief = Mischief { lost: 15, flipped: 15, repeated: 20, delayed: 20, garbage: 10 };
const PATIENT: Patience = Patience { retries: 200, empty_reads: 1, bytes: 16 * MAX_ENCODED };

struct TestLink {
    device: Device<TestMachine>,
    random: Random,
    mischief: Mischief,
    /// Held back on their way to the device and to the host; they come out later, in any order.
    delayed: [Vec<Vec<u8>>; 2],
    to_host: VecDeque<u8>,
    /// While there is one, it keeps what the host sends and nothing arrives.
    intercepted: Option<Vec<Vec<u8>>>,
    sent: u64,
}

impl TestLink {
    fn new(seed: u64, mischief: Mischief) -> Self {
        Self {
            device: Device::new(TestMachine::default()),
            random: Random(seed | 1),
            mischief,
            delayed: [Vec::new(), Vec::new()],
            to_host: VecDeque::new(),
            intercepted: None,
            sent: 0,
        }
    }

    /// What arrives, in order, when `bytes` are sent in one of the directions.
    fn carry(&mut self, direction: usize, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mischief = self.mischief;
        let mut arriving = Vec::new();
        if self.random.percent(mischief.garbage) {
            let count = self.random.next() % 40;
            arriving.push((0..count).map(|_| self.random.next() as u8).collect());
        }
        let copies = 1 + usize::from(self.random.percent(mischief.repeated));
        for _ in 0..copies {
            let mut frame = bytes.to_vec();
            if self.random.percent(mischief.flipped) {
                for _ in 0..=self.random.next() % 3 {
                    let bit = self.random.next() as usize % (8 * frame.len());
                    frame[bit / 8] ^= 1 << (bit % 8);
                }
            }
            if self.random.percent(mischief.lost) {
                continue;
            }
            if self.random.percent(mischief.delayed) {
                self.delayed[direction].push(frame);
            } else {
                arriving.push(frame);
            }
        }
        while !self.delayed[direction].is_empty() && self.random.percent(30) {
            let index = self.random.next() as usize % self.delayed[direction].len();
            arriving.push(self.delayed[direction].swap_remove(index));
        }
        arriving
    }

    fn deliver_to_device(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(answer) = self.device.push(byte).map(<[u8]>::to_vec) {
                for arriving in self.carry(1, &answer) {
                    self.to_host.extend(arriving);
                }
            }
        }
    }
}

impl Link for TestLink {
    type Error = Infallible;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.sent += 1;
        if let Some(frames) = &mut self.intercepted {
            frames.push(bytes.to_vec());
            return Ok(());
        }
        for arriving in self.carry(0, bytes) {
            self.deliver_to_device(&arriving);
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        // Pieces of any size, as a serial line gives them.
        let most = 1 + self.random.next() as usize % buffer.len();
        let count = most.min(self.to_host.len());
        for (slot, byte) in buffer.iter_mut().zip(self.to_host.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }
}

/// Makes `operations` random calls and compares each answer, then the journal, with what was asked for.
fn work(driver: &mut Driver<TestLink>, operations: usize, random: &mut Random) {
    let mut memory = BTreeMap::new();
    let mut journal = Vec::new();
    let mut starts = 0;
    for _ in 0..operations {
        let unit = (random.next() % 4) as u8;
        let chunks = chunks_of(unit);
        let address = (random.next() % 500) as u32;
        // Bus words of up to three requests, whole memory words.
        let mut count = random.next() as usize % (3 * MAX_WORDS);
        count -= count % usize::from(chunks);
        let places = (unit, address * u32::from(chunks)..);
        let places = places.1.map(|place| (places.0, place)).take(count);
        match random.next() % 8 {
            0..=3 => {
                let words: Vec<u32> = (0..count).map(|_| random.next() as u32).collect();
                driver.load(unit, address, chunks, &words).unwrap();
                memory.extend(places.zip(words.iter().copied()));
                let whole = MAX_WORDS - MAX_WORDS % usize::from(chunks);
                for (index, part) in words.chunks(whole).enumerate() {
                    let address = address + (index * whole) as u32 / u32::from(chunks);
                    journal.push(Executed::Write { unit, address, chunks, words: part.to_vec() });
                }
            }
            4 if random.next().is_multiple_of(2) => {
                let (first, runs) = (random.next() as u16 / 2, 1 + random.next() as u16 / 2);
                driver.generate(first.into(), runs.into()).unwrap();
                journal.push(Executed::Generate { first, runs });
                starts += 1;
            }
            4 => {
                driver.run(address).unwrap();
                journal.push(Executed::Start { entry: address });
                starts += 1;
            }
            5 => {
                let status = driver.status().unwrap();
                let expected =
                    MachineStatus { running: false, done: starts > 0, cycles: starts * 1000, identity: IDENTITY };
                assert_eq!(status, expected);
            }
            _ => {
                let mut words = vec![0xdead_beef; count];
                driver.read_vector(unit, address, chunks, &mut words).unwrap();
                let expected: Vec<u32> = places.map(|place| memory.get(&place).copied().unwrap_or(0)).collect();
                assert_eq!(words, expected);
            }
        }
    }
    assert_eq!(driver.link_mut().device.machine().journal, journal, "executed in another way than asked for");
}

#[test]
fn four_thousand_operations_over_a_rough_link_are_executed_once_and_in_order() {
    let mut driver = Driver::new(TestLink::new(11, ROUGH), PATIENT);
    work(&mut driver, 4000, &mut Random(12));
    let link = driver.into_link();
    assert!(link.sent > 8000, "the link was not rough: {} frames sent", link.sent);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_mischief_is_survived(
        seed in any::<u64>(), lost in 0..40u64, flipped in 0..40u64, repeated in 0..60u64, delayed in 0..40u64, garbage in 0..40u64,
    ) {
        let mischief = Mischief { lost, flipped, repeated, delayed, garbage };
        let mut driver = Driver::new(TestLink::new(seed, mischief), PATIENT);
        work(&mut driver, 60, &mut Random(seed.rotate_left(17) | 1));
    }
}

#[test]
fn an_honest_link_carries_each_request_once() {
    let mut driver = Driver::new(TestLink::new(1, HONEST), Patience::default());
    driver.load(1, 0, 2, &[5; 10 * MAX_WORDS]).unwrap();
    driver.run(0).unwrap();
    assert_eq!(driver.into_link().sent, 1 + 10 + 1, "one to synchronise, ten writes, one run");
}

#[test]
fn a_dead_link_ends_in_no_answer_after_the_agreed_number_of_tries() {
    let dead = Mischief { lost: 100, ..HONEST };
    let mut driver = Driver::new(TestLink::new(1, dead), Patience { retries: 5, ..Patience::default() });
    assert_eq!(driver.run(0), Err(DriverError::NoAnswer { sent: 6 }));
    assert_eq!(driver.into_link().sent, 6);
}

#[test]
fn endless_noise_ends_in_no_answer() {
    struct Noise;
    impl Link for Noise {
        type Error = Infallible;
        fn write(&mut self, _: &[u8]) -> Result<(), Infallible> {
            Ok(())
        }
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
            buffer.fill(0x55);
            Ok(buffer.len())
        }
    }
    let mut driver = Driver::new(Noise, Patience { retries: 2, ..Patience::default() });
    assert_eq!(driver.run(0), Err(DriverError::NoAnswer { sent: 3 }));
}

/// The request that was given up is still on its way; it comes out at the worst moments. It must neither be executed after the
/// next request nor pass for it.
#[test]
fn a_request_given_up_never_takes_the_place_of_the_next_one() {
    for late in 0..4 {
        let mut driver = Driver::new(TestLink::new(1, HONEST), Patience { retries: 0, ..Patience::default() });
        driver.load(0, 0, 1, &[1]).unwrap();
        driver.link_mut().intercepted = Some(Vec::new());
        assert_eq!(driver.load(0, 0, 1, &[2]), Err(DriverError::NoAnswer { sent: 1 }));
        let given_up = driver.link_mut().intercepted.take().unwrap().remove(0);
        let before = driver.link_mut().device.machine().journal.len();
        if late == 0 {
            driver.link_mut().deliver_to_device(&given_up);
        }
        if late == 1 {
            driver.status().unwrap();
            driver.link_mut().deliver_to_device(&given_up);
        }
        driver.load(0, 0, 1, &[3]).unwrap();
        if late == 2 {
            driver.link_mut().deliver_to_device(&given_up);
        }
        let mut read = [0];
        driver.read_vector(0, 0, 1, &mut read).unwrap();
        assert_eq!(read, [3], "late by {late}");
        let journal = &driver.link_mut().device.machine().journal[before..];
        assert_eq!(journal.len(), if late == 0 { 2 } else { 1 }, "{journal:?}");
    }
}

#[test]
fn a_second_driver_takes_over_where_a_first_one_left() {
    let mut first = Driver::new(TestLink::new(1, HONEST), Patience::default());
    first.load(0, 10, 1, &[1, 2, 3]).unwrap();
    let mut second = Driver::new(first.into_link(), Patience::default());
    let mut words = [0; 3];
    second.read_vector(0, 10, 1, &mut words).unwrap();
    assert_eq!(words, [1, 2, 3]);
    second.load(0, 10, 1, &[4]).unwrap();
    assert_eq!(second.into_link().device.machine().journal.len(), 2);
}

#[test]
fn the_last_address_can_be_used_and_no_other_behind_it() {
    let mut driver = Driver::new(TestLink::new(1, HONEST), Patience::default());
    let words = [9; 2 * (MAX_WORDS + 1)];
    let address = (1 << ADDRESS_BITS) - MAX_WORDS as u32 - 1;
    driver.load(1, address, 2, &words).unwrap();
    let mut read = [0; 2 * (MAX_WORDS + 1)];
    driver.read_vector(1, address, 2, &mut read).unwrap();
    assert_eq!(read, words);
    let overflow = DriverError::AddressOverflow { address: address + 1, count: MAX_WORDS + 1 };
    assert_eq!(driver.load(1, address + 1, 2, &words), Err(overflow));
    assert_eq!(driver.read_vector(1, address + 1, 2, &mut read), Err(overflow));
    let beyond = DriverError::AddressOverflow { address: u32::MAX, count: 1 };
    assert_eq!(driver.load(0, u32::MAX, 1, &[0]), Err(beyond));
}

#[test]
fn only_whole_memory_words_are_sent() {
    let mut driver = Driver::new(TestLink::new(1, HONEST), Patience::default());
    for (chunks, count) in [(0, 0), (0, 4), (2, 3), (6, 5), (MAX_WORDS as u8 + 1, MAX_WORDS + 1)] {
        let words = vec![1; count];
        assert_eq!(driver.load(0, 0, chunks, &words), Err(DriverError::BrokenWord { chunks, count }));
        let mut words = words;
        assert_eq!(driver.read_vector(0, 0, chunks, &mut words), Err(DriverError::BrokenWord { chunks, count }));
    }
    assert_eq!(driver.into_link().sent, 0);
}

#[test]
fn runs_that_no_request_can_name_are_refused_before_anything_is_sent() {
    let mut driver = Driver::new(TestLink::new(1, HONEST), Patience::default());
    for (first, runs) in [(0, 0), (7, 0), (65_535, 2), (0, 65_536), (65_536, 1), (u32::MAX, u32::MAX)] {
        assert_eq!(driver.generate(first, runs), Err(DriverError::Runs { first, runs }));
    }
    assert_eq!(driver.link_mut().sent, 0);
    driver.generate(65_535, 1).unwrap();
    driver.generate(0, 65_535).unwrap();
    let journal = &driver.link_mut().device.machine().journal;
    assert_eq!(journal[..], [(65_535, 1), (0, 65_535)].map(|(first, runs)| Executed::Generate { first, runs }));
}

#[test]
fn a_machine_that_does_not_generate_does_not_know_the_request() {
    let mut driver = Driver::new(TestLink::new(1, HONEST), Patience::default());
    driver.link_mut().device.machine_mut().plain = true;
    assert_eq!(driver.generate(0, 1), Err(DriverError::Refused(ErrorCode::UnknownCommand)));
    let broken = Frame::new(driver.status().map(|_| 3 + (1 << 16)).unwrap(), 5, &[0]).unwrap();
    assert_eq!(send(&mut driver.link_mut().device, &broken), Reply::Error { code: ErrorCode::UnknownCommand });
    assert!(driver.into_link().device.machine().journal.is_empty());
}

fn send(device: &mut Device<TestMachine>, frame: &Frame) -> Reply {
    let mut wire = [0; MAX_ENCODED];
    let length = encode(frame, &mut wire).unwrap();
    let mut decoder = Decoder::new();
    let mut replies = Vec::new();
    for &byte in &wire[..length] {
        if let Some(answer) = device.push(byte) {
            replies.extend(answer.iter().filter_map(|&byte| decoder.push(byte)));
        }
    }
    let [Ok(reply)] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!(reply.sequence, frame.sequence);
    Reply::from_frame(reply).unwrap()
}

#[test]
fn a_device_does_not_execute_a_repeated_request_again_but_reads_anew() {
    let mut device = Device::new(TestMachine::default());
    let read = Request::ReadVector { unit: 0, address: 0, count: 2 }.to_frame(1);
    let data = |words: &[u32]| Reply::Data { words: Words::new(words).unwrap() };
    assert_eq!(send(&mut device, &read), data(&[0, 0]));
    device.machine_mut().memory.insert((0, 0), 77);
    assert_eq!(send(&mut device, &read), data(&[77, 0]));
    let write = Request::Write { unit: 0, address: 5, chunks: 1, words: Words::new(&[6]).unwrap() };
    for request in [&write, &write, &Request::Run { entry: 4 }] {
        assert_eq!(send(&mut device, &request.to_frame(2)), Reply::Ack);
    }
    let run = Request::Run { entry: 4 };
    for _ in 0..3 {
        assert_eq!(send(&mut device, &run.to_frame(3)), Reply::Ack);
    }
    let refused = Reply::Error { code: ErrorCode::OutOfSequence };
    assert_eq!(send(&mut device, &read), refused);
    assert_eq!(send(&mut device, &run.to_frame(5)), refused);
    let written = Executed::Write { unit: 0, address: 5, chunks: 1, words: vec![6] };
    assert_eq!(device.machine().journal, [written, Executed::Start { entry: 4 }]);
}

#[test]
fn a_device_that_has_accepted_nothing_takes_nothing_for_a_repetition() {
    let mut device = Device::new(TestMachine::default());
    let run = Request::Run { entry: 4 };
    assert_eq!(send(&mut device, &run.to_frame(0)), Reply::Error { code: ErrorCode::OutOfSequence });
    assert!(matches!(send(&mut device, &Request::Status.to_frame(0)), Reply::Status { last_sequence: 0, .. }));
    assert_eq!(send(&mut device, &run.to_frame(1)), Reply::Ack);
    assert_eq!(device.machine().journal, [Executed::Start { entry: 4 }]);
}

#[test]
fn a_status_request_is_answered_under_any_number_and_jumps_only_ahead() {
    let mut device = Device::new(TestMachine::default());
    for (sequence, last) in
        [(70_000, 70_000), (3, 70_000), (70_000, 70_000), (0x8001_1170, 70_000), (0x8001_116f, 0x8001_116f)]
    {
        let Reply::Status { last_sequence, .. } = send(&mut device, &Request::Status.to_frame(sequence)) else {
            panic!("no status")
        };
        assert_eq!(last_sequence, last, "after {sequence:#x}");
    }
}

#[test]
fn a_device_refuses_what_it_does_not_understand_and_goes_on() {
    let mut device = Device::new(TestMachine::default());
    let refused = |code| Reply::Error { code };
    assert_eq!(send(&mut device, &Frame::new(1, 0x77, &[]).unwrap()), refused(ErrorCode::UnknownCommand));
    assert_eq!(send(&mut device, &Frame::new(1, 0x77, &[]).unwrap()), refused(ErrorCode::UnknownCommand));
    let bad: [(u8, &[u8]); 8] = [
        (0x02, &[]),
        (0x02, &[1, 0, 0]),
        (0x03, &[0, 0, 0, 0, MAX_WORDS as u8 + 1]),
        (0x04, &[0]),
        (0x01, &[0, 0, 0, 0]),
        (0x01, &[0, 0, 0, 0, 1, 1, 2, 3]),
        (0x01, &[0, 0, 0, 0, 0]),
        (0x01, &[0, 0, 0, 0, 2, 1, 2, 3, 4]),
    ];
    for (sequence, (command, payload)) in (2..).zip(bad) {
        let frame = Frame::new(sequence, command, payload).unwrap();
        assert_eq!(send(&mut device, &frame), refused(ErrorCode::BadPayload), "{frame:?}");
    }
    assert_eq!(send(&mut device, &Request::Run { entry: 1 }.to_frame(10)), Reply::Ack);
    assert_eq!(device.machine().journal, [Executed::Start { entry: 1 }]);
}
