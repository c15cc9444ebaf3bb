/* Frames of the LPU's host link: see firmware/src/lib.rs for the format. Freestanding C11, no allocation. */
#ifndef LPU_FRAME_H
#define LPU_FRAME_H

#include <stddef.h>
#include <stdint.h>

/* Most 32-bit words of the host bus in one request or reply. */
#define LPU_MAX_WORDS 60
/* Most bytes of payload: address and unit, chunks, words. */
#define LPU_MAX_PAYLOAD (4 + 1 + 4 * LPU_MAX_WORDS)
/* Most bytes between two zeros on the wire: sequence, command, length, payload, check, and one byte of stuffing for each 254. */
#define LPU_MAX_BODY (6 + LPU_MAX_PAYLOAD + 4)
#define LPU_MAX_STUFFED (LPU_MAX_BODY + LPU_MAX_BODY / 254 + 1)
/* Most bytes of a frame on the wire, its two zeros included. */
#define LPU_MAX_ENCODED (LPU_MAX_STUFFED + 2)

struct lpu_frame {
    uint32_t sequence;
    uint8_t command;
    uint8_t length; /* bytes of payload, at most LPU_MAX_PAYLOAD */
    uint8_t payload[LPU_MAX_PAYLOAD];
};

/* What a byte that arrived made of the bytes before it. */
enum lpu_decoded {
    LPU_NOTHING, /* nothing yet */
    LPU_FRAME,   /* a frame */
    LPU_DAMAGED, /* something between two zeros that is no frame */
};

/* A decoder is in step with a stream that starts, and with any other after the first zero. All zero bytes make a new one. */
struct lpu_decoder {
    size_t received; /* bytes since the last zero; counted on when they no longer fit */
    uint8_t bytes[LPU_MAX_STUFFED];
};

/* Writes the frame as it goes over the wire and returns the number of bytes. */
size_t lpu_encode(const struct lpu_frame *frame, uint8_t wire[LPU_MAX_ENCODED]);

/* Takes one byte from the wire. `frame` holds the frame after LPU_FRAME and nothing of use otherwise. */
enum lpu_decoded lpu_decode(struct lpu_decoder *decoder, uint8_t byte, struct lpu_frame *frame);

/* Little-endian numbers. */
void lpu_put_u32(uint8_t *bytes, uint32_t value);
uint32_t lpu_get_u32(const uint8_t *bytes);

#endif
