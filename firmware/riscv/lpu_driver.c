#include "lpu_driver.h"

#include "line.h"

enum {
    WRITE = 0x01,
    RUN = 0x02,
    READ_VECTOR = 0x03,
    STATUS = 0x04,
    ACK = 0x81,
    DATA = 0x82,
    STATUS_REPLY = 0x83,
    ERROR = 0x84,
};

enum { OUT_OF_SEQUENCE = 3, RUNNING = 1, DONE = 2, STATUS_LENGTH = 1 + 6 + 4 + 4 };

/* How far ahead of the device's sequence number a driver begins: more than any earlier one can have under way. */
#define JUMP 0x10000u
/* The second try to begin is right unless another driver is at work. */
#define SYNCHRONISATIONS 4
/* Addresses inside a unit. */
#define ADDRESSES 0x1000000u

void lpu_begin(struct lpu_driver *driver, uint32_t polls, uint32_t retries) {
    driver->polls = polls;
    driver->retries = retries;
    driver->refusal = 0;
    driver->synchronised = false;
    driver->sequence = 0;
    driver->decoder.received = 0;
}

/* Whether the reply to the request under way has come. False when it is time to send again: silence, something damaged that may
   have been the reply, or as much as fits 16 answers without it among them. Replies to earlier requests are passed over. */
static bool receive(struct lpu_driver *driver) {
    uint32_t silent = 0, bytes = 0;
    while (silent < driver->polls && bytes < 16 * LPU_MAX_ENCODED) {
        const int byte = line_receive();
        if (byte < 0) {
            ++silent;
            continue;
        }
        silent = 0;
        ++bytes;
        switch (lpu_decode(&driver->decoder, (uint8_t)byte, &driver->reply)) {
            case LPU_FRAME:
                if (driver->reply.sequence == driver->request.sequence) return true;
                break;
            case LPU_DAMAGED: return false;
            case LPU_NOTHING: break;
        }
    }
    return false;
}

/* Sends the request until its reply comes. */
static enum lpu_result exchange(struct lpu_driver *driver) {
    driver->request.sequence = driver->sequence;
    const size_t length = lpu_encode(&driver->request, driver->wire);
    for (uint32_t sent = 0; sent <= driver->retries; ++sent) {
        for (size_t index = 0; index < length; ++index) line_send(driver->wire[index]);
        if (receive(driver)) return LPU_OK;
    }
    return LPU_NO_ANSWER;
}

/* Jumps ahead of everything this driver ever sent and, if the device is further still, of the device. */
static enum lpu_result synchronise(struct lpu_driver *driver) {
    for (int attempt = 0; attempt < SYNCHRONISATIONS; ++attempt) {
        driver->sequence += JUMP;
        driver->request.command = STATUS;
        driver->request.length = 0;
        const enum lpu_result result = exchange(driver);
        if (result != LPU_OK) return result;
        if (driver->reply.command != STATUS_REPLY || driver->reply.length != STATUS_LENGTH) continue;
        const uint32_t last = lpu_get_u32(driver->reply.payload + 7);
        if (last == driver->sequence) {
            driver->synchronised = true;
            return LPU_OK;
        }
        driver->sequence = last;
    }
    driver->refusal = OUT_OF_SEQUENCE;
    return LPU_REFUSED;
}

/* Carries out a request whose payload stands in `request`; the answer must be `answer`, with `answer_length` bytes. */
static enum lpu_result carry_out(struct lpu_driver *driver, uint8_t command, uint8_t length, uint8_t answer,
                                 size_t answer_length) {
    if (!driver->synchronised) {
        /* Finding the device takes the frame for itself. */
        const struct lpu_frame kept = driver->request;
        const enum lpu_result result = synchronise(driver);
        if (result != LPU_OK) return result;
        driver->request = kept;
    }
    ++driver->sequence;
    /* Until an answer proves it, the device may not have got this far. */
    driver->synchronised = false;
    driver->request.command = command;
    driver->request.length = length;
    const enum lpu_result result = exchange(driver);
    if (result != LPU_OK) return result;
    const struct lpu_frame *reply = &driver->reply;
    if (reply->command == ERROR && reply->length == 1) {
        driver->refusal = reply->payload[0];
        driver->synchronised = driver->refusal != OUT_OF_SEQUENCE;
        return LPU_REFUSED;
    }
    driver->synchronised = true;
    return reply->command == answer && reply->length == answer_length ? LPU_OK : LPU_UNEXPECTED;
}

