#include "lpu_frame.h"

enum { HEADER = 6, CHECK = 4, MAX_BLOCK = 254 };

_Static_assert(LPU_MAX_BODY <= 255, "the length of a frame fits its byte");

void lpu_put_u32(uint8_t *bytes, uint32_t value) {
    for (int place = 0; place < 4; ++place) bytes[place] = (uint8_t)(value >> (8 * place));
}

uint32_t lpu_get_u32(const uint8_t *bytes) {
    uint32_t value = 0;
    for (int place = 3; place >= 0; --place) value = value << 8 | bytes[place];
    return value;
}

/* CRC-32 (ISO-HDLC), a bit at a time: the line is slower than this, and a table would be a kilobyte. */
static uint32_t crc32(const uint8_t *bytes, size_t count) {
    uint32_t crc = 0xffffffffu;
    for (size_t index = 0; index < count; ++index) {
        crc ^= bytes[index];
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    }
    return ~crc;
}

size_t lpu_encode(const struct lpu_frame *frame, uint8_t wire[LPU_MAX_ENCODED]) {
    uint8_t body[LPU_MAX_BODY];
    const size_t end = (size_t)HEADER + frame->length;
    lpu_put_u32(body, frame->sequence);
    body[4] = frame->command;
    body[5] = (uint8_t)end;
    for (size_t index = 0; index < frame->length; ++index) body[HEADER + index] = frame->payload[index];
    lpu_put_u32(body + end, crc32(body, end));

    /* Each block is its length plus one, then its bytes; a zero stands between blocks unless the block is full. */
    const size_t length = end + CHECK;
    size_t from = 0, to = 0;
    wire[to++] = 0;
    for (;;) {
        const size_t head = to++;
        size_t block = 0;
        while (block < MAX_BLOCK && from < length && body[from] != 0) {
            wire[to++] = body[from++];
            ++block;
        }
        wire[head] = (uint8_t)(block + 1);
        if (from == length) break;
        if (block < MAX_BLOCK) ++from;
    }
    wire[to++] = 0;
    return to;
}

/* Undoes the stuffing in place. The body's length, or 0 when a block leads beyond the end. */
static size_t unstuff(uint8_t *bytes, size_t count) {
    size_t from = 0, to = 0;
    while (from < count) {
        const size_t block = (size_t)bytes[from++] - 1; /* no byte between two zeros is zero */
        if (block > count - from) return 0;
        for (size_t index = 0; index < block; ++index) bytes[to++] = bytes[from++];
        if (block < MAX_BLOCK && from < count) bytes[to++] = 0;
    }
    return to;
}

static enum lpu_decoded parse(uint8_t *bytes, size_t count, struct lpu_frame *frame) {
    const size_t length = unstuff(bytes, count);
    if (length < HEADER + CHECK) return LPU_DAMAGED;
    const size_t end = length - CHECK;
    if (bytes[5] != end || end - HEADER > LPU_MAX_PAYLOAD) return LPU_DAMAGED;
    if (crc32(bytes, end) != lpu_get_u32(bytes + end)) return LPU_DAMAGED;
    frame->sequence = lpu_get_u32(bytes);
    frame->command = bytes[4];
    frame->length = (uint8_t)(end - HEADER);
    for (size_t index = 0; index < frame->length; ++index) frame->payload[index] = bytes[HEADER + index];
    return LPU_FRAME;
}

enum lpu_decoded lpu_decode(struct lpu_decoder *decoder, uint8_t byte, struct lpu_frame *frame) {
    if (byte != 0) {
        if (decoder->received < LPU_MAX_STUFFED) decoder->bytes[decoder->received] = byte;
        if (decoder->received <= LPU_MAX_STUFFED) ++decoder->received;
        return LPU_NOTHING;
    }
    const size_t received = decoder->received;
    decoder->received = 0;
    if (received == 0) return LPU_NOTHING;
    return received <= LPU_MAX_STUFFED ? parse(decoder->bytes, received, frame) : LPU_DAMAGED;
}
