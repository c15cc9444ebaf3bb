/* The board beside its line: PicoSoC (a PicoRV32 with a UART), as on the iCEBreaker. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* Empty looks at the line after which a request is sent again. A look takes about 20 clock cycles, a frame of the greatest length
   at 115,200 baud and 12 MHz 280,000. */
#define BOARD_POLLS 100000u
/* Set in what is shown when something went wrong; the lpu_result stands below. */
#define BOARD_FAILED 0x80u

/* Shows a number on the lamps and stops. */
_Noreturn void board_show(uint32_t number);

#endif