/* Unit and address as the host bus takes them. */
static void put_place(struct lpu_driver *driver, uint8_t unit, uint32_t address) {
    lpu_put_u32(driver->request.payload, (uint32_t)unit << 24 | address);
}

/* How many memory words of `chunks` bus words go into one request, or 0 if they are none or the last has no address. Divides by
   subtraction: the core has no divider. */
static uint32_t memory_words_a_request(uint32_t address, uint8_t chunks, size_t count) {
    if (chunks == 0 || chunks > LPU_MAX_WORDS || address > ADDRESSES) return 0;
    size_t memory_words = 0;
    for (; count >= chunks; count -= chunks) ++memory_words;
    if (count != 0 || memory_words > ADDRESSES - address) return 0;
    uint32_t step = 0;
    for (uint32_t words = chunks; words <= LPU_MAX_WORDS; words += chunks) ++step;
    return step;
}

/* Bus words of the next request. */
static size_t part_of(uint32_t step, uint8_t chunks, size_t left) {
    size_t part = 0;
    for (uint32_t word = 0; word < step && part < left; ++word) part += chunks;
    return part;
}

enum lpu_result lpu_load(struct lpu_driver *driver, uint8_t unit, uint32_t address, uint8_t chunks, const uint32_t *words,
                         size_t count) {
    const uint32_t step = memory_words_a_request(address, chunks, count);
    if (step == 0) return LPU_BAD_ARGUMENT;
    while (count > 0) {
        const size_t part = part_of(step, chunks, count);
        put_place(driver, unit, address);
        driver->request.payload[4] = chunks;
        for (size_t word = 0; word < part; ++word) lpu_put_u32(driver->request.payload + 5 + 4 * word, words[word]);
        const enum lpu_result result = carry_out(driver, WRITE, (uint8_t)(5 + 4 * part), ACK, 0);
        if (result != LPU_OK) return result;
        address += step;
        words += part;
        count -= part;
    }
    return LPU_OK;
}

enum lpu_result lpu_run(struct lpu_driver *driver, uint32_t entry) {
    lpu_put_u32(driver->request.payload, entry);
    return carry_out(driver, RUN, 4, ACK, 0);
}

enum lpu_result lpu_status(struct lpu_driver *driver, struct lpu_status *status) {
    const enum lpu_result result = carry_out(driver, STATUS, 0, STATUS_REPLY, STATUS_LENGTH);
    if (result != LPU_OK) return result;
    const uint8_t *payload = driver->reply.payload;
    status->running = (payload[0] & RUNNING) != 0;
    status->done = (payload[0] & DONE) != 0;
    status->cycles = lpu_get_u32(payload + 1) | (uint64_t)payload[5] << 32 | (uint64_t)payload[6] << 40;
    status->identity = lpu_get_u32(payload + 11);
    return LPU_OK;
}

enum lpu_result lpu_read(struct lpu_driver *driver, uint8_t unit, uint32_t address, uint8_t chunks, uint32_t *words,
                         size_t count) {
    const uint32_t step = memory_words_a_request(address, chunks, count);
    if (step == 0) return LPU_BAD_ARGUMENT;
    while (count > 0) {
        const size_t part = part_of(step, chunks, count);
        put_place(driver, unit, address);
        driver->request.payload[4] = (uint8_t)part;
        const enum lpu_result result = carry_out(driver, READ_VECTOR, 5, DATA, 4 * part);
        if (result != LPU_OK) return result;
        for (size_t word = 0; word < part; ++word) words[word] = lpu_get_u32(driver->reply.payload + 4 * word);
        address += step;
        words += part;
        count -= part;
    }
    return LPU_OK;
}
