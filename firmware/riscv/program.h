/* What a header made by `cargo run -p lpu-tests --example c_program -- P.json` defines: a compiled network as constants. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stddef.h>
#include <stdint.h>

/* Words for one memory, from its address 0 on. */
struct image {
    uint8_t unit;
    uint8_t chunks; /* words of the host bus that make one word of the memory */
    size_t count;
    const uint32_t *words;
};

/* A tensor in the vector memory: elements of 16 bits, two in a word of the host bus. */
struct tensor {
    uint8_t unit;
    uint8_t chunks;
    uint32_t address;
    size_t words;
    size_t elements;
    const uint16_t *positions; /* of each element, in elements from the address on */
};

extern const struct image program_images[];
extern const size_t program_image_count;
extern const struct tensor program_input, program_output;
/* One input, and room for the larger tensor. */
extern const int8_t program_sample[];
extern uint32_t program_buffer[];

#endif
