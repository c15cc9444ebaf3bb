/* The host's end of the LPU's host link: loads, runs and reads an LPU. What returns LPU_OK was executed exactly once. */
#ifndef LPU_DRIVER_H
#define LPU_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lpu_frame.h"

enum lpu_result {
    LPU_OK,
    LPU_NO_ANSWER,    /* sent several times; it may or may not have been executed */
    LPU_REFUSED,      /* the device executed nothing; its reason is in `refusal` */
    LPU_UNEXPECTED,   /* an answer that does not belong to the request */
    LPU_BAD_ARGUMENT, /* words that are no whole memory words, or that reach beyond the last address; nothing was sent */
};

struct lpu_driver {
    uint32_t polls;    /* empty looks at the line after which a request is sent again: longer than a request and its answer */
    uint32_t retries;  /* how often it is sent again */
    uint8_t refusal;   /* the device's error code after LPU_REFUSED */
    bool synchronised; /* the device has accepted `sequence` as its last */
    uint32_t sequence; /* the last one used */
    struct lpu_decoder decoder;
    struct lpu_frame request, reply;
    uint8_t wire[LPU_MAX_ENCODED];
};

struct lpu_status {
    bool running;
    bool done;         /* the last started program has come to its end */
    uint64_t cycles;   /* clock cycles of the run; 48 bits travel */
    uint32_t identity; /* tells machines for different programs apart */
};

/* A driver that looks for the device at its first request. */
void lpu_begin(struct lpu_driver *driver, uint32_t polls, uint32_t retries);

/* Stores `count` words of the host bus at `address` of `unit` and the addresses after it. `chunks` of them, the lowest bits first,
   make one word of the unit's memory; addresses count those. */
enum lpu_result lpu_load(struct lpu_driver *driver, uint8_t unit, uint32_t address, uint8_t chunks, const uint32_t *words,
                         size_t count);

/* Starts the program at an entry point. It has been started, not finished, when this returns. */
enum lpu_result lpu_run(struct lpu_driver *driver, uint32_t entry);

/* How the machine stands. */
enum lpu_result lpu_status(struct lpu_driver *driver, struct lpu_status *status);

/* Reads what lpu_load stores. */
enum lpu_result lpu_read(struct lpu_driver *driver, uint8_t unit, uint32_t address, uint8_t chunks, uint32_t *words, size_t count);

#endif
