/* The line as standard input and output, to check the codec on the machine at hand. */
#include <stdio.h>

#include "line.h"

void line_send(uint8_t byte) { putchar(byte); }

int line_receive(void) { return getchar(); }
