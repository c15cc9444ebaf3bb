/* Decodes what arrives on the line and says what it is; the tests compare that with the vectors of the codec.
 *
 * A frame: 'F', sequence (4), command, bytes of payload, payload; then the same frame encoded again: bytes (2), the bytes.
 * Something damaged: 'D'. Numbers are little-endian. */
#include "line.h"
#include "lpu_frame.h"

static void send(const uint8_t *bytes, size_t count) {
    for (size_t index = 0; index < count; ++index) line_send(bytes[index]);
}

int main(void) {
    static struct lpu_decoder decoder;
    static struct lpu_frame frame;
    static uint8_t wire[LPU_MAX_ENCODED];
    for (;;) {
        const int byte = line_receive();
#ifdef LINE_ENDS
        if (byte < 0) return 0;
#else
        if (byte < 0) continue;
#endif
        const enum lpu_decoded decoded = lpu_decode(&decoder, (uint8_t)byte, &frame);
        if (decoded == LPU_DAMAGED) line_send('D');
        if (decoded != LPU_FRAME) continue;
        uint8_t sequence[4];
        lpu_put_u32(sequence, frame.sequence);
        line_send('F');
        send(sequence, sizeof sequence);
        line_send(frame.command);
        line_send(frame.length);
        send(frame.payload, frame.length);
        const size_t length = lpu_encode(&frame, wire);
        line_send((uint8_t)length);
        line_send((uint8_t)(length >> 8));
        send(wire, length);
    }
}
