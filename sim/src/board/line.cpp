// The host's end of a serial line, eight bits, no parity, one stop bit, against the pins `rx` and `tx` of the model: what
// the host sends is driven on `rx`, what the model sends is taken from `tx`, clock by clock. Times are in 1/65536 clocks, so
// the host's bit need not be a whole number of the model's clocks.
//
// The caller keeps all state in the words it passes; their indices are in line.rs, in the same order.

namespace line {

enum Word {
    BIT_TIME,          // one bit of the line, in 1/65536 clocks
    LIMIT,             // clocks that this call may take
    UNTIL_RECEIVED,    // 0: return when all has been sent; 1: return when something has been received
    SEND_COUNT,        // words in the send area
    SENT,              // out: of them, those sent to the end
    CAPACITY,          // room in the receive area
    RECEIVED,          // out: bytes there
    CLOCKS,            // out: clocks taken
    STARTS,            // counted on: clocks in which the first observed signal was not zero
    BROKEN,            // counted on: bytes received whose stop bit was not one
    SEND_PHASE,        // kept: 0 idle, 1 waiting before a start bit, 2 to 11 in one of the ten bits
    SEND_TIME,         // kept: time into that bit
    RECEIVE_PHASE,     // kept: 0 idle, 1 (start) to 10 (stop) the bit to be sampled next, 11 waiting for the line to rise
    RECEIVE_TIME,      // kept: time until that sample
    RECEIVE_BYTE,      // kept: data bits so far
    RX_PORT,
    TX_PORT,
    AREA,              // the send area, then the receive area
};

constexpr uint32_t ONE = 65536;

// A word of the send area: bits 0 to 7 the byte; bit 8: the stop bit is broken (low); from bit 16 on: bits of silence
// before the start bit.
inline bool level(uint32_t entry, uint32_t bit) {
    if (bit == 0) return false;
    if (bit == 9) return !(entry >> 8 & 1);
    return entry >> (bit - 1) & 1;
}

// Where a word of the send area begins.
inline uint32_t first_phase(uint32_t entry) { return entry >> 16 ? 1 : 2; }

inline void send(uint32_t* w, const Slot& rx) {
    if (w[SEND_PHASE] == 0 && w[SENT] < w[SEND_COUNT]) {
        w[SEND_PHASE] = first_phase(w[AREA + w[SENT]]);
        w[SEND_TIME] = 0;
    }
    uint32_t& entry = w[AREA + w[SENT]];
    const uint32_t pin = w[SEND_PHASE] >= 2 ? level(entry, w[SEND_PHASE] - 2) : 1;
    rx.store(&pin);
    if (w[SEND_PHASE] == 0) return;
    w[SEND_TIME] += ONE;
    if (w[SEND_TIME] < w[BIT_TIME]) return;
    // What is left of the clock belongs to the next bit.
    w[SEND_TIME] -= w[BIT_TIME];
    if (w[SEND_PHASE] == 1) {
        entry -= 1u << 16;
        w[SEND_PHASE] = first_phase(entry);
    } else if (++w[SEND_PHASE] == 12) {
        ++w[SENT];
        w[SEND_PHASE] = w[SENT] < w[SEND_COUNT] ? first_phase(w[AREA + w[SENT]]) : 0;
    }
}

inline void receive(uint32_t* w, const Slot& tx) {
    const bool high = tx.nonzero();
    if (w[RECEIVE_PHASE] == 11 && high) w[RECEIVE_PHASE] = 0;
    if (w[RECEIVE_PHASE] == 11 || (w[RECEIVE_PHASE] == 0 && high)) return;
    if (w[RECEIVE_PHASE] == 0) {
        w[RECEIVE_PHASE] = 1;
        w[RECEIVE_TIME] = w[BIT_TIME] / 2;
        w[RECEIVE_BYTE] = 0;
    }
    if (w[RECEIVE_TIME] >= ONE) {
        w[RECEIVE_TIME] -= ONE;
        return;
    }
    const uint32_t bit = w[RECEIVE_PHASE] - 1;
    // A start bit that is gone by its middle was none.
    if (bit == 0 && high) {
        w[RECEIVE_PHASE] = 0;
        return;
    }
    if (bit >= 1 && bit <= 8) w[RECEIVE_BYTE] |= static_cast<uint32_t>(high) << (bit - 1);
    if (bit < 9) {
        ++w[RECEIVE_PHASE];
        w[RECEIVE_TIME] += w[BIT_TIME] - ONE;
        return;
    }
    w[RECEIVE_PHASE] = high ? 0 : 11;
    if (high) w[AREA + w[SEND_COUNT] + w[RECEIVED]++] = w[RECEIVE_BYTE];
    else ++w[BROKEN];
}

}  // namespace line

// 0 when the call came to its end; 1 when the model failed, and then the text of the failure stands in the send area, its
// length in SENT.
LPU_EXPORT uint64_t lpu_line(Simulation* simulation, uint32_t* w, uint64_t count) {
    using namespace line;
    const int32_t failed = guard(simulation, [&] {
        const Slot rx = simulation->ports[w[RX_PORT]], tx = simulation->ports[w[TX_PORT]];
        while (w[CLOCKS] < w[LIMIT] && w[RECEIVED] < w[CAPACITY]) {
            if (w[UNTIL_RECEIVED] ? w[RECEIVED] > 0 : w[SENT] == w[SEND_COUNT] && w[SEND_PHASE] == 0) return;
            send(w, rx);
            simulation->low();
#if LPU_OBSERVED
            w[STARTS] += simulation->observed[0].nonzero();
#endif
            simulation->high();
            ++w[CLOCKS];
            receive(w, tx);
        }
    });
    if (!failed) return 0;
    const uint64_t room = count > AREA ? 4 * (count - AREA) : 0;
    w[SENT] = static_cast<uint32_t>(simulation->error.size() < room ? simulation->error.size() : room);
    std::memcpy(w + AREA, simulation->error.data(), w[SENT]);
    return 1;
}
