/* The serial line to the LPU: what the driver needs of the hardware. Nothing here may fail; what gets lost is sent again. */
#ifndef LINE_H
#define LINE_H

#include <stdint.h>

/* Sends one byte, waiting until the line takes it. */
void line_send(uint8_t byte);

/* The next byte that has arrived, or -1 if there is none yet. Returns at once. */
int line_receive(void);

#endif
